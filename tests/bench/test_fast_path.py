"""The fast path on real servers, held against something that shares no code with it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bench.changed import first_difference, written
from harness.bench.pair import KEY, SCENARIO, open_pair, run_harness
from harness.options import Options
from harness.resp.connection import Connection

VALUES = 300_000


@pytest.fixture(scope="module")
def reread():
    with written(VALUES, Options(ports="any")) as reread:
        yield reread


def test_an_unchanged_list_is_valid(reread):
    assert first_difference(reread(0, None)) is None


@pytest.mark.parametrize("index", [0, 3_999, 4_000, 16_000, 99_999, VALUES - 1])
def test_one_element_changed_on_b_is_found_at_exactly_its_index(reread, index):
    assert first_difference(reread(index, "changed")) == index


def test_so_is_another_number_of_the_same_length_at_any_index(reread):
    chance = random.Random(20_240_229)
    for _ in range(10):
        index = chance.randrange(100_000, VALUES - 1)
        assert first_difference(reread(index, str(index + 2))) == index


def test_what_is_printed_is_what_seq_prints(tmp_path: Path):
    words = ["run", str(SCENARIO), "--print", "newest-first", "--ports", "any", "--set", "workload.values=123456"]
    with (tmp_path / "printed").open("wb") as printed:
        subprocess.run(
            [sys.executable, "-m", "harness", *words, "--out", str(tmp_path / "runs")],
            stdout=printed,
            stderr=subprocess.DEVNULL,
            check=True,
        )

    expected = subprocess.run(["seq", "123456", "-1", "1"], capture_output=True, check=True).stdout
    assert (tmp_path / "printed").read_bytes() == expected
    assert os.listdir(tmp_path) == ["printed"]


def test_a_changed_element_is_printed_as_b_sent_it():
    with open_pair(Options(ports="any")) as pair:
        with Connection(pair.a) as a:
            a.command("RPUSH", KEY, *range(1, 101))
            a.command("LSET", KEY, 41, "forty-two")
        pair.converge()
        command = [sys.executable, "-m", "harness.bench.print_newest", pair.b.host, str(pair.b.port), KEY]
        done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [str(n) if n != 42 else "forty-two" for n in range(100, 0, -1)]


def test_a_measured_run_tells_steps_and_memory():
    run = run_harness(1000)

    assert set(run.seconds) == {"start", "write", "converge", "verify", "judge", "total"}
    assert run.end_to_end == run.seconds["total"] - run.seconds["start"]
    assert 10 < run.peak_mb < 200
