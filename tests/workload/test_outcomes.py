from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import Acknowledged, Broken, Ledger, Refused, Unanswered
from harness.workload.outcomes import Commands, Outcomes, grouped


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([], []),
        ([1], [Commands(1, 1, 1)]),
        ([3, 3, 3], [Commands(1, 9, 3)]),
        ([3, 3, 2], [Commands(1, 8, 3)]),
        ([3, 2, 2], [Commands(1, 5, 3), Commands(6, 7, 2)]),
        ([2, 3, 3], [Commands(1, 2, 2), Commands(3, 8, 3)]),
        ([5, 3, 5, 3], [Commands(1, 8, 5), Commands(9, 16, 5)]),
    ],
)
def test_groups_of_commands(sizes, groups):
    assert list(grouped(1, sizes)) == groups


@given(st.lists(st.integers(1, 6), max_size=30), st.integers(1, 100))
def test_groups_say_where_each_command_begins(sizes, first):
    found = []
    for group in grouped(first, sizes):
        count = group.last - group.first + 1
        found += [group.size] * (count // group.size) + ([count % group.size] if count % group.size else [])
    assert found == sizes


@pytest.fixture
def ledger():
    return Ledger(None)


def test_neighbours_with_one_outcome_travel_as_one(ledger):
    outcomes = Outcomes(ledger)
    for first in range(1, 1001):
        outcomes.refused(1, first, first, "OOM")
    for first in range(1001, 1011, 2):
        outcomes.undecided(1, Commands(first, first + 1, 2), None)
    outcomes.acknowledged(1, 1011, 1020, 10)
    outcomes.acknowledged(1, 1021, 1030, 10)
    ledger.close()
    assert ledger.entries == [
        Refused(1, 1, 1000, "OOM"),
        Unanswered(1, 1001, 1010, 2),
        Acknowledged(1, 1011, 1030, 10),
    ]
    assert (ledger.refused, ledger.unanswered, ledger.acknowledged) == (1000, 10, 20)
    assert outcomes.refusing == {1}


def test_what_differs_stays_apart(ledger):
    outcomes = Outcomes(ledger)
    outcomes.refused(1, 1, 1, "OOM")
    outcomes.refused(2, 2, 2, "OOM")
    outcomes.refused(2, 3, 3, "READONLY")
    outcomes.refused(2, 5, 5, "READONLY")
    outcomes.undecided(2, Commands(6, 8, 2), "ERR")
    outcomes.undecided(2, Commands(9, 10, 2), "ERR")
    outcomes.undecided(2, Commands(11, 12, 2), None)
    outcomes.undecided(2, Commands(13, 13, 1), None)
    outcomes.add(Broken(2, True, "reset"))
    outcomes.undecided(3, Commands(14, 14, 1), None)
    outcomes.flush()
    outcomes.flush()
    assert ledger.entries == [
        Refused(1, 1, 1, "OOM"),
        Refused(2, 2, 2, "OOM"),
        Refused(2, 3, 3, "READONLY"),
        Refused(2, 5, 5, "READONLY"),
        Unanswered(2, 6, 8, 2, "ERR"),
        Unanswered(2, 9, 10, 2, "ERR"),
        Unanswered(2, 11, 12, 2),
        Unanswered(2, 13, 13, 1),
        Broken(2, True, "reset"),
        Unanswered(3, 14, 14, 1),
    ]
