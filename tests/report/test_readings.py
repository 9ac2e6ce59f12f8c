"""What a node sent comes back exactly, forwards and newest first, in bounded memory."""

from __future__ import annotations

import random
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checker.evidence import Run
from harness.report.readings import RunsWriter, newest_first, read_runs, write_runs

RUNS = [Run(1, 3), Run(0, 1, b"\xff\x00 x\n"), Run(4, 1), Run(9, 2)]


def store(folder: Path, runs: list[Run]) -> Path:
    path = folder / "runs.jsonl"
    write_runs(path, runs)
    return path


def values(runs: list[Run]) -> list[bytes]:
    """The naive oracle: every element as bytes."""
    listed = []
    for run in runs:
        listed += [run.raw] if run.raw is not None else [b"%d" % n for n in range(run.first, run.first + run.count)]
    return listed


def test_a_file_holds_one_line_a_run_between_header_and_end(tmp_path: Path) -> None:
    assert store(tmp_path, RUNS).read_bytes() == (
        b'{"version": 1, "kind": "readings"}\n[1, 3]\n{"raw": "\\udcff\\u0000 x\\n"}\n[4, 1]\n[9, 2]\n{"elements": 7}\n'
    )


def test_runs_come_back_as_they_were(tmp_path: Path) -> None:
    assert list(read_runs(store(tmp_path, RUNS))) == RUNS


def test_chunks_that_continue_each_other_become_one_run(tmp_path: Path) -> None:
    path = store(tmp_path, [Run(1, 20_000), Run(20_001, 20_000), Run(40_001, 5)])
    assert list(read_runs(path)) == [Run(1, 40_005)]


def test_a_number_after_raw_bytes_is_a_run_of_its_own(tmp_path: Path) -> None:
    runs = [Run(0, 1, b"07"), Run(1, 1), Run(0, 1, b"0")]
    assert list(read_runs(store(tmp_path, runs))) == runs


def test_an_empty_list(tmp_path: Path) -> None:
    path = store(tmp_path, [])
    assert list(read_runs(path)) == []
    assert list(newest_first(path)) == []


def test_the_writer_counts_elements(tmp_path: Path) -> None:
    with RunsWriter(tmp_path / "x") as writer:
        writer.add(Run(1, 10))
        writer.add(Run(0, 1, b"?"))
    assert writer.length == 11


def test_newest_first_is_one_value_a_line(tmp_path: Path) -> None:
    path = store(tmp_path, RUNS)
    assert b"".join(newest_first(path)) == b"10\n9\n4\n\xff\\x00 x\\n\n3\n2\n1\n"


def test_a_value_that_would_drive_the_terminal_is_escaped(tmp_path: Path) -> None:
    path = store(tmp_path, [Run(0, 1, b"\x1b[2J\\\t\r\x7f")])
    assert b"".join(newest_first(path)) == b"\\x1b[2J\\\\\\t\\r\\x7f\n"


def test_newest_first_agrees_with_seq(tmp_path: Path) -> None:
    path = store(tmp_path, [Run(1, 123_456)])
    assert b"".join(newest_first(path)) == subprocess.check_output(["seq", "123456", "-1", "1"])


elements = st.one_of(
    st.builds(Run, st.integers(1, 5000), st.integers(1, 30)),
    st.binary(max_size=8).map(lambda raw: Run(0, 1, raw)),
)


@settings(deadline=None)
@given(st.lists(elements, max_size=60))
def test_any_list_survives(tmp_path_factory: pytest.TempPathFactory, runs: list[Run]) -> None:
    path = store(tmp_path_factory.mktemp("any"), runs)
    assert values(list(read_runs(path))) == values(runs)
    lines = b"".join(newest_first(path)).split(b"\n")[:-1]
    assert len(lines) == len(values(runs))


def test_lines_longer_than_a_block_and_thousands_of_short_ones(tmp_path: Path) -> None:
    chance = random.Random(7)
    runs = [Run(0, 1, b"x" * chance.choice([0, 1, 300_000])) for _ in range(8)]
    runs += [Run(number * 2, 1) for number in range(100_000, 0, -1)]
    path = store(tmp_path, runs)
    assert b"".join(newest_first(path)) == b"".join(value + b"\n" for value in reversed(values(runs)))


def test_memory_stays_flat_for_a_hundred_thousand_runs(tmp_path: Path) -> None:
    path = store(tmp_path, [Run(number * 3 + 1, 2) for number in range(100_000)])
    for _ in newest_first(path):
        break  # what is cached once is not counted
    tracemalloc.start()
    lines = sum(block.count(b"\n") for block in newest_first(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines == 200_000
    assert peak < 4_000_000


def test_a_file_cut_short_is_no_short_list(tmp_path: Path) -> None:
    path = store(tmp_path, RUNS)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b'{"elements"')])
    with pytest.raises(ValueError, match="it was cut short"):
        list(read_runs(path))
    with pytest.raises(ValueError, match="it was cut short"):
        list(newest_first(path))


def test_a_missing_run_is_noticed(tmp_path: Path) -> None:
    path = store(tmp_path, RUNS)
    path.write_bytes(path.read_bytes().replace(b"[4, 1]\n", b""))
    with pytest.raises(ValueError, match="says that it holds 7 elements, but holds 6"):
        list(read_runs(path))
    with pytest.raises(ValueError, match="says that it holds 7 elements, but holds 6"):
        list(newest_first(path))


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = store(tmp_path, RUNS)
    path.write_bytes(path.read_bytes().replace(b"[4, 1]", b"[4"))
    with pytest.raises(ValueError, match=r"runs\.jsonl: a line that is no run: b'\[4"):
        list(read_runs(path))


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = store(tmp_path, RUNS)
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(ValueError, match=r"readings of version 1 were expected, not \{'version': 2"):
        list(read_runs(path))
    with pytest.raises(ValueError, match="readings of version 1 were expected"):
        list(newest_first(path))


def test_a_read_that_broke_off_leaves_no_complete_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    with pytest.raises(ConnectionError), RunsWriter(path) as writer:  # noqa: PT012 - the writer must see the exception
        writer.add(Run(1, 5))
        raise ConnectionError
    with pytest.raises(ValueError, match="cut short"):
        list(read_runs(path))
