"""Literal evidence and its verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from harness.checker.evidence import (
    Convergence,
    Evidence,
    FaultRecord,
    KeyState,
    OtherKey,
    Reading,
    Run,
    Shrink,
    SyncCounts,
    Target,
)
from harness.checker.judge import judge
from harness.checker.verdict import First, Kind, Outcome, Verdict
from harness.errors import ExitCode
from harness.history import Resolved
from harness.scenario.model import Expect
from tests.checker.lists import Element, fenced, ok, open_, reading, refused, stream, unfenced


def evidence(elements: Iterable[Element] = (1, 2, 3), **changes: Any) -> Evidence:
    """Three numbers written through a, read from b."""
    target = Target("f" * 40, 5000, {"workload": 3})
    clean = Evidence(
        nodes=("b",),
        streams=(stream(3),),
        readings=(reading(list(elements)),),
        targets={"a": target},
        convergences=(Convergence("b", True, 0.25, "offset 5000 of 5000, link up"),),
        syncs={"a->b": SyncCounts(0, 0, 0)},
        initial_syncs={"a->b": "full"},
        max_lag_ms={"b": 1.5},
    )
    return replace(clean, **changes)


def verdict(found: Evidence, strict: bool = False, **expected: Any) -> Verdict:
    return judge(found, Expect(**expected), strict_capabilities=strict)


def kinds(found: Verdict) -> list[Kind]:
    return [anomaly.kind for anomaly in found.anomalies]


VALID = Verdict(Outcome.VALID, as_expected=True)


def test_valid() -> None:
    assert verdict(evidence()) == VALID
    assert verdict(evidence()).exit_code is ExitCode.AS_EXPECTED


def test_an_anomaly_that_nobody_expected() -> None:
    found = verdict(evidence([1, 3]))
    assert (found.outcome, found.as_expected, kinds(found)) == (Outcome.INVALID, False, [Kind.LOST])
    assert found.unexpected == found.anomalies
    assert found.exit_code is ExitCode.NOT_AS_EXPECTED


def test_a_scenario_that_shows_a_broken_guarantee_is_invalid_and_as_expected() -> None:
    found = verdict(evidence([1, 2, "x", 3]), anomalies=("phantom",))
    assert (found.outcome, found.as_expected, kinds(found)) == (Outcome.INVALID, True, [Kind.PHANTOM])
    assert found.unexpected == ()
    assert found.exit_code is ExitCode.AS_EXPECTED


def test_exactly_the_expected_kinds_must_occur() -> None:
    found = verdict(evidence([1, "x", 3, "y"]), anomalies=("phantom",))
    assert kinds(found) == [Kind.WRONG_VALUE, Kind.PHANTOM]
    assert [anomaly.kind for anomaly in found.unexpected] == [Kind.WRONG_VALUE]
    assert not found.as_expected
    missing = verdict(evidence(), anomalies=("phantom",))
    assert (missing.outcome, missing.as_expected) == (Outcome.VALID, False)
    assert missing.unmet == ("anomalies: phantom was expected, and did not occur",)
    assert missing.exit_code is ExitCode.NOT_AS_EXPECTED


def test_an_expected_anomaly_in_what_could_not_be_judged_is_unknown() -> None:
    unreadable = Reading("b", "workload", KeyState.UNREADABLE, lambda: (), error="ERR")
    found = verdict(evidence(readings=(unreadable,)), anomalies=("phantom",))
    assert (found.outcome, found.unmet, found.exit_code) == (Outcome.UNKNOWN, (), ExitCode.UNKNOWN)


def test_an_expected_anomaly_beside_a_doubt_is_not_as_expected() -> None:
    found = verdict(evidence([1, 2, "x", 3], doubts=("the lag sampler died",)), anomalies=("phantom",))
    assert (found.outcome, found.as_expected, found.exit_code) == (Outcome.INVALID, False, ExitCode.UNKNOWN)


def test_what_is_not_met_beside_a_doubt_is_unknown_and_an_anomaly_beside_it_is_not() -> None:
    found = Verdict(Outcome.UNKNOWN, as_expected=False, unmet=("1 element got no answer",), doubts=("and why",))
    assert (found.exit_code, replace(found, doubts=()).exit_code) == (ExitCode.UNKNOWN, ExitCode.NOT_AS_EXPECTED)
    found = verdict(evidence([1, 2, "x", 3], doubts=("the lag sampler died",)))
    assert (found.outcome, found.exit_code) == (Outcome.INVALID, ExitCode.NOT_AS_EXPECTED)


# -- the length that a node told, beside what it sent


@pytest.mark.parametrize(("told", "sent"), [(4, 3), (2, 3), (0, 3), (103, 3)])
def test_a_node_that_contradicts_itself_is_unknown(told: int, sent: int) -> None:
    found = verdict(evidence(readings=(replace(reading([1, 2, 3]), told=told),)))
    assert (found.outcome, found.exit_code) == (Outcome.UNKNOWN, ExitCode.UNKNOWN)
    assert found.doubts == (f"b contradicts itself: LLEN of numbers told {told} elements, and {sent} were read",)


def test_one_that_agrees_with_itself_is_valid_and_so_is_what_was_stored_before_it_was_kept() -> None:
    assert verdict(evidence(readings=(replace(reading([1, 2, 3]), told=3),))) == VALID
    assert verdict(evidence(readings=(replace(reading([1, 2, 3]), told=None),))) == VALID


def test_a_string_is_compared_in_bytes() -> None:
    written = (replace(stream(3), kind="string"),)
    held = replace(reading([1, 2, 3]), told=33, size=33)
    assert verdict(evidence(streams=written, readings=(held,))) == VALID
    found = verdict(evidence(streams=written, readings=(replace(held, told=35),)))
    assert found.doubts == ("b contradicts itself: STRLEN of numbers told 35 bytes, and 33 were read",)


def test_a_contradiction_beside_an_anomaly_is_told_as_well() -> None:
    found = verdict(evidence(readings=(replace(reading([1, 2]), told=3),)), anomalies=("truncated",))
    assert (found.outcome, kinds(found), found.as_expected) == (Outcome.INVALID, [Kind.TRUNCATED], False)
    assert found.doubts == ("b contradicts itself: LLEN of numbers told 3 elements, and 2 were read",)


def test_a_key_that_was_not_read_to_its_end_contradicts_nothing() -> None:
    wrong = Reading("b", "workload", KeyState.WRONG_TYPE, lambda: (), found_type="hash", told=3)
    assert verdict(evidence(readings=(wrong,))).doubts == ()


@pytest.mark.parametrize(("told", "late"), [(2, True), (1, True), (4, False)])
def test_bytes_of_an_unfenced_break_may_come_while_the_key_is_read(told: int, late: bool) -> None:
    written = (replace(stream(3, ok(1, 1), open_(2, 3), unfenced()), must_acknowledge=False),)
    found = verdict(evidence(streams=written, readings=(replace(reading([1, 2, 3]), told=told),)))
    assert (found.outcome is Outcome.VALID) == late
    assert any("may have been executed meanwhile" in note for note in found.notes) == late


@pytest.mark.parametrize(("told", "exit_code"), [(1, ExitCode.AS_EXPECTED), (3, ExitCode.UNKNOWN)])
def test_a_node_that_had_not_caught_up_may_get_more_while_it_is_read(told: int, exit_code: ExitCode) -> None:
    behind = Convergence("b", False, None, "offset 4000 of 5000")
    held = replace(reading([1, 2]), told=told)
    found = verdict(evidence(readings=(held,), convergences=(behind,)), anomalies=("stale",))
    assert (found.outcome, kinds(found), found.exit_code) == (Outcome.INVALID, [Kind.STALE], exit_code)
    whole = verdict(evidence(readings=(replace(reading([1, 2, 3]), told=told),), convergences=(behind,)))
    assert whole.outcome is Outcome.UNKNOWN


# -- nothing, or not enough, was looked at


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"nodes": ()}, "no node was judged"),
        ({"streams": ()}, "nothing was written, so nothing was judged"),
        ({"readings": ()}, "workload was read 0 times from b, not once"),
        ({"readings": (reading([1, 2, 3]),) * 2}, "workload was read 2 times from b, not once"),
        ({"nodes": ("b", "c")}, "workload was read 0 times from c, not once"),
        ({"convergences": ()}, "whether b caught up was not measured, or more than once"),
        ({"targets": {}}, "workload: 0 primaries told what they held at the end, not one"),
        ({"doubts": ("the lag sampler died",)}, "the lag sampler died"),
        ({"streams": (stream(3, ok(1, 2)),)}, "workload: the ledger does not say how element 3 of 3 ended"),
        (
            {"streams": (stream(3), stream(3, name="preload.0"))},
            "workload and preload.0 were both written to numbers in db 0",
        ),
    ],
)
def test_evidence_that_leaves_something_out_is_unknown(changes: dict[str, Any], doubt: str) -> None:
    found = verdict(evidence(**changes))
    assert (found.outcome, found.as_expected, found.exit_code) == (Outcome.UNKNOWN, False, ExitCode.UNKNOWN)
    assert doubt in found.doubts


def test_no_evidence_at_all_is_unknown() -> None:
    found = verdict(Evidence((), (), (), {}, ()))
    assert (found.outcome, found.as_expected) == (Outcome.UNKNOWN, False)


def test_a_checker_that_crashes_is_unknown() -> None:
    def broken() -> Iterable[Run]:
        yield Run(1, 2)
        raise OSError("the file of the reading is gone")

    found = verdict(evidence(readings=(replace(reading([1, 2, 3]), runs=broken),)))
    assert found.outcome is Outcome.UNKNOWN
    assert found.doubts == ("workload on b could not be judged: OSError: the file of the reading is gone",)


def test_a_ledger_that_crashes_is_unknown() -> None:
    def broken() -> Iterable[Any]:
        raise ValueError("ledger.jsonl:7: not JSON")

    found = verdict(evidence(streams=(replace(stream(3), entries=broken),)))
    assert found.outcome is Outcome.UNKNOWN
    assert found.doubts == ("workload: its ledger can't be read: ValueError: ledger.jsonl:7: not JSON",)


def test_an_expectation_that_crashes_is_unknown_and_hides_no_anomaly() -> None:
    bad_syncs: Any = {"a->b": None}
    found = verdict(evidence([1, 3], syncs=bad_syncs), full_syncs=0)
    assert kinds(found) == [Kind.LOST]
    assert found.doubts == ("the checker failed: AttributeError: 'NoneType' object has no attribute 'full_finished'",)


# -- nodes


def test_every_node_is_judged_and_nodes_narrows_it() -> None:
    both = evidence(
        nodes=("b", "c"),
        readings=(reading([1, 2, 3]), reading([1, 3], node="c")),
        convergences=(Convergence("b", True, 0.1, ""), Convergence("c", True, 0.2, "")),
    )
    assert [(anomaly.node, anomaly.kind) for anomaly in verdict(both).anomalies] == [("c", Kind.LOST)]
    assert verdict(both, nodes=("b",)).outcome is Outcome.VALID
    doubts = verdict(evidence(), nodes=("c",)).doubts
    assert doubts == ("no node was judged", "c should be judged, and was not looked at")


def test_where_the_primary_was_read_as_well_it_is_told_who_lost_it() -> None:
    found = verdict(evidence(readings=(reading([1, 3]), reading([1, 2, 3], node="a"))))
    assert found.anomalies[0].message.endswith("(a holds 2, b does not)")


def test_a_fenced_break_left_the_same_for_every_replica() -> None:
    written = stream(3, ok(1, 1), open_(2, 3), fenced())
    two = evidence(
        nodes=("b", "c"),
        streams=(replace(written, must_acknowledge=False),),
        readings=(reading([1, 2, 3]), reading([1, 2], node="c")),
        convergences=(Convergence("b", True, 0.1, ""), Convergence("c", True, 0.2, "")),
        targets={"a": Target("f" * 40, 5000, {"workload": 3})},
    )
    assert [(anomaly.node, anomaly.kind) for anomaly in verdict(two).anomalies] == [("c", Kind.TRUNCATED)]
    jointly = stream(5, open_(1, 2, 1), fenced(1), open_(3, 4, 2), fenced(2), ok(5, 5, 3), Resolved((1, 2), 2))
    crossed = replace(
        two,
        streams=(replace(jointly, must_acknowledge=False),),
        readings=(reading([1, 2, 5]), reading([3, 4, 5], node="c")),
    )
    named = {(anomaly.node, anomaly.kind) for anomaly in verdict(crossed).anomalies}
    assert named == {("b", Kind.LOST), ("c", Kind.LOST)}


def test_commands_that_may_be_refused_were_executed_alike_for_every_replica() -> None:
    written = stream(3, ok(1, 1), open_(2, 3), fenced(refusals_possible=True))
    two = evidence(
        nodes=("b", "c"),
        streams=(replace(written, must_acknowledge=False),),
        readings=(reading([1, 2]), reading([1, 3], node="c")),
        convergences=(Convergence("b", True, 0.1, ""), Convergence("c", True, 0.2, "")),
        targets={"a": Target("f" * 40, 5000, {"workload": 2})},
    )
    found = verdict(two)
    assert (found.outcome, found.doubts) == (
        Outcome.UNKNOWN,
        ("workload: b and c hold different ones of the elements without an answer",),
    )
    assert verdict(replace(two, readings=(reading([1, 3]), reading([1, 3], node="c")))) == VALID


# -- convergence


NEVER = (Convergence("b", False, None, "offset 10 of 5000, link down"),)


def test_a_tail_that_never_came_is_stale() -> None:
    found = verdict(evidence([1], convergences=NEVER))
    assert [(anomaly.kind, anomaly.count, anomaly.first) for anomaly in found.anomalies] == [
        (Kind.STALE, 2, First(1, "2", None))
    ]
    assert found.doubts == ()


def test_holes_and_strays_keep_their_names_beside_stale() -> None:
    found = verdict(evidence(["x", 2], convergences=NEVER))
    assert kinds(found) == [Kind.STALE, Kind.WRONG_VALUE]


def test_all_there_but_the_target_never_reached_is_unknown() -> None:
    found = verdict(evidence(convergences=NEVER))
    assert found.outcome is Outcome.UNKNOWN
    assert found.doubts == (
        "b never reached its primary's offset, though no list ends early; last seen: offset 10 of 5000, link down",
    )


def test_offsets_that_did_not_grow_prove_nothing() -> None:
    target = Target("f" * 40, 0, {"workload": 3}, offset_counts=False)
    found = verdict(evidence(targets={"a": target}))
    assert found.doubts == ("b: its primary's offset did not grow by what was written, so that offsets say nothing",)
    by_canary = (Convergence("b", True, 0.2, "canary seen", how="canary"),)
    assert verdict(evidence(targets={"a": target}, convergences=by_canary)) == VALID
    assert kinds(verdict(evidence([1], targets={"a": target}))) == [Kind.STALE]


@pytest.mark.parametrize(
    ("convergence", "unmet"),
    [
        (Convergence("b", True, 0.5, ""), ()),
        (Convergence("b", True, 2.345, ""), ("converges_within_s: b caught up after 2.35 s, not within 1 s",)),
        (
            Convergence("b", False, None, "offset 1 of 9, link up"),
            ("converges_within_s: b had not caught up within 1 s; last seen: offset 1 of 9, link up",),
        ),
    ],
)
def test_converges_within(convergence: Convergence, unmet: tuple[str, ...]) -> None:
    found = verdict(evidence(convergences=(convergence,)), converges_within_s=1)
    assert found.unmet == unmet


def test_a_primary_that_is_judged_itself_needs_no_convergence() -> None:
    itself = evidence(nodes=("a",), readings=(reading([1, 2], node="a"),), convergences=())
    assert [(anomaly.kind, anomaly.node) for anomaly in verdict(itself).anomalies] == [(Kind.TRUNCATED, "a")]
    assert verdict(replace(itself, readings=(reading([1, 2, 3], node="a"),))) == VALID


# -- keys and samples


def test_a_key_that_nobody_wrote_is_a_phantom() -> None:
    found = verdict(evidence(other_keys=(OtherKey("b", 3, "stray"), OtherKey("z", 0, "elsewhere"))))
    assert [(each.kind, each.node, each.db, each.key, each.count, each.first) for each in found.anomalies] == [
        (Kind.PHANTOM, "b", 3, "stray", 1, First(None, None, "stray"))
    ]


def test_a_phantom_key_may_be_expected_while_the_list_must_be_exact() -> None:
    stray = (OtherKey("b", 3, "stray"),)
    assert verdict(evidence(other_keys=stray), anomalies=("phantom",), list="exact").as_expected
    found = verdict(evidence([1, 2, "x", 3], other_keys=stray), anomalies=("phantom",), list="exact")
    assert found.unmet == ("list: numbers on b is not exact (phantom)",)


def test_a_list_that_shrank_for_a_while() -> None:
    shrunk = (Shrink("b", "workload", 3, 1, 0.75),)
    found = verdict(evidence(shrinks=shrunk))
    assert [(each.kind, each.count, each.first) for each in found.anomalies] == [(Kind.SHRANK, 2, First(1, "3", "1"))]
    assert kinds(verdict(evidence([1, 3], shrinks=shrunk))) == [Kind.LOST]
    assert verdict(evidence(shrinks=(Shrink("b", "other", 3, 1, 0.75),))).outcome is Outcome.UNKNOWN


# -- faults


def test_a_fault_that_met_nothing_is_unknown() -> None:
    fault = FaultRecord("latency", "a->b", "20%", "80%", 0.1, 0.2, 0, 0, None, False, "no values were sent meanwhile")
    found = verdict(evidence(faults=(fault, replace(fault, met=True))))
    assert found.doubts == ("latency on a->b at 20% met nothing: no values were sent meanwhile",)
    assert found.outcome is Outcome.UNKNOWN


# -- acknowledgements


def test_where_nothing_is_in_the_way_every_value_must_be_acknowledged() -> None:
    written = stream(3, ok(1, 1), refused(2, 2), ok(3, 3))
    found = verdict(evidence([1, 3], streams=(written,), targets={"a": Target("f", 9, {"workload": 2})}))
    assert (found.outcome, found.exit_code) == (Outcome.VALID, ExitCode.NOT_AS_EXPECTED)
    assert found.unmet == (
        "workload: no fault is in the writer's way, so all 3 elements must be acknowledged; "
        "1 were refused and 0 got no answer, the first: OOM command not allowed",
    )
    allowed = replace(written, must_acknowledge=False)
    assert verdict(evidence([1, 3], streams=(allowed,), targets={"a": Target("f", 9, {"workload": 2})})) == VALID


def test_an_unfenced_break_is_told() -> None:
    written = replace(stream(3, ok(1, 1), open_(2, 3), unfenced()), must_acknowledge=False)
    found = verdict(evidence(streams=(written,)), unknown={"min": 1})
    assert found.outcome is Outcome.VALID
    assert found.notes == (
        "workload: unfenced breaks of connection 1: 2 elements without an answer may stand anywhere after their place",
    )
    assert verdict(evidence(), unknown={"min": 1}).unmet == (
        "unknown: 0 elements got no decisive answer, not at least 1",
    )


# -- expectations


@pytest.mark.parametrize(
    ("expected", "unmet"),
    [
        ({"full_syncs": 1, "partial_syncs": 2}, ()),
        ({"full_syncs": 0}, ("full_syncs: a->b made 1, not 0",)),
        ({"full_syncs": {"a->b": 1}}, ()),
        ({"full_syncs": {"min": 1}}, ()),
        ({"partial_syncs": {"min": 3}}, ("partial_syncs: a->b made 2, not at least 3",)),
        ({"partial_syncs": {"min": 0, "max": 1}}, ("partial_syncs: a->b made 2, not 0 to 1",)),
        ({"initial_sync": "full"}, ()),
        ({"initial_sync": "partial"}, ("initial_sync: a->b began with a full sync, not a partial one",)),
        ({"max_lag_ms": 2}, ()),
        ({"max_lag_ms": 1}, ("max_lag_ms: b lagged by 1.5 ms, more than 1",)),
        ({"max_lag_ms": {"b": 1.25}}, ("max_lag_ms: b lagged by 1.5 ms, more than 1.25",)),
        ({"length": 3}, ()),
        ({"length": 2}, ("length: numbers on b has 3 elements, not 2",)),
        ({"newest_first": (3, 2)}, ()),
        ({"newest_first": 2}, ()),
        ({"newest_first": ("3", 1)}, ("newest_first: the newest of numbers on b are 3 2, not 3 1",)),
        ({"newest_first": (3, 2, 1, 0)}, ("newest_first: the newest of numbers on b are 3 2 1, not 3 2 1 0",)),
    ],
)
def test_measured_expectations(expected: dict[str, Any], unmet: tuple[str, ...]) -> None:
    found = verdict(evidence(syncs={"a->b": SyncCounts(2, 1, 2)}), **expected)
    assert (found.outcome, found.unmet, found.as_expected) == (Outcome.VALID, unmet, not unmet)


@pytest.mark.parametrize(
    ("changes", "expected", "doubt"),
    [
        ({"syncs": {}}, {"full_syncs": 0}, "full_syncs: b: the resyncs of its link were not counted"),
        ({}, {"full_syncs": {"a->c": 0}}, "full_syncs: the resyncs of a->c were not counted"),
        ({"max_lag_ms": {}}, {"max_lag_ms": 5}, "max_lag_ms: the lag of b was not measured"),
        ({"initial_syncs": {}}, {"initial_sync": "full"}, "initial_sync: b: how it first synchronised is not known"),
    ],
)
def test_a_measurement_that_failed_is_unknown(changes: dict[str, Any], expected: dict[str, Any], doubt: str) -> None:
    found = verdict(evidence(**changes), **expected)
    assert (found.outcome, found.doubts) == (Outcome.UNKNOWN, (doubt,))


def test_what_a_runtime_cannot_measure_is_told_and_fails_only_on_request() -> None:
    external = evidence(syncs=None, initial_syncs={}, max_lag_ms=None, not_applied=("latency on a->b",))
    expected: dict[str, Any] = {"full_syncs": 0, "initial_sync": "full", "max_lag_ms": 5}
    found = verdict(external, **expected)
    assert (found.outcome, found.as_expected) == (Outcome.VALID, True)
    assert found.not_checked == (
        "full_syncs: this runtime can't count them",
        "initial_sync: this runtime can't tell it",
        "max_lag_ms: this runtime can't measure it",
    )
    strict = verdict(external, strict=True, **expected)
    assert (strict.as_expected, strict.exit_code) == (False, ExitCode.NOT_AS_EXPECTED)
    assert strict.unmet[-1] == "not applied: latency on a->b"
    told = replace(external, not_checked=("sync counts: no logs", "lag: no INFO"))
    assert verdict(told, **expected).not_checked == ("sync counts: no logs", "lag: no INFO")


def test_preloads_are_judged_but_not_meant_by_expectations_of_the_list() -> None:
    preload = stream(2, name="preload.0", key="old")
    both = evidence(
        streams=(preload, stream(3)),
        readings=(reading([1, 2], stream="preload.0"), reading([1, 2, 3])),
        targets={"a": Target("f" * 40, 9, {"workload": 3, "preload.0": 2})},
    )
    assert verdict(both, length=3, newest_first=(3,)) == VALID
    broken = replace(both, readings=(reading([2], stream="preload.0"), reading([1, 2, 3])))
    assert [(each.key, each.kind) for each in verdict(broken, length=3).anomalies] == [("old", Kind.LOST)]


def test_zero_values_are_judged_too() -> None:
    nothing = evidence([], streams=(stream(0),), targets={"a": Target("f" * 40, 9, {"workload": 0})})
    assert verdict(nothing, length=0) == VALID
    assert kinds(verdict(replace(nothing, readings=(reading(["x"]),)))) == [Kind.PHANTOM]


def test_a_key_that_no_judged_node_holds_is_a_doubt() -> None:
    """Narrowed to other nodes, nobody has looked at what was acknowledged."""
    elsewhere = evidence(streams=(replace(stream(3), nodes=()),), readings=())
    found = verdict(elsewhere, nodes=("b",))
    assert found.exit_code is ExitCode.UNKNOWN
    assert found.doubts == ("workload was judged on no node: expect.nodes leaves out all that hold it",)
    assert verdict(elsewhere).doubts == ("workload was judged on no node",)
