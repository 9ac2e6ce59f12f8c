"""`harness bench` from outside, with few values: what it prints, not how fast this machine is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bench.measures import GROUPS

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
