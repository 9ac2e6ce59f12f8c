"""Acceptance checks on real servers: each trouble is named with its grade, and go comes with the last one mended."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from harness.acceptance.acceptance import AcceptOptions, accept
from harness.acceptance.model import SCHEMA, Acceptance, Grade
from harness.acceptance.product import product
from harness.acceptance.report import html_page, markdown, terminal_text
from harness.cli import run_command_line
from harness.compare.model import Options
from harness.endpoint.address import Endpoint
from harness.endpoint.read_only import READS
from harness.errors import ExitCode, UsageError
from harness.resp.replies import Reply, Status
from tests.compare.clusters import cluster, free_port
from tests.compare.made import client_of, look, on_both
from tests.compare.pretend import pretending, refusing, without_run_id
from tests.support.monitor import Monitor
from tests.support.pairs import FAST, chain, follow, stop_following
from tests.support.servers import running

QUICK = AcceptOptions(drift_s=0, measure_s=0.2, comparison=Options(pause_s=0.02, most_commands_per_s=0))
FUNCTION = "#!lua name=mylib\nredis.register_function('f', function() return 1 end)"


def grades(report: Acceptance) -> dict[str, str]:
    return {check.name: check.grade.value for check in report.checks}


def fails(report: Acceptance) -> list[str]:
    return [check.name for check in report.of_grade(Grade.FAIL)]


def found(report: Acceptance, name: str) -> str:
    return next(check.found for check in report.checks if check.name == name)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server with everything that a migration stumbles over."""
    with running("valkey-server", tmp_path_factory.mktemp("source"), *FAST) as endpoint:
        with client_of(endpoint) as client:
            client.function_load(FUNCTION)
            client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all")
            client.hset("hash", mapping={"a": 1, "b": 2})
            client.execute_command("HPEXPIREAT", "hash", 4_000_000_000_000, "FIELDS", 1, "a")
            block = b"x" * 1_000_000
            for _ in range(101):
                client.rpush("large", block)
        with client_of(endpoint, 3) as client:
            client.set("elsewhere", "v", pxat=4_000_000_000_000)
        yield endpoint


def test_go_comes_with_the_last_fail_mended(source: Endpoint, tmp_path: Path) -> None:
    with running("valkey-server", tmp_path, *FAST) as target:
        follow(target, source)
        with client_of(target) as client:
            client.config_set("maxmemory", 1_000_000)
        stop_following(target)
        report = accept(source, target, QUICK)
        assert (report.verdict, fails(report)) == ("no-go", ["memory", "ACL users"])
        assert "for the backlog), 1.0 MB are allowed" in found(report, "memory")
        assert found(report, "ACL users") == "the target lacks the ACL user app"
        assert report.cutover[0].startswith("Do not cut over")
        with client_of(target) as client:
            client.config_set("maxmemory", 0)
        report = accept(source, target, QUICK)
        assert (report.verdict, fails(report)) == ("no-go", ["ACL users"])
        with client_of(target) as client:
            client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all")
        report = accept(source, target, QUICK)
    assert (report.verdict, report.exit_code, fails(report)) == ("go", ExitCode.AS_EXPECTED, [])
    assert grades(report)["large keys"] == "warn"
    assert found(report, "large keys").startswith("1 above 100.0 MB; the largest is large in db 0 with 1")
    assert found(report, "databases") == "the target has database 3 too"
    assert found(report, "TTLs") == "1 keys expire, 1 hashes have fields that do"
    jsonschema.validate(report.as_json(), SCHEMA)


@pytest.mark.skipif(not shutil.which("redis-server"), reason="needs an older server than the wheel's")
def test_an_older_and_smaller_target(source: Endpoint, tmp_path: Path) -> None:
    with running("redis-server", tmp_path, "databases 1") as target:
        report = accept(source, target, QUICK)
    assert fails(report) == ["versions", "databases", "commands", "TTLs", "functions", "ACL users", "comparison"]
    assert "its RDB has version 11, and 10 is the newest that the target knows" in found(report, "versions")
    assert found(report, "commands") == "clients of the source use what the target refuses: hpexpireat"
    assert found(report, "functions") == "the target lacks the function library mylib"
    assert "database 3, which the target does not have" in found(report, "databases")
    assert all(check.todo for check in report.of_grade(Grade.FAIL))


def test_the_product_says_what_the_server_does_not(source: Endpoint, tmp_path: Path) -> None:
    with running("valkey-server", tmp_path) as target:
        report = accept(source, target, replace(QUICK, product=product("azure-managed-redis")))
    assert "databases" in fails(report)
    with pytest.raises(UsageError, match="--profile azure: no such product; expected one of: azure-cache-for-redis"):
        product("azure")


def test_canary_on_a_pair_leaves_nothing_behind(tmp_path: Path) -> None:
    with chain("valkey-server", tmp_path) as (source, target):
        with client_of(source) as client:
            client.set("k", "v")
        report = accept(source, target, replace(QUICK, canary=True))
        with client_of(source) as client:
            assert client.keys() == [b"k"]
    assert report.verdict == "go"
    assert found(report, "canary order") == "10000 numbers in order; newest first: 10000, 9999, 9998, 9997, 9996, …"
    assert {"lag p50 ms", "lag p95 ms", "lag p99 ms"} <= report.figures.keys()


def test_a_canary_that_never_arrives_fails(tmp_path: Path) -> None:
    with ExitStack() as stack:
        ends = [stack.enter_context(running("valkey-server", tmp_path / name)) for name in ("a", "b")]
        report = accept(ends[0], ends[1], replace(QUICK, canary=True, canary_deadline_s=0.3))
        with client_of(ends[0]) as client:
            assert client.dbsize() == 0
    assert fails(report) == ["canary lag"]


def test_without_canary_only_reads_are_sent(tmp_path: Path) -> None:
    with chain("valkey-server", tmp_path) as (source, target):
        with client_of(source) as client:
            client.rpush("k", 1, 2, 3)
            client.wait(1, 5_000)
        with Monitor(source, None) as at_source, Monitor(target, source.port) as at_target:
            assert accept(source, target, QUICK).verdict == "go"
    sent = {seen.words for monitor in (at_source, at_target) for seen in monitor.commands}
    ours = {words for words in sent if words[0].upper() not in ("REPLCONF", "PSYNC")}
    names = {words[0].upper() if words[0].upper() in READS else " ".join(words[:2]).upper() for words in ours}
    assert names <= READS.keys()


def test_what_can_not_be_reached_is_a_fail_with_its_reason(source: Endpoint, tmp_path: Path) -> None:
    with running("valkey-server", tmp_path, "requirepass s3cret") as target:
        report = accept(source, replace(target, password="wr0ng"), QUICK)
    assert fails(report) == ["target reachable"]
    check = report.checks[1]
    assert "the user or password is refused" in check.found
    assert "HARNESS_ENDPOINT_TARGET_USER" in check.todo
    for text in (json.dumps(report.as_json()), terminal_text(report), markdown(report), html_page(report)):
        assert "s3cret" not in text
        assert "wr0ng" not in text
    assert fails(accept(source, Endpoint("127.0.0.1", free_port()), QUICK)) == ["target reachable"]


def test_one_server_given_twice_is_refused(source: Endpoint) -> None:
    with pytest.raises(UsageError, match=r"source .* and target .* are one and the same server"):
        accept(source, source, QUICK)


def test_two_that_nobody_can_tell_apart_and_two_that_are_empty_are_unknown(tmp_path: Path) -> None:
    with running("valkey-server", tmp_path / "a") as a, running("valkey-server", tmp_path / "b") as b:
        report = accept(a, b, QUICK)
        assert (report.verdict, grades(report)["comparison"]) == ("unknown", "not possible here")
        assert "neither side has a key" in found(report, "comparison")
        on_both((a, b), lambda client: client.set("k", "v"))
        with pretending(a, without_run_id) as front:
            report = accept(front, b, QUICK)
            assert (report.verdict, grades(report)["two servers"]) == ("unknown", "not possible here")
            known = replace(QUICK, comparison=replace(QUICK.comparison, different_servers=True))
            assert accept(front, b, known).verdict == "go"


def test_a_decision_is_not_made_on_a_replicas_word(tmp_path: Path) -> None:
    """The replica of the target still has what the target itself lost."""
    with (
        chain("valkey-server", tmp_path / "pair") as (target, copy),
        running("valkey-server", tmp_path / "s") as source,
    ):
        on_both((source, target), lambda client: client.set("k", "v"))
        with client_of(target) as client, client_of(copy) as second:
            client.wait(1, 30_000)
            second.config_resetstat()
        assert accept(source, target, QUICK).verdict == "go"
        with client_of(copy) as client:
            assert not {"cmdstat_scan", "cmdstat_strlen"} & set(client.info("commandstats"))  # type: ignore[arg-type]


def test_the_command(source: Endpoint, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with running("valkey-server", tmp_path / "target") as target:
        ends = ["--source", f"redis://127.0.0.1:{source.port}", "--target", f"redis://127.0.0.1:{target.port}"]
        pages = ["--html", str(tmp_path / "r.html"), "--markdown", str(tmp_path / "r.md")]
        code = run_command_line(["accept", *ends, "--keys", "nothing*", "--drift", "0", "--json", *pages])
    out, err = capfd.readouterr()
    report = json.loads(out)
    jsonschema.validate(report, SCHEMA)
    assert code == report["exit_code"] == 1
    assert "NO-GO: 2 fails" in err
    assert "| fail | functions | the target lacks the function library mylib |" in (tmp_path / "r.md").read_text()
    page = (tmp_path / "r.html").read_text()
    assert "the target lacks the ACL user app" in page
    assert "http" not in page


def test_an_expired_certificate_is_named(source: Endpoint, expired: Endpoint) -> None:
    report = accept(source, expired, QUICK)
    assert fails(report) == ["target reachable"]
    assert "certificate has expired" in report.checks[1].found
    assert "renew the certificate" in report.checks[1].todo


def test_a_part_that_is_equal_is_a_warning_and_drift_is_required(tmp_path: Path) -> None:
    with running("valkey-server", tmp_path / "a") as a, running("valkey-server", tmp_path / "b") as b:
        on_both((a, b), lambda client: client.mset({"k": "v", "other": "v"}))
        report = accept(a, b, replace(QUICK, drift_s=0.01, comparison=replace(QUICK.comparison, keys="k")))
    assert (report.verdict, grades(report)["comparison"]) == ("go", "warn")
    assert "keys that match k" in found(report, "comparison")
    assert "comparison and drift of a part only" in terminal_text(report)
    assert next(check for check in report.checks if check.name == "drift").required


def test_every_shard_of_a_cluster_is_looked_at(tmp_path: Path) -> None:
    """What a migration stumbles over stands on the second shard only."""
    folders = [tmp_path / name for name in ("cluster", "one")]
    with (
        cluster("valkey-server", folders[0], 2, *FAST) as shards,
        running("valkey-server", folders[1], *FAST) as target,
    ):
        with client_of(shards[1]) as client, client_of(target) as copy:
            client.function_load(FUNCTION)
            client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all")
            for each in (client, copy):
                each.hset("a", mapping={"f": 1})  # slots above the middle
                each.execute_command("HPEXPIREAT", "a", 4_000_000_000_000, "FIELDS", 1, "f")
                each.set("x", b"v" * 101_000_000)
            client.config_resetstat()
        paced = replace(QUICK, comparison=replace(QUICK.comparison, most_commands_per_s=10_000))
        report = accept(shards[0], target, paced)
        with client_of(shards[1]) as client:
            calls: dict[str, dict[str, int]] = client.info("commandstats")  # type: ignore[assignment]
            pings = calls["cmdstat_ping"]["calls"]
    assert fails(report) == ["functions", "ACL users"]
    assert found(report, "functions") == "the target lacks the function library mylib"
    assert found(report, "types") == "1 hash, 1 string"
    assert found(report, "large keys").startswith("1 above 100.0 MB; the largest is x in db 0 with 1")
    assert found(report, "TTLs") == "0 keys expire, 1 hashes have fields that do"
    assert pings >= 3  # its latency is watched, too


def test_a_module_in_use_that_the_target_lacks(tmp_path: Path) -> None:
    """Of two that the source has loaded, the target lacks both; keys, and then clients, show that one is in use."""
    clients = False

    def with_modules(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        if words[:2] == [b"MODULE", b"LIST"]:
            return [[b"name", b"ReJSON", b"ver", 20_000], [b"name", b"bf", b"ver", 20_000]]
        if words == [b"INFO", b"commandstats"] and clients:
            return b"# Commandstats\r\ncmdstat_BF.ADD:calls=3,usec=1\r\n"  # as modules may spell theirs
        return Status("ReJSON-RL") if words == [b"TYPE", b"document"] else ask()

    with running("valkey-server", tmp_path / "a") as a, running("valkey-server", tmp_path / "b") as b:
        on_both((a, b), lambda client: client.mset({"k": "v", "document": "v"}))
        with pretending(a, with_modules) as source:
            report = accept(source, b, QUICK)
            assert "modules" in fails(report)
            assert found(report, "modules") == (
                "the target lacks a module, in use on the source: ReJSON (keys of type ReJSON-RL)"
            )
            with client_of(a) as client, client_of(b) as other:
                client.delete("document")
                other.delete("document")
            report = accept(source, b, QUICK)
            assert (report.verdict, grades(report)["modules"]) == ("go", "warn")
            assert found(report, "modules").endswith("no command in use needs it): ReJSON, bf")
            clients = True
            report = accept(source, b, QUICK)
    assert fails(report) == ["modules", "commands"]
    assert found(report, "modules").endswith("in use on the source: bf (clients use bf.add)")


def test_a_password_that_is_not_given_is_a_fail(source: Endpoint, tmp_path: Path) -> None:
    with running("valkey-server", tmp_path, "requirepass s3cret") as locked:
        for ends, name in (((source, locked), "target"), ((locked, source), "source")):
            report = accept(*ends, QUICK)
            assert fails(report) == [f"{name} reachable"]
            assert "a password is needed, and none was given" in found(report, f"{name} reachable")


def test_what_can_not_be_looked_at_is_told(source: Endpoint, tmp_path: Path) -> None:
    """Slots that nobody serves: nobody can say what is there."""
    with running("valkey-server", tmp_path, "cluster-enabled yes", port=free_port()) as target:
        report = accept(source, target, QUICK)
    assert (report.verdict, fails(report)) == ("unknown", [])
    assert "nobody serves slots 0-16383" in found(report, "servers")


def test_our_own_reads_are_no_writes_and_our_scripts_nobodys(tmp_path: Path) -> None:
    with running("valkey-server", tmp_path / "a") as a, running("valkey-server", tmp_path / "b") as b:
        on_both((a, b), lambda client: client.rpush("k", *range(5_000)))
        assert look((a, b), digest=True).verdict == "equal"
        with client_of(a) as client:
            assert client.info("memory")["number_of_cached_scripts"]
        report = accept(a, b, QUICK)
        assert found(report, "backlog").startswith("nothing was written while we measured")
        assert "cut survived s" not in report.figures
        assert grades(report)["functions"] == "pass"
        with client_of(a) as client:
            client.script_load("return 1")
        assert found(accept(a, b, QUICK), "functions") == "1 scripts are cached"


def test_reads_that_a_target_refuses_though_its_own_list_names_them(tmp_path: Path) -> None:
    with running("valkey-server", tmp_path / "a") as a, running("valkey-server", tmp_path / "b") as b:
        on_both((a, b), lambda client: client.set("k", "v"))
        with pretending(b, refusing(b"OBJECT", b"MEMORY USAGE")) as target:
            known = replace(QUICK, comparison=replace(QUICK.comparison, different_servers=True))
            assert grades(accept(a, target, known))["commands"] == "pass"  # it was we who sent them
            with client_of(a) as client:
                for _ in range(20):
                    client.execute_command("OBJECT", "ENCODING", "k")
            report = accept(a, target, known)
    assert (report.verdict, grades(report)["commands"]) == ("go", "warn")
    assert "object|encoding" in found(report, "commands")
