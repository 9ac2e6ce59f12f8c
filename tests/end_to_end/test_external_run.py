"""A whole `harness run` against servers that somebody else has started: what reaches them, and what is told of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from harness.runtime.readiness import wait_until
from tests.support import lying_replica
from tests.support.lying_replica import Lie, LyingReplica
from tests.support.managed import enterprise
from tests.support.monitor import Monitor
from tests.support.pairs import ENGINES, chain, contents
from tests.support.resp_proxy import RespProxy

SECRET = "s3cr3t-of-a"
SCENARIO = """\
version: 1
title: Numbers reach servers that are not ours
topology: {nodes: {a: {port: 6379}, b: {replica_of: a, port: 10878}}}
preload: [{key: "preload:list", values: 50, db: 1}]
workload: {key: "numbers:list", values: 3000, batch: {shape: variadic, size: 70}}
faults:
  - {at: 20%, until: 80%, link: a->b, toxic: latency, latency_ms: 5}
expect: {list: exact, newest_first: 3, full_syncs: 0, max_lag_ms: 60000}
property: {values: {max: 50}, examples: 3}
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[tuple[Endpoint, Endpoint]]:
    """A primary with a password, with somebody's keys on it, and its replica."""
    with chain(ENGINES[0], tmp_path_factory.mktemp("servers")) as (a, b):
        with closing(connect(a)) as client, closing(connect(b)) as replica:
            client.rpush("numbers:list", "theirs")
            client.set("precious", "theirs")
            replica.config_set("masterauth", SECRET)
            client.config_set("requirepass", SECRET)
        yield replace(a, password=SECRET), b


def command_line(a: Endpoint, b: Endpoint, folder: Path, *more: str) -> list[str]:
    (folder / "numbers.yaml").write_text(SCENARIO)
    where = ["--runtime", "external", "--endpoint", f"a={a}", "--endpoint", f"b={b}", "--run-id", "r1"]
    return [sys.executable, "-m", "harness", "run", "numbers.yaml", *where, "--out", "out", *more]


def harness_run(
    a: Endpoint, b: Endpoint, folder: Path, *more: str, secret: str = SECRET
) -> subprocess.CompletedProcess[str]:
    """`harness run` with the password in the environment, as the README advises."""
    return subprocess.run(
        command_line(a, b, folder, *more),
        cwd=folder,
        env={**os.environ, "HARNESS_ENDPOINT_A_PASSWORD": secret},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("more", [[], ["--property"], ["--json"]])
def test_a_run_touches_nothing_but_its_own_keys(servers, tmp_path, more):
    a, b = servers
    before = contents(a)
    with Monitor(a) as on_a, Monitor(b, a.port) as on_b:
        done = harness_run(a, b, tmp_path, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {seen.words[0] for seen in on_a.commands + on_b.commands}
    keyed = {"RPUSH", "LLEN", "LRANGE", "TYPE", "EXISTS", "SET", "GET", "UNLINK"}
    assert names <= keyed | {"AUTH", "PING", "INFO", "SELECT", "MULTI", "EXEC", "DPING", "CLIENT"}
    keys = {key for seen in on_a.commands + on_b.commands for key in keys_of(seen.words) if seen.words[0] in keyed}
    assert keys
    assert all(key.startswith("harness:r1:") for key in keys)
    assert {seen.words[0] for seen in on_b.commands}.isdisjoint({"RPUSH", "SET", "UNLINK"})
    assert contents(a) == before


def keys_of(words: tuple[str, ...]) -> tuple[str, ...]:
    return words[1:] if words[0] in ("UNLINK", "EXISTS") else words[1:2]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 2), (signal.SIGTERM, 2)])
def test_nothing_is_left_of_a_run_that_is_interrupted_while_it_writes(servers, tmp_path, number, code):
    a, b = servers
    before = contents(a)
    values = ["--set", "workload.values=100000000", "--set", "faults=[]"]
    process = subprocess.Popen(
        command_line(a, b, tmp_path, *values),
        cwd=tmp_path,
        env={**os.environ, "HARNESS_ENDPOINT_A_PASSWORD": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with process, closing(connect(a)) as client:
        try:
            wait_until(lambda: client.llen("harness:r1:numbers:list") > 10_000, deadline_s=60, what="elements on a")
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code, said
    assert contents(a) == before


def test_exact_keys_refuse_what_is_there_and_leave_it(servers, tmp_path):
    a, b = servers
    before = contents(a)
    done = harness_run(a, b, tmp_path, "--exact-keys")
    assert done.returncode == 7
    assert "the key 'numbers:list' already exists in database 0 on a" in done.stderr
    assert contents(a) == before


LIES = [
    (lying_replica.drop_tail(3), "truncated", 2997),
    (lying_replica.drop(10), "lost", 10),
    (lying_replica.swap(10), "reordered", 10),
    (lying_replica.replace(10, b"x"), "wrong_value", 10),
    (lying_replica.insert(10, b"x"), "phantom", 10),
    (lying_replica.duplicate(10), "duplicated", 11),
    (None, "wrong_type", None),
]


def found(servers: tuple[Endpoint, Endpoint], tmp_path: Path, liar: LyingReplica) -> list[tuple[str, str, int | None]]:
    """Kind, node and index of every anomaly of a run whose B lies; nothing is left of it."""
    before = contents(servers[0])
    with liar:
        done = harness_run(servers[0], liar.endpoint, tmp_path, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["verdict"]) == (1, "invalid")
    assert contents(servers[0]) == before
    return [(anomaly["kind"], anomaly["node"], anomaly["first"]["index"]) for anomaly in told["anomalies"]]


@pytest.mark.parametrize(("lie", "kind", "index"), LIES, ids=[kind for _, kind, _ in LIES])
def test_a_replica_that_lies_is_found_out(servers, tmp_path, lie: Lie | None, kind, index):
    assert found(servers, tmp_path, LyingReplica(servers[1], "numbers:list", lie)) == [(kind, "b", index)]


@pytest.mark.parametrize(("lie", "kind", "index"), [LIES[0], LIES[-1]], ids=["truncated", "wrong_type"])
def test_one_that_lies_about_the_length_and_the_type_as_well_is_too(servers, tmp_path, lie: Lie | None, kind, index):
    liar = LyingReplica(servers[1], "numbers:list", lie, length_lies=True)
    assert found(servers, tmp_path, liar) == [(kind, "b", index)]


def test_a_key_that_is_denied_is_missing(servers, tmp_path):
    liar = LyingReplica(servers[1], "numbers:list", lying_replica.nothing, length_lies=True)
    assert [kind for kind, _, _ in found(servers, tmp_path, liar)] == ["missing_key"]


def test_a_key_that_is_there_and_sends_nothing_is_truncated(servers, tmp_path):
    liar = LyingReplica(servers[1], "numbers:list", lying_replica.nothing)
    assert found(servers, tmp_path, liar) == [("truncated", "b", 0)]


def test_no_password_is_told_stored_or_shown(servers, tmp_path):
    a, b = servers
    with LyingReplica(b, "numbers:list", lying_replica.swap(5)) as liar:
        done = harness_run(a, liar.endpoint, tmp_path, "--keep", "--run-id", "r2")
    assert done.returncode == 1
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert files, "a failed run keeps its run directory"
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in done.stdout + done.stderr
    with closing(connect(a)) as client:
        kept = list(client.scan_iter("harness:r2:*"))
        assert kept == [b"harness:r2:numbers:list"]
        client.delete(*kept)
    with closing(connect(a.with_database(1))) as client:
        assert client.delete("harness:r2:preload:list") == 1


def test_a_wrong_password_ends_with_7_and_is_not_shown(servers, tmp_path):
    done = harness_run(*servers, tmp_path, secret="wr0ng-one")
    assert done.returncode == 7
    assert "Set HARNESS_ENDPOINT_A_PASSWORD to its password" in done.stderr
    assert "wr0ng-one" not in done.stdout + done.stderr


def test_an_endpoint_that_shows_no_offsets_is_judged_by_canaries(servers, tmp_path):
    a, b = servers
    with RespProxy(b, enterprise()) as proxy:
        done = harness_run(a, proxy.endpoint, tmp_path, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["verdict"], told["doubts"]) == (0, "valid", [])
    assert told["converged"]["b"]["how"] == "canary"
    assert told["lag"]["b"]["max_ms"] < 60_000
