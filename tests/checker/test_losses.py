"""What a forced failover cost, literally: which elements a budget covers, and which never."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.checker.evidence import Convergence, Evidence, FaultRecord, KeyState, Stream, Target
from harness.checker.judge import judge
from harness.checker.losses import losses
from harness.checker.verdict import Kind, Outcome, Verdict
from harness.errors import ExitCode
from harness.history import Entry, Opened, Stamp
from harness.scenario.model import Expect
from tests.checker.lists import Element, ok, reading, refused, stream

KILLED = FaultRecord(
    "kill failover", "s", "60%", "80%", 1.0, 2.0, 10, 0, None, True, loses="s", primary="old", took_over_s=1.5
)
# 1..4 acknowledged by 0.5 s, 5..8 by 1.0 s, both by the old primary; 9 and 10 by the new one.
LEDGER: tuple[Entry, ...] = (
    Opened(1, "old"), ok(1, 4), Stamp(0.5), ok(5, 8), Stamp(1.0), Opened(2, "new"), ok(9, 10, 2), Stamp(1.8)
)  # fmt: skip
SURVIVORS = (1, 2, 3, 4, 5, 6, 9, 10)  # without 7 and 8
UNREADABLE = replace(reading([], "new"), state=KeyState.UNREADABLE)


def written(*entries: Entry, **more: Any) -> Stream:
    found = replace(stream(10, *(entries or LEDGER)), must_acknowledge=False, nodes=("old", "new"), shards=("s",))
    return replace(found, **more)


def evidence(
    new: Sequence[Element] = SURVIVORS, old: Sequence[Element] = SURVIVORS, fault: FaultRecord = KILLED, **more: Any
) -> Evidence:
    """A shard whose replica `new` took over from `old`, which follows it now; both were read."""
    return Evidence(
        nodes=("old", "new"),
        streams=(written(**more),),
        readings=(reading(old, "old"), reading(new, "new")),
        targets={"new": Target("f" * 40, 5000, {"workload": len(new)})},
        convergences=(Convergence("old", True, 0.1, "offset 5000 of 5000"),),
        faults=(fault,),
    )


def verdict(found: Evidence, within_s: float | None = 2, **expected: Any) -> Verdict:
    budget = {} if within_s is None else {"lost": {"within_s": within_s}}
    return judge(found, Expect(**budget, **expected))


def told(found: Verdict) -> list[tuple[Kind, str, int, bool]]:
    return [(anomaly.kind, anomaly.node, anomaly.count, anomaly.budgeted) for anomaly in found.anomalies]


def test_what_is_lost_within_the_budget_is_an_anomaly_and_as_expected() -> None:
    found = verdict(evidence(), anomalies=("lost",))
    assert (found.outcome, found.as_expected, found.doubts) == (Outcome.INVALID, True, ())
    assert told(found) == [(Kind.LOST, "new", 2, True)]
    assert found.anomalies[0].message == (
        "2 elements are on no node of numbers's shard, acknowledged by old from 0.500 to 1.000 s after the first "
        "write, up to 1.000 s before another node took over at 1.500 s; the first: 7 (within the 2 s that may be lost)"
    )


@pytest.mark.parametrize("within_s", [None, 0.9])
def test_none_by_default_and_none_beyond_it(within_s: float | None) -> None:
    found = verdict(evidence(), within_s)
    assert told(found) == [(Kind.LOST, "new", 2, False)]
    assert (found.outcome, found.exit_code) == (Outcome.INVALID, ExitCode.NOT_AS_EXPECTED)


def test_kinds_that_are_expected_do_not_replace_a_budget() -> None:
    assert verdict(evidence(), 0.9, anomalies=("lost",)).exit_code is ExitCode.NOT_AS_EXPECTED
    assert verdict(evidence(), None, anomalies=("lost",)).exit_code is ExitCode.AS_EXPECTED


def test_a_budget_that_nothing_is_taken_from_proves_nothing() -> None:
    everything = tuple(range(1, 11))
    found = verdict(evidence(everything, everything), anomalies=("lost",))
    assert (found.outcome, found.exit_code) == (Outcome.UNKNOWN, ExitCode.UNKNOWN)
    assert found.doubts == ("nothing was lost in a failover, so that its budget proves nothing",)


def test_a_fault_that_this_runtime_can_not_apply_loses_nothing() -> None:
    """It is told as not applied, and the rest is judged; beside a fault that was applied it excuses nothing."""
    everything = tuple(range(1, 11))
    not_applied = ("isolate on s: not here",)
    without = replace(evidence(everything, everything), faults=(), not_applied=not_applied)
    found = verdict(without, anomalies=("lost",))
    assert (found.outcome, found.exit_code, found.not_applied) == (Outcome.VALID, ExitCode.AS_EXPECTED, not_applied)
    assert judge(without, Expect(lost={"within_s": 2}, anomalies=("lost",)), strict_capabilities=True).unmet
    beside = replace(without, faults=(KILLED,))
    assert verdict(beside, anomalies=("lost",)).outcome is Outcome.UNKNOWN
    assert verdict(evidence(everything, everything)).outcome is Outcome.VALID


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (SURVIVORS, (1, 2, 3, 4, 9, 10)),  # the replica holds less than its own primary
        ((1, 2, 3, 4, 5, 9, 10), SURVIVORS),  # an element that the other one still has
    ],
)
def test_what_any_node_holds_is_not_lost_by_the_failover(new: Sequence[Element], old: Sequence[Element]) -> None:
    found = verdict(evidence(new, old), anomalies=("lost",))
    assert found.exit_code is ExitCode.NOT_AS_EXPECTED
    assert [anomaly.kind for anomaly in found.unexpected] == [Kind.LOST]
    assert not found.unexpected[0].budgeted


def test_what_the_new_primary_acknowledged_is_not_covered() -> None:
    found = verdict(evidence((1, 2, 3, 4, 5, 6, 10), (1, 2, 3, 4, 5, 6, 10)), anomalies=("lost",))
    assert found.exit_code is ExitCode.NOT_AS_EXPECTED
    assert {anomaly.first.expected for anomaly in found.unexpected} == {"9"}


def test_a_hole_before_what_survived_is_nobodys_failover() -> None:
    """2 and 3 are gone from every node, and 4 to 8, which the same primary acknowledged later, are there."""
    hole = (1, 4, 5, 6, 7, 8, 9, 10)
    found = verdict(evidence(hole, hole), anomalies=("lost",))
    assert {(anomaly.kind, anomaly.count, anomaly.budgeted) for anomaly in found.anomalies} == {(Kind.LOST, 2, False)}
    assert found.exit_code is ExitCode.NOT_AS_EXPECTED
    beside = tuple(number for number in SURVIVORS if number != 2)  # and 7 and 8 are the failover's all the same
    found = verdict(evidence(beside, beside), anomalies=("lost",))
    assert {(anomaly.count, anomaly.budgeted) for anomaly in found.anomalies} == {(2, True), (1, False)}
    assert found.exit_code is ExitCode.NOT_AS_EXPECTED


BACK = (
    Opened(1, "old"), ok(1, 4), Stamp(0.5), Opened(2, "new"), ok(5, 8, 2), Stamp(60.0), Opened(3, "old"), ok(9, 10, 3),
    Stamp(61.0),
)  # fmt: skip


@pytest.mark.parametrize("fault", [KILLED, replace(KILLED, fault="force failover")])
def test_what_the_old_primary_acknowledged_when_it_had_come_back_is_not_covered(fault: FaultRecord) -> None:
    held = tuple(range(1, 9))
    found = replace(
        evidence(held, held, fault, entries=lambda: BACK),
        targets={"old": Target("f" * 40, 5000, {"workload": 8})},
        convergences=(Convergence("new", True, 0.1, "offset 5000 of 5000"),),
    )
    judged = verdict(found, within_s=100, anomalies=("lost",))
    assert judged.exit_code is ExitCode.NOT_AS_EXPECTED
    assert not any(anomaly.budgeted for anomaly in judged.anomalies)


def test_a_primary_that_runs_may_acknowledge_until_it_knows_better() -> None:
    """1.6 s is after the other node was seen to have taken over, and before the fault was healed."""
    entries = (Opened(1, "old"), ok(1, 6), Stamp(1.6), ok(7, 8), Stamp(1.7), Opened(2, "new"), ok(9, 10, 2), Stamp(1.9))
    forced = replace(KILLED, fault="force failover")
    assert losses(evidence(fault=forced, entries=lambda: entries))["workload"].pieces == ((7, 8),)
    assert losses(evidence(fault=KILLED, entries=lambda: entries)) == {}


HELD = (Opened(1, "old"), ok(1, 4), Stamp(0.9, 6), ok(5, 6), Stamp(2.1, 8), ok(7, 8))
FOLLOWS = (refused(9, 10), Opened(2, "new"), ok(9, 10, 2), Stamp(2.2, 10))


@pytest.mark.parametrize("fault", ["force failover", "isolate", "kill failover"])
def test_answers_that_a_held_writer_reads_after_the_heal_are_the_failovers(fault: str) -> None:
    """7 and 8 had been sent before it was held; meanwhile another key's answers were read, and the time noted."""
    found = evidence(fault=replace(KILLED, fault=fault), entries=lambda: HELD + FOLLOWS)
    assert losses(found)["workload"].since_s == 0.9  # when they may have been acknowledged at the earliest
    assert losses(found)["workload"].pieces == ((7, 8),)
    assert told(verdict(found, anomalies=("lost",))) == [(Kind.LOST, "new", 2, True)]
    assert verdict(found, anomalies=("lost",)).exit_code is ExitCode.AS_EXPECTED


@pytest.mark.parametrize(
    ("entries", "pieces"),
    [
        ((Opened(1, "old"), ok(1, 6), Stamp(2.1, 6), ok(7, 8), Stamp(2.2, 10)), None),  # sent only after the heal
        ((Opened(1, "old"), ok(1, 6), Stamp(2.1, 7), ok(7, 8), Stamp(2.2, 10)), ((7, 7),)),  # a part of it
        ((Opened(1, "old"), ok(1, 6), Stamp(2.1, 8), refused(7, 8), ok(7, 8)), None),  # it followed, and came back
        ((Opened(1, "old"), ok(1, 6), Stamp(2.1, 8), Opened(2, "new"), Opened(1, "old"), ok(7, 8)), None),
        ((Opened(1, "old"), ok(1, 6), Stamp(2.1), ok(7, 8)), None),  # it was not noted what had been sent
    ],
)
def test_what_the_same_connection_acknowledges_later_is_not(
    entries: tuple[Entry, ...], pieces: tuple[tuple[int, int], ...] | None
) -> None:
    survivors = (1, 2, 3, 4, 5, 6)
    found = evidence(survivors, survivors, replace(KILLED, fault="force failover"), entries=lambda: entries)
    loss = losses(found).get("workload")
    assert (loss.pieces if loss else None) == pieces
    assert not verdict(found, within_s=100, anomalies=("lost",)).as_expected


@pytest.mark.parametrize(
    "found",
    [
        evidence(shards=("another",)),
        evidence(fault=replace(KILLED, loses="")),
        evidence(fault=replace(KILLED, took_over_s=None)),
        evidence(fault=replace(KILLED, primary="somebody")),
        replace(evidence(), readings=(reading(SURVIVORS, "old"),)),
        replace(
            evidence(), readings=(reading(SURVIVORS, "old"), replace(reading([], "new"), state=KeyState.UNREADABLE))
        ),
    ],
    ids=["another shard", "no failover", "nobody took over", "another primary", "a node not read", "unreadable"],
)
def test_what_no_failover_explains_is_not_covered(found: Evidence) -> None:
    assert losses(found) == {}
    judged = verdict(found, anomalies=("lost",))
    assert not judged.as_expected
    assert judged.outcome is not Outcome.VALID


def test_what_could_not_be_healed_is_a_doubt() -> None:
    everything = tuple(range(1, 11))
    found = verdict(evidence(everything, everything, replace(KILLED, not_healed="it does not start")))
    assert found.doubts == ("kill failover on s at 60% was not healed: it does not start",)
