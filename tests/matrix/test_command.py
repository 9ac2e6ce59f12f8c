"""`harness matrix` from outside: what it takes, writes and ends with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cli import run_command_line
from harness.commands.matrix import _tell_newest
from harness.engine.binaries import Engine
from tests.support.broken_engine import adding, proxied
from tests.support.servers import program

REDIS = ("--engine-path", f"real={program('redis-server')}")
QUICK = ("--pair", "real:real", "--features", "list", "--sync", "full_disk")


def ends(*arguments: str) -> int:
    return run_command_line(["matrix", *arguments])


def test_a_pair_and_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: tmp_path / f"m.{name}" for name in ("html", "json", "markdown", "junit")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    assert ends(*REDIS, *QUICK, *options) == 0
    assert "1 cells in" in capsys.readouterr().out
    told = json.loads(files["json"].read_text())
    (cell,) = told["cells"]
    assert (cell["outcome"], cell["expected"], cell["rule"]) == ("ok", "ok", "compatible")
    assert cell["replay"] == f"harness matrix {' '.join(REDIS)} --pair real:real --features list --sync full_disk"
    assert all(path.stat().st_size > 200 for path in files.values())
    assert ends(*REDIS, *QUICK, "--baseline", str(files["json"])) == 0


def test_a_pair_by_the_beginning_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--engine-path", f"redis-7.9={program('redis-server')}", "--pair", "redis-7.9:redis")
    assert ends(*given, *QUICK[2:]) == 0
    assert "1 cells in" in capsys.readouterr().out


def test_nothing_that_could_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(*REDIS, "--pair", "real:real", "--features", "json", "--sync", "full_disk") == 5
    file = tmp_path / "before.json"
    assert ends(*REDIS, *QUICK, "--json", str(file)) == 0
    capsys.readouterr()
    assert ends(*REDIS, *QUICK[:2], "--features", "hash", "--baseline", str(file)) == 4
    assert "before.json: holds none of the cells that are asked for" in capsys.readouterr().err


def test_broken_engines_are_lost_and_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lossy = proxied(tmp_path / "lossy", program("redis-server"), "drops an element")
    refuses = ('rename-command PSYNC ""', 'rename-command SYNC ""')
    silent = adding(tmp_path / "silent", program("redis-server"), *refuses)
    paths = (*REDIS, "--engine-path", f"lossy={lossy}", "--engine-path", f"silent={silent}")
    pairs = ("--pair", "real:lossy", "--pair", "silent:real")
    assert ends(*paths, *pairs, "--features", "list", "--sync", "full_disk") == 1
    shown = capsys.readouterr().out
    assert "lost instead of ok: real -> lossy, list by full_disk" in shown
    assert "refused instead of ok: silent -> real, list by full_disk" in shown
    assert "again: harness matrix --engine-path" in shown


def test_a_changed_answer_ends_with_1_and_says_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "before.json"
    assert ends(*REDIS, *QUICK, "--json", str(file)) == 0
    told = json.loads(file.read_text())
    told["cells"][0]["outcome"] = "refused"
    file.write_text(json.dumps(told))
    assert ends(*REDIS, *QUICK, "--baseline", str(file)) == 1
    assert "real -> real, list, full_disk: refused -> ok" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--features", "lists"), "--features lists: no 'lists'; there are all, list, large_list"),
        (("--sync", "full,disk"), "--sync full,disk: no 'disk'; there are full, all, full_disk"),
        (("--engines", "mongo-7"), "no engine 'mongo-7': the families are redis"),
        (("--pair", "real"), "--pair real: expected PRIMARY:REPLICA"),
        (("--engine-path", "x"), "expected|is not of the form --engine-path NAME=PATH"),
        (("--json", "/nowhere/m.json"), "/nowhere/m.json: there is no folder /nowhere"),
        (("--baseline", "/nowhere/m.json"), "/nowhere/m.json: No such file"),
        (("--engines-file", "/nowhere/e.yaml"), "/nowhere/e.yaml: No such file"),
        (("--scenario", "/nowhere/s.yaml"), "/nowhere/s.yaml"),
        (("--jobs", "0"), "--jobs"),
        (("--engines", ""), "--engines '': expected names of engines"),
        (("--sync", ""), "--sync '': no ''; there are full"),
        (("--engines", "real", "--pair", "real:redis-7"), "--pair real:redis-7: redis-7 is not among --engines real"),
        (("--json", "/proc/m.json"), "/proc/m.json: can't be written: No such file"),
        (("--property",), "--property goes with --scenario"),
    ],
)
def test_what_it_can_not_be_asked(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(*REDIS, *arguments) == 4
    assert re.search(message, capsys.readouterr().err)


def test_a_short_name_says_which_engine_it_stands_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    two = [
        Engine(f"redis-{version}", "redis", version, Path(program("redis-server")), "PATH")
        for version in ("7.0.9", "8.0")
    ]
    monkeypatch.setattr("harness.engine.binaries.find_engines", lambda: two)
    monkeypatch.setattr("harness.engine.binaries.choose", lambda name: two[1])
    _tell_newest("redis")
    assert "--engines redis: takes redis-8.0, the newest of redis-7.0.9, redis-8.0" in capsys.readouterr().err
    _tell_newest("redis-8.0")
    assert capsys.readouterr().err == ""


def test_a_baseline_of_a_wrong_shape_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "m.json"
    for text, said in (('{"version": 1}', "there is no 'engines'"), ('{"version": 1, "engines": 3}', "another kind")):
        file.write_text(text)
        assert ends(*REDIS, "--baseline", str(file)) == 4
        assert re.search(f"no matrix \\(.*{said}", told := capsys.readouterr().err)
        assert "Error" not in told


def test_engines_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "engines.yaml"
    (tmp_path / "my-server").symlink_to(program("redis-server"))
    file.write_text("engines:\n  mine: {path: ./redis-server}\n")
    (tmp_path / "redis-server").symlink_to(program("redis-server"))
    given = ("--engines-file", str(file), "--pair", "mine:mine", "--features", "list", "--sync", "full_disk")
    assert ends(*given) == 0
    for text, message in {
        "engines: [a]": "expected one key, `engines`, with entries below it",
        "engines: {mine: {pth: x}}": "mine: unknown key 'pth'",
        "engines: {mine: 3}": "mine: 3; expected `NAME: {path: PROGRAM}`",
        "engines: {'a b': {path: x}}": "'a b' is no engine name",
        "a:\n  - b\n c": "engines.yaml:3: no YAML",
        "engines: {mine: {path: nowhere}}": "nowhere: No such file",
    }.items():
        file.write_text(text)
        assert ends(*given) in (4, 7)
        assert message in capsys.readouterr().err


def test_a_scenario_as_the_content_of_a_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    valkey = ("--engine-path", f"newer={program('valkey-server')}")
    scenario = str(Path(__file__).parents[2] / "scenarios" / "one_replica" / "list_append.yaml")
    pairs = ("--pair", "real:newer", "--pair", "newer:real")
    file = tmp_path / "m.json"
    assert ends(*REDIS, *valkey, *pairs, "--scenario", scenario, "--json", str(file)) == 0, capsys.readouterr()
    cells = json.loads(file.read_text())["cells"]
    assert [(cell["outcome"], cell["expected"]) for cell in cells] == [("ok", "ok"), ("refused", "refused")]
    assert "too old to read its primary's RDB format" in cells[1]["reason"]


def test_a_scenario_that_shows_a_broken_guarantee_is_never_ok(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = Path(__file__).parents[2] / "scenarios" / "broken_guarantees" / "writable_replica.yaml"
    other = tmp_path / "other.yaml"
    other.write_text(shipped.read_text().replace("[phantom]", "[wrong_value]"))
    for scenario, code in ((shipped, 0), (other, 1)):
        file = tmp_path / "m.json"
        given = (*REDIS, "--pair", "real:real", "--scenario", str(scenario), "--json", str(file))
        assert ends(*given) == code
        (cell,) = json.loads(file.read_text())["cells"]
        assert (cell["outcome"], cell["expected"], cell["rule"]) == ("changed", "changed", "scenario")
        assert (cell["anomalies"][0]["kind"], cell["unmet"]) == ("phantom", bool(code))
        assert ("not as the scenario expects" in capsys.readouterr().out) == bool(code)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_it_is_stopped(number: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    command = [
        sys.executable,
        "-m",
        "harness",
        "matrix",
        *REDIS,
        "--pair",
        "real:real",
        "--features",
        "all",
        "--sync",
        "all",
    ]
    with subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        eventually(lambda: len(processes_in(folder)) >= 2)
        run.send_signal(number)
        assert run.wait(60) == (2 if number is signal.SIGINT else -signal.SIGKILL)
    eventually(lambda: not processes_in(folder) and not list(folder.iterdir()))


def processes_in(folder: Path) -> list[str]:
    """Processes that work below this folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if str(place.joinpath("cwd").readlink()).startswith(str(folder)):
                found.append(place.name)
        except OSError:
            continue
    return found


def eventually(condition: object, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
