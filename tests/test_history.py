from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import (
    Acknowledged,
    Broken,
    Entry,
    Ledger,
    LengthJump,
    Refused,
    Resolved,
    Unanswered,
    read_ledger,
)

ONE_OF_EACH: tuple[Entry, ...] = (
    Acknowledged(1, 1, 400, 1),
    Refused(1, 401, 401, "OOM command not allowed when used memory > 'maxmemory'."),
    Unanswered(1, 402, 409, 4, "ERR time-out"),
    Unanswered(1, 410, 1000, 1),
    Broken(1, True, "connection reset", True),
    Resolved((1, 2), 17),
    LengthJump(3, 1001, 500, 502),
)


def write(ledger: Ledger, entries: tuple[Entry, ...]) -> None:
    for entry in entries:
        if isinstance(entry, Acknowledged):
            ledger.acknowledge(entry.connection, entry.first, entry.last, entry.command)
        else:
            ledger.add(entry)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        write(ledger, ONE_OF_EACH)
    assert tuple(read_ledger(tmp_path / "ledger.jsonl")) == ONE_OF_EACH
    assert (ledger.acknowledged, ledger.refused, ledger.unanswered) == (400, 1, 599)


def test_without_a_path_entries_stay_in_memory() -> None:
    with Ledger(None) as ledger:
        write(ledger, ONE_OF_EACH)
    assert tuple(ledger.entries) == ONE_OF_EACH


def test_consecutive_acknowledged_ranges_become_one() -> None:
    with Ledger(None) as ledger:
        for first in range(1, 100_000, 1000):
            ledger.acknowledge(1, first, first + 999, 10)
    assert ledger.entries == [Acknowledged(1, 1, 100_000, 10)]


@pytest.mark.parametrize(
    ("calls", "entries"),
    [
        pytest.param([(1, 1, 10, 5), (1, 11, 20, 4)], [Acknowledged(1, 1, 20, 0)], id="another size"),
        pytest.param([(1, 1, 8, 5), (1, 9, 18, 5)], [Acknowledged(1, 1, 18, 0)], id="a short command inside"),
        pytest.param([(1, 1, 10, 5), (1, 11, 18, 5)], [Acknowledged(1, 1, 18, 5)], id="a short command at the end"),
        pytest.param([(1, 1, 3, 0), (1, 4, 6, 0)], [Acknowledged(1, 1, 6, 0)], id="sizes that vary"),
        pytest.param([(1, 1, 3, 1), (2, 4, 6, 1)], [Acknowledged(1, 1, 3, 1), Acknowledged(2, 4, 6, 1)], id="anew"),
        pytest.param([(1, 4, 6, 1), (1, 1, 3, 1)], [Acknowledged(1, 4, 6, 1), Acknowledged(1, 1, 3, 1)], id="again"),
    ],
)
def test_command_boundaries_are_known_or_said_to_be_unknown(
    calls: list[tuple[int, int, int, int]], entries: list[Entry]
) -> None:
    with Ledger(None) as ledger:
        for call in calls:
            ledger.acknowledge(*call)
    assert ledger.entries == entries


@given(st.lists(st.sampled_from(ONE_OF_EACH)))
def test_any_order_survives(entries: list[Entry]) -> None:
    with Ledger(None) as ledger:
        write(ledger, tuple(entries))
    assert [entry for entry in ledger.entries if not isinstance(entry, Acknowledged)] == [
        entry for entry in entries if not isinstance(entry, Acknowledged)
    ]


HEADER = '{"version": 1, "kind": "ledger"}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"ledger.jsonl:1: not JSON .*damaged or was cut short"),
        ("[]\n", r"ledger.jsonl:1: not a ledger entry: \[\]"),
        ('{"version": 2, "kind": "ledger"}\n', r"a ledger of version 1 was expected, not \{'version': 2"),
        (HEADER + '{"entry": "acknowledged", "connec', r"ledger.jsonl:2: not JSON .*cut short"),
        (HEADER + '{"entry": "forgotten"}\n', r"ledger.jsonl:2: not a ledger entry; they are acknowledged, refused"),
        (HEADER + '{"entry": "refused", "first": 1}\n', r"ledger.jsonl:2: not a ledger entry: .*missing 3 required"),
        (HEADER + "7\n", r"ledger.jsonl:2: not a ledger entry: 7"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ledger.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        list(read_ledger(tmp_path / "ledger.jsonl"))
