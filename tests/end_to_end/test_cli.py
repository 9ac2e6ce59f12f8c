"""The command line from outside: what goes to standard output, what to standard error, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from harness.cli import COMMANDS, run_command_line
from harness.errors import ExitCode
from harness.exit_codes import MEANINGS, exit_code_table, of_folder
from tests.support.servers import running as server

REPOSITORY = Path(__file__).parent.parent.parent
TEN_THOUSAND = REPOSITORY / "scenarios/enterprise_endpoint/ten_thousand_numbers.yaml"
PAIR = """\
version: 1
title: A pair
topology: {nodes: {a: {port: 6379}, b: {replica_of: a, port: 6380}}}
workload: {key: "numbers:list", values: 2000, batch: {shape: variadic, size: 100}}
"""
WRONG = PAIR + "expect: {anomalies: [lost]}\n"


def harness(
    *arguments: object, cwd: Path, environment: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """`harness ARGUMENTS…`, in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@contextmanager
def running(*arguments: object, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """`harness ARGUMENTS…` as a process to talk to; it must have ended by itself at the end."""
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    try:
        yield process
        process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def children_of(pid: int) -> set[int]:
    """Every process below this one."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == pid:
            found |= {int(stat.parent.name), *children_of(int(stat.parent.name))}
    return found


def gone(pids: set[int]) -> bool:
    """Whether none of them runs (one that nobody has waited for yet does not)."""
    return not any(Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text() for pid in pids)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    path = tmp_path / "pair.yaml"
    path.write_text(PAIR)
    return path


# -- help, exit codes, bad command lines


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", shown, re.MULTILINE) for name in COMMANDS)
    assert all(f"{code.value}  {meaning}" in shown for code, meaning in MEANINGS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_the_help_that_the_overview_promises(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: harness {name} ")


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom harness.cli import run_command_line\nrun_command_line(['--help'])\n"
        "heavy = {'yaml', 'pydantic', 'redis', 'hypothesis', 'tabulate', 'rich', 'requests', 'toxiproxy', 'docker'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)


def test_every_exit_code_has_a_meaning_and_a_line_in_the_table() -> None:
    assert set(MEANINGS) == set(ExitCode)
    assert exit_code_table().splitlines()[2] == "| 0 | as expected |"
    assert len(exit_code_table().splitlines()) == 2 + len(ExitCode)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((0, 5, 0), 0),
        ((0, 7), 7),
        ((7, 6, 0), 6),
        ((6, 1, 7), 1),
        ((1, 3, 6), 3),
        ((3, 2, 1), 2),
        ((5, 5), 5),
        ((), 5),
    ],
)
def test_a_folder_ends_with_its_worst(codes: tuple[int, ...], expected: int) -> None:
    assert of_folder(map(ExitCode, codes)) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frob"], "No such command 'frob'"),
        (["run"], "Missing argument 'PATHS...'"),
        (["run", "--frob", "x"], "No such option '--frob'"),
        (["run", "missing.yaml"], "harness: missing.yaml: no such file or folder"),
        (["run", "--runtime", "cloud", "x"], "'cloud' is not one of 'auto', 'local', 'container', 'external'"),
        (["run", "--examples", "0", "x"], "0 is not in the range x>=1"),
        (["run", "--examples", "3", "x"], "--examples 3 goes with --property: nothing is drawn in the written run"),
        (["run", "--seed", "0", "x"], "--seed 0 goes with --property: nothing is drawn in the written run"),
        (["judge", "."], "harness: . is no run directory"),
        (["replay", "missing"], "harness: missing is no run directory"),
        (["clean", "--endpoint", "http://x"], "it does not begin with redis:// or rediss://"),
        (["engines", "--engine-path", "x"], "--engine-path x: expected NAME=PATH"),
    ],
)
def test_a_bad_command_line_ends_with_4_and_one_message(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command_line(arguments) == 4
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_a_wrong_file_ends_with_4_before_anything_starts(tmp_path: Path, pair: Path) -> None:
    (tmp_path / "typo.yaml").write_text(PAIR.replace("workload", "worklaod"))
    ended = harness("run", ".", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert "typo.yaml:4:1: worklaod: unknown key; did you mean 'workload'?" in ended.stderr.splitlines()
    assert "Traceback" not in ended.stderr


def test_a_mistake_of_ours_says_where_the_traceback_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("harness.commands.schema.Output", crash)
    assert run_command_line(["schema"]) == 3
    shown = capsys.readouterr().err
    assert shown.startswith("harness: the harness itself failed: RuntimeError: a bug\nThe traceback is in ")
    saved = Path(re.findall(r"The traceback is in (\S+);", shown)[0])
    assert 'raise RuntimeError("a bug")' in saved.read_text()
    saved.unlink()
    monkeypatch.setenv("HARNESS_DEBUG", "1")
    assert run_command_line(["schema"]) == 3
    assert 'raise RuntimeError("a bug")' in capsys.readouterr().err


# -- run


def test_one_scenario_gives_its_table_and_exit_code(tmp_path: Path, pair: Path) -> None:
    ended = harness("run", pair, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("A pair\npair · written · runtime local · ")
    assert "VALID, as expected" in ended.stdout
    assert ended.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair.yaml"]


def test_json_is_one_object_with_everything(tmp_path: Path) -> None:
    ended = harness(
        "run", TEN_THOUSAND, "--json", "--engine", "valkey-9.1.2", "--engine", "b=valkey-9.1.2", cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    report = json.loads(line)
    assert report["verdict"] == "valid"
    assert report["as_expected"] is True
    assert report["acknowledged"] == 10_000
    assert report["read"] == {"b": 10_000}
    assert report["engines"] == {"a": "valkey-9.1.2", "b": "valkey-9.1.2"}
    assert report["profiles"] == {"b": "simulated redis-enterprise"}
    assert report["newest_first"] == {"b": ["10000", "9999", "9998", "9997", "9996"]}
    assert report["sync"]["a->b"]["full"] == 0
    assert set(report["seconds"]) == {"start", "write", "converge", "verify", "judge", "total"}
    assert "VALID, as expected" in ended.stderr


def test_a_folder_gives_a_line_each_and_a_sum(tmp_path: Path, pair: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    ended = harness("run", ".", cwd=tmp_path)
    assert ended.returncode == 1
    assert re.search(r"^ok   pair  .*VALID, as expected$", ended.stdout, re.MULTILINE)
    assert re.search(r"^BAD  wrong .*VALID, not as expected", ended.stdout, re.MULTILINE)
    assert ended.stdout.rstrip().endswith("2 scenarios: 1 as expected, 1 not as expected")


def test_a_folder_as_json_keeps_the_rest_off_standard_output(tmp_path: Path, pair: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    ended = harness("run", ".", "--json", cwd=tmp_path)
    assert [json.loads(line)["exit_code"] for line in ended.stdout.splitlines()] == [0, 1]
    assert "2 scenarios: 1 as expected, 1 not as expected" in ended.stderr


def test_what_the_machine_lacks_ends_with_7_and_does_not_stop_the_others(tmp_path: Path, pair: Path) -> None:
    ended = harness("run", pair, "--engine", "redis-1.2.3", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (7, "")
    assert ended.stderr.startswith("harness: engine redis-1.2.3 is not on this machine; at hand: ")
    as_json = harness("run", pair, "--engine", "redis-1.2.3", "--json", cwd=tmp_path)
    report = json.loads(as_json.stdout)
    assert (as_json.returncode, report["exit_code"], report["verdict"]) == (7, 7, None)
    assert report["error"].startswith("engine redis-1.2.3 is not on this machine")
    (tmp_path / "other.yaml").write_text(PAIR.replace("a: {port: 6379}", "a: {port: 6379, engine: redis-1.2.3}"))
    both = harness("run", ".", cwd=tmp_path)
    assert both.returncode == 7
    assert "1 as expected, 1 failed" in both.stdout


@pytest.mark.parametrize(
    ("selection", "expected"),
    [(["--tag", "night"], ["night"]), (["-k", "A PAIR"], ["night", "pair"]), (["-k", "nothing"], [])],
)
def test_selection(tmp_path: Path, pair: Path, selection: list[str], expected: list[str]) -> None:
    (tmp_path / "night.yaml").write_text(PAIR + "tags: [night]\n")
    ended = harness("run", ".", "--json", *selection, cwd=tmp_path)
    assert [json.loads(line)["scenario"] for line in ended.stdout.splitlines()] == expected
    assert ended.returncode == (0 if expected else 5)


def test_overrides_and_options_reach_the_run(tmp_path: Path, pair: Path) -> None:
    ended = harness(
        "run", pair, "--json", "--set", "workload.values=123", "--set", "workload.batch.shape=single",
        "--run-id", "mine", "--keep", "--out", "kept", cwd=tmp_path,
    )  # fmt: skip
    report = json.loads(ended.stdout)
    assert (report["workload"]["values"], report["workload"]["batch"]["shape"]) == (123, "single")
    assert report["run_dir"].startswith("kept/pair/")
    assert report["run_dir"].endswith("-mine")
    assert (tmp_path / report["run_dir"] / "evidence.json").is_file()


def test_a_property_is_drawn_when_asked_for(tmp_path: Path, pair: Path) -> None:
    without = harness("run", pair, "--property", cwd=tmp_path)
    assert without.returncode == 4
    assert "pair.yaml has no property to draw from" in without.stderr
    pair.write_text(PAIR + "property: {values: {max: 30}}\n")
    ended = harness("run", pair, "--property", "--examples", "5", "--seed", "7", "--json", cwd=tmp_path)
    report = json.loads(ended.stdout)
    assert (ended.returncode, report["part"], report["seed"], report["verdict"]) == (0, "property", 7, "valid")
    assert report["draws"]["examples"] >= 5


# -- what B sent


def test_newest_first_is_the_list_backwards_and_nothing_else(tmp_path: Path) -> None:
    ended = harness("run", TEN_THOUSAND, "--print", "newest-first", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "".join(f"{number}\n" for number in range(10_000, 0, -1))
    assert "VALID, as expected" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_a_node_really_sent_is_printed(tmp_path: Path, pair: Path) -> None:
    pair.write_text(
        PAIR.replace("port: 6380", 'port: 6380, config: {replica-read-only: "no"}')
        + 'faults:\n  - {at: 50%, stray_write: {node: b, key: "numbers:list", element: "stray\\\\x1b"}}\n'
    )
    ended = harness("run", pair, "--print", "newest-first", "--node", "b", cwd=tmp_path)
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    assert lines.count("stray\\\\x1b") == 1
    lines.remove("stray\\\\x1b")
    assert lines == [str(number) for number in range(2000, 0, -1)]


def test_a_reader_that_stops_changes_nothing(tmp_path: Path) -> None:
    million = "--set workload.values=1000000 --set workload.batch.shape=variadic --set expect={}"
    command = f"{sys.executable} -m harness run {TEN_THOUSAND} {million} --print newest-first"
    ended = subprocess.run(
        ["bash", "-c", f"{command} | head -5; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.stdout.split() == ["1000000", "999999", "999998", "999997", "999996", "0"]
    assert "Traceback" not in ended.stderr
    assert "Broken" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--node", "b"], "--node goes with --print newest-first"),
        (["--print", "newest-first", "--json"], "--json and --print both want standard output"),
        (["--print", "newest-first", "--node", "z"], "--node z: no such node"),
    ],
)
def test_printing_that_can_not_be_is_refused(
    pair: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["run", str(pair), *arguments]) == 4
    assert message in capsys.readouterr().err


# -- judge and replay


def test_a_stored_run_is_judged_again_without_a_server(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    first = json.loads(harness("run", "wrong.yaml", "--json", cwd=tmp_path).stdout)
    assert first["replay"] == f"harness replay {first['run_dir']}"
    judged = harness("judge", first["run_dir"], "--json", cwd=tmp_path, environment={"PATH": "/nonexistent"})
    assert judged.returncode == 1
    assert json.loads(judged.stdout) == first | {"file": f"{first['run_dir']}/scenario.yaml"}


def test_a_stored_run_is_run_again(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    first = json.loads(harness("run", "wrong.yaml", "--json", cwd=tmp_path).stdout)
    again = harness(*first["replay"].split()[1:], "--json", cwd=tmp_path)
    assert again.returncode == 1
    assert json.loads(again.stdout)["unmet"] == first["unmet"]
    assert json.loads(again.stdout)["scenario"] == "wrong"


def test_newer_evidence_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    run_dir = tmp_path / json.loads(harness("run", "wrong.yaml", "--json", cwd=tmp_path).stdout)["run_dir"]
    stored = json.loads((run_dir / "evidence.json").read_text())
    (run_dir / "evidence.json").write_text(json.dumps(stored | {"version": 99}))
    ended = harness("judge", run_dir, cwd=tmp_path)
    assert ended.returncode == 4
    assert "evidence.json has version 99, and this harness reads version 1" in ended.stderr


# -- up

PROGRAM = """
import os, redis
a = redis.Redis(os.environ["REDIS_SERVER1_IP"], 6379, password=os.environ["REDIS_SERVER1_PASSWORD"])
a.delete("numbers:list")
pipeline = a.pipeline()
for number in range(1, 10001):
    pipeline.rpush("numbers:list", number)
pipeline.execute()
b = redis.Redis(os.environ["REDIS_SERVER2_IP"], 10878)
found = b.lrange("numbers:list", 0, -1)
print(*reversed([int(value) for value in found][-5:]))
"""


def test_a_program_runs_unchanged_with_the_variables(tmp_path: Path) -> None:
    ended = harness("up", TEN_THOUSAND, "--", sys.executable, "-c", PROGRAM, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "10000 9999 9998 9997 9996\n"), ended.stderr


@pytest.mark.parametrize(("script", "code"), [("exit 9", 9), ("kill -9 $$", 137)])
def test_up_ends_with_the_commands_exit_code(tmp_path: Path, pair: Path, script: str, code: int) -> None:
    assert harness("up", pair, "--", "sh", "-c", script, cwd=tmp_path).returncode == code


def test_up_refuses_a_program_that_is_not_there(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["up", str(pair), "--", "no-such-program"]) == 4
    assert "no-such-program: there is no such program to run" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_keeps_until_it_is_told_to_stop(tmp_path: Path, number: int) -> None:
    with running("up", TEN_THOUSAND, "--env", cwd=tmp_path) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(6)]
        servers = children_of(process.pid)
        process.send_signal(number)
        process.wait(timeout=30)
    host = lines[0].strip().rpartition("=")[2]
    assert lines == [
        f"export REDIS_SERVER1_IP={host}\n",
        "export REDIS_SERVER1_PORT=6379\n",
        "export REDIS_SERVER1_PASSWORD=secret\n",
        f"export REDIS_SERVER2_IP={host}\n",
        "export REDIS_SERVER2_PORT=10878\n",
        "unset REDIS_SERVER2_PASSWORD\n",
    ]
    assert process.returncode == 0
    assert len(servers) >= 2
    assert gone(servers)


def test_the_table_of_addresses_holds_no_password(tmp_path: Path) -> None:
    with running("up", TEN_THOUSAND, cwd=tmp_path) as process:
        assert process.stdout is not None
        table = "".join(process.stdout.readline() for _ in range(4))
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    assert "simulated redis-enterprise" in table
    assert "10878" in table
    assert "REDIS_SERVER1_PASSWORD" in table
    assert "secret" not in table


def test_up_says_which_faults_have_no_moment(tmp_path: Path) -> None:
    file = REPOSITORY / "scenarios/one_replica/latency_on_link.yaml"
    ended = harness("up", file, "--faults", "--", "true", cwd=tmp_path)
    assert ended.returncode == 0
    assert re.search(r"not applied: latency .* on a->b begins at \d+%, and nothing is written here", ended.stderr)


def test_faults_of_a_time_are_applied_while_it_is_up(tmp_path: Path, pair: Path) -> None:
    pair.write_text(PAIR + "faults:\n  - {at: 0s, link: client->b, toxic: latency, latency_ms: 150}\n")
    program = (
        "import os, time, redis\n"
        "b = redis.Redis(os.environ['REDIS_SERVER2_IP'], int(os.environ['REDIS_SERVER2_PORT']), protocol=2)\n"
        "b.ping(); began = time.monotonic(); b.ping(); print(time.monotonic() - began >= 0.15)\n"
    )
    ended = harness("up", pair, "--faults", "--", sys.executable, "-c", program, cwd=tmp_path)
    assert ended.stdout == "True\n", ended.stderr


# -- being interrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_stopped_ends_with_2_and_leaves_nothing(tmp_path: Path, pair: Path, number: int) -> None:
    pair.write_text(PAIR + "faults:\n  - {at: 50%, until: 60s, link: client->a, toxic: bandwidth, kb_per_s: 0}\n")
    with running("run", pair, cwd=tmp_path) as process:
        servers: set[int] = set()
        while len(servers) < 3 and process.poll() is None:
            servers = children_of(process.pid)
        process.send_signal(number)
        process.wait(timeout=30)
        assert process.stderr is not None
        assert "interrupted" in process.stderr.read()
    assert process.returncode == 2
    assert gone(servers)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair.yaml"]


# -- the small commands


def test_list_shows_the_scenarios_of_this_repository(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["list", str(REPOSITORY / "scenarios"), "--json"]) == 0
    rows = {row["scenario"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["chained_replicas/three_in_a_row"]["topology"] == "a -> b -> c"
    assert rows["fan_out/three_replicas"]["topology"] == "a -> (b, c, d)"
    assert rows["enterprise_endpoint/ten_thousand_numbers"]["parts"] == "written, property"


def test_list_without_a_folder_selects_nothing(tmp_path: Path) -> None:
    assert harness("list", cwd=tmp_path).returncode == 5


def test_the_schema_is_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"topology", "workload", "faults", "expect", "property"} <= set(schema["properties"])


def test_engines_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["engines", "--json"]) == 0
    engines = [json.loads(line)["engine"] for line in capsys.readouterr().out.splitlines()]
    assert "valkey-9.1.2" in engines


def test_doctor_says_what_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["doctor"]) == 0
    shown = capsys.readouterr().out
    for topic in (
        "python",
        "engines",
        "fault proxy",
        "addresses",
        "port 6379",
        "docker",
        "runtime local",
        "runtime external",
    ):
        assert re.search(rf"^(ok|NO|- )? +{topic} ", shown, re.MULTILINE), topic


def test_what_a_killed_run_left_is_shown_and_then_removed(tmp_path: Path) -> None:
    with server("valkey-server", tmp_path / "server") as endpoint, redis.Redis("127.0.0.1", endpoint.port) as client:
        client.rpush("harness:dead:numbers:list", 1, 2, 3)
        client.set("mine", "stays")
        url = f"redis://{endpoint.address}"
        shown = harness("clean", "--endpoint", url, cwd=tmp_path)
        assert (shown.returncode, client.dbsize()) == (0, 2)
        assert re.search(r"^dead +0 +harness:dead:numbers:list +list +3 ", shown.stdout, re.MULTILINE)
        assert "nothing was removed; --yes removes them" in shown.stderr
        other = harness("clean", "--endpoint", url, "--run-id", "other", "--yes", cwd=tmp_path)
        assert (other.stdout, client.dbsize()) == (f"nothing of a run is on {url}\n", 2)
        removed = harness("clean", "--endpoint", url, "--yes", cwd=tmp_path)
        assert removed.stdout.endswith("1 key removed\n")
        assert client.keys() == [b"mine"]
