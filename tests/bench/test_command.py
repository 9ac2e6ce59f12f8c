"""`harness bench` from outside, with few values: what it prints, not how fast this machine is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bench import end_to_end
from harness.bench.beforehand import check_setting, left_out
from harness.bench.floor import BenchmarkFloor, CompiledFloor, Floor
from harness.bench.measures import GROUPS, measure
from harness.bench.setting import Setting
from harness.errors import SetupError
from harness.memory_need import Available
from harness.options import Options
from harness.runtime.dead_runs import remnants

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) on PATH")


def bench(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", "bench", *words], capture_output=True, text=True, cwd=folder, check=False
    )


@needs_compiler
def test_the_table_has_the_harness_the_naive_way_and_the_floor(tmp_path: Path):
    done = bench("--values", "3000", "--runs", "1", "--only", "floor", "--only", "naive", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    machine, _, head, _, *rows = done.stdout.splitlines()
    assert machine.endswith("medians of 1 round, each way in turn")
    assert head.split() == ["measure", "median", "min", "max", "goal", "ours", "s", "other", "s"]
    measures = [row.partition("  ")[0] for row in rows[:9]]
    assert re.fullmatch(r"with pipeline\((transaction=False)?\) ÷ harness, 3,000 values", measures.pop(6))
    assert measures == [
        "write through A to B ÷ C, 3,000 values",
        "verify B in order ÷ C drain, 3,000 values",
        "end to end ÷ C, 3,000 values",
        "memory of harness run, 3,000 values",
        "growth of that memory from 1 to 3,000 values",
        "the naive way ÷ harness, 3,000 values",
        "the naive way ÷ C, 3,000 values",
        "share of C's factor, 3,000 values",
    ]
    assert done.stderr.splitlines() == [
        "harness: measuring floor, 1 round",
        "harness: measuring naive, 1 round",
    ]
    assert list(tmp_path.iterdir()) == []


@needs_compiler
def test_json_lines_and_a_chart(tmp_path: Path):
    words = ("--values", "3000", "--runs", "2", "--only", "newest", "--only", "cold", "--json", "--chart", "bars.svg")
    done = bench(*words, folder=tmp_path)

    assert done.returncode == 0, done.stderr
    newest, cold = map(json.loads, done.stdout.splitlines())
    assert newest["measure"] == "newest first into a pipe ÷ C, 3,000 values"
    assert cold["measure"] == "cold pair, 10,000 values verified ÷ the servers' own start and stop"
    assert len(cold["values"]) == len(cold["ours_seconds"]) == len(cold["reference_seconds"]) == 2
    assert (tmp_path / "bars.svg").read_text(encoding="utf-8").startswith("<svg ")


def test_draws_and_help_need_no_floor(tmp_path: Path):
    done = bench("--runs", "1", "--only", "draws", "--only", "help", "--json", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    draws, started = map(json.loads, done.stdout.splitlines())
    assert (draws["unit"], draws["goal"], draws["goal_is"]) == ("/s", 300.0, "at_least")
    assert started["measure"] == "harness --help ÷ python -c 'import click'"


def test_a_group_that_there_is_not(tmp_path: Path):
    done = bench("--only", "speed", folder=tmp_path)

    assert done.returncode == 4
    assert done.stderr == f"harness: no group of measures 'speed'; there are {', '.join(GROUPS)}\n"


def test_a_chart_that_can_not_be_written_is_said_before_anything_is_measured(tmp_path: Path):
    done = bench("--only", "help", "--chart", "nowhere/bars.svg", folder=tmp_path)

    assert done.returncode == 4
    assert "nowhere/bars.svg" in done.stderr
    assert "measuring" not in done.stderr


@pytest.mark.parametrize("group", ["floor", "naive", "newest", "zadd"])
def test_what_can_not_fit_is_refused_with_the_sum_before_anything_is_measured(group: str):
    setting = Setting(Options(), None, small=10_000_000, large=100_000_000)
    here = Available(600_000_000, "this test")
    with pytest.raises(SetupError, match=rf"bench: {group} needs about \d.* GB: 2 servers with 2 times 1") as refused:
        check_setting(setting, ("help", group), here)
    assert "0.60 GB are free here (this test). Give fewer --values" in str(refused.value)
    assert refused.value.exit_code == 7
    check_setting(Setting(Options(), None), ("help", group), here)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--values", "30000000000"), "30000000000"),
        (("--values", "0"), "--values"),
        (("--engine", "nosuch", "--only", "draws"), "no engine 'nosuch'"),
        (("--chart", "bars.foo"), "ends in .svg"),
    ],
)
def test_bad_values_are_told_before_anything_is_measured(tmp_path: Path, words: tuple[str, ...], told: str):
    done = bench(*words, folder=tmp_path)

    assert done.returncode == 4
    assert told in done.stderr
    assert not re.search("measuring|peak_mb|workload", done.stderr)


def test_the_help_names_every_group(tmp_path: Path):
    words = bench("--help", folder=tmp_path).stdout.replace("\n", " ")
    assert ", ".join(GROUPS) in re.sub(" +", " ", words)


@pytest.mark.parametrize(
    ("floor", "told"),
    [
        (None, {"floor": 1, "naive": 1, "newest": 1, "zadd": 1, "cold": 0, "proxy": 1}),
        (BenchmarkFloor("redis-benchmark"), {"floor": 0, "naive": 0, "newest": 1, "zadd": 1, "cold": 0, "proxy": 1}),
        (CompiledFloor(Path("floor")), {"floor": 0, "naive": 0, "newest": 0, "zadd": 0, "cold": 0, "proxy": 1}),
    ],
)
def test_rows_that_can_not_be_measured_are_told_one_line_each(
    monkeypatch: pytest.MonkeyPatch, floor: Floor | None, told: dict[str, int]
):
    monkeypatch.setenv("PATH", "")
    setting = Setting(Options(), floor)
    assert {group: len(list(left_out(setting, group))) for group in told} == told
    if floor is None:
        heard: list[str] = []
        assert list(measure(setting, ("newest", "zadd"), heard.append)) == []
        assert [line.partition(" is left out")[0] for line in heard] == ["harness: newest", "harness: zadd"]


def test_memory_needs_no_floor(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(end_to_end, "run_harness", lambda values, engines: end_to_end.HarnessRun({}, 40.0 + values))
    rows = end_to_end.against_floor(Setting(Options(), None, 1, large=2))
    assert [(row.measure, row.values) for row in rows] == [
        ("memory of harness run, 2 values", (42.0,)),
        ("growth of that memory from 1 to 2 values", (1.0,)),
    ]


def test_what_a_killed_benchmark_leaves_is_known_to_clean():
    made = "from harness.bench.programs import own_folder\nwith own_folder() as f: print(f, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", made], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        folder = killed.stdout.readline().decode().strip()
        assert [each.state for each in remnants(None) if each.name == folder] == ["alive"]
        killed.kill()
    (left,) = (each for each in remnants(None) if each.name == folder)
    assert left.state == "dead"
    left.remove()
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("one_changed_element", "--values 0"),
        ("flat", "--values 9"),
        ("under_faults", "--values 0"),
        ("choices", "--rounds -1"),
        ("endpoint_soak", "--seconds nan"),
        ("smoke", "--values 1"),
    ],
)
def test_scripts_refuse_bad_numbers_at_once(script: str, words: str):
    path = Path(__file__).parents[2] / "benchmarks" / f"{script}.py"
    done = subprocess.run([sys.executable, str(path), *words.split()], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert words.split()[0] in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
