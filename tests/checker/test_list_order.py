"""Literal lists and the exact names of what is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.checker.evidence import KeyState, Reading, Run
from harness.checker.key import check_key
from harness.checker.list_order import Findings
from harness.checker.verdict import First, Kind
from harness.history import LengthJump, Resolved, Unanswered
from tests.checker.lists import Element, check, fenced, ok, open_, reading, refused, stream, told, unfenced

TEN = list(range(1, 11))


def test_a_list_that_is_as_acknowledged_is_clean() -> None:
    findings = check(stream(10), TEN, target=10)
    assert findings == Findings(must=10, read=10)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ([1, 2, 3, 6, 7, 8, 9, 10], ["lost 2 @3: 4 not 6"]),
        ([2, 3, 4, 5, 6, 7, 8, 9, 10], ["lost 1 @0: 1 not 2"]),
        ([1, 3, 4, 6, 7, 8, 9, 10], ["lost 2 @1: 2 not 3"]),
        ([1, 2, 3, 4, 5, 6, 7], ["truncated 3 @7: 8 not None"]),
        ([2, 3, 4, 5], ["lost 1 @0: 1 not 2", "truncated 5 @4: 6 not None"]),
        ([1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10], ["duplicated 1 @3: 4 not 3"]),
        ([1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 9, 10], ["duplicated 3 @5: 6 not 3"]),
        ([*TEN, 1, 2], ["duplicated 2 @10: None not 1"]),
        ([1, 3, 2, 4, 5, 6, 7, 8, 9, 10], ["reordered 1 @1: 2 not 3"]),
        ([1, 2, 9, 3, 4, 5, 6, 7, 8, 10], ["reordered 6 @2: 3 not 9"]),
        (TEN[::-1], ["reordered 9 @0: 1 not 10"]),
        ([1, 2, 4, 5, 6, 3, 8, 9, 10, 7], ["reordered 2 @2: 3 not 4"]),
        ([1, 2, "x", 4, 5, 6, 7, 8, 9, 10], ["wrong_value 1 @2: 3 not x"]),
        (["x", 2, 3, 4, 5, 6, 7, 8, 9, 10], ["wrong_value 1 @0: 1 not x"]),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, "x"], ["wrong_value 1 @9: 10 not x"]),
        ([1, 77, 3, "y", 5, 6, 7, 8, 9, 10], ["wrong_value 2 @1: 2 not 77"]),
        ([1, "x", "y", 4, 5, 6, 7, 8, 9, 10], ["lost 2 @3: 2 not 4", "phantom 2 @1: 2 not x"]),
        ([1, "x", 4, 5, 6, 7, 8, 9, 10], ["lost 2 @2: 2 not 4", "phantom 1 @1: 2 not x"]),
        ([1, 4, 4, 5, 6, 7, 8, 9, 10], ["lost 2 @1: 2 not 4", "duplicated 1 @2: 5 not 4"]),
        ([1, "x", 3, 2, 4, 5, 6, 7, 8, 9, 10], ["reordered 1 @2: 2 not 3", "phantom 1 @1: 2 not x"]),
        ([1, 2, 3, 99, 4, 5, 6, 7, 8, 9, 10], ["phantom 1 @3: 4 not 99"]),
        (["x", *TEN], ["phantom 1 @0: 1 not x"]),
        ([*TEN, "x"], ["phantom 1 @10: None not x"]),
        ([*TEN, 11, 12, 13], ["phantom 3 @10: None not 11"]),
        ([1, 2, 3, "x"], ["truncated 7 @4: 4 not None", "phantom 1 @3: 4 not x"]),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 9], ["truncated 1 @10: 10 not None", "duplicated 1 @9: 10 not 9"]),
        (["0", *TEN], ["phantom 1 @0: 1 not 0"]),
        ([1, "02", 3, 4, 5, 6, 7, 8, 9, 10], ["wrong_value 1 @1: 2 not 02"]),
        ([5], ["lost 4 @0: 1 not 5", "truncated 5 @1: 6 not None"]),
        (["a", "b"], ["truncated 10 @2: 1 not None", "phantom 2 @0: 1 not a"]),
    ],
)
def test_each_place_has_one_name(elements: list[Element], expected: list[str]) -> None:
    assert told(check(stream(10), elements, target=10)) == expected
    assert told(check(stream(10), elements)) == expected


def test_a_sentence_says_what_stands_where() -> None:
    (lost,) = check(stream(10), [1, 2, 3, 6, 7, 8, 9, 10]).anomalies
    assert lost.message == (
        "numbers on b: 2 elements are missing while later ones are there; 4 belongs before 6 at index 3"
    )
    assert (lost.node, lost.db, lost.key, lost.first) == ("b", 0, "numbers", First(3, "4", "6"))


def test_one_value_is_a_list_too() -> None:
    assert told(check(stream(1), [1])) == []
    assert told(check(stream(1), ["x"])) == ["wrong_value 1 @0: 1 not x"]
    assert told(check(stream(1), [1, 1])) == ["duplicated 1 @1: None not 1"]


# -- the key


def state_of(state: KeyState, found_type: str | None = None) -> Reading:
    return Reading("b", "workload", state, lambda: (), found_type=found_type)


@pytest.mark.parametrize(
    ("values", "caught_up", "target", "expected"),
    [
        (10, True, 10, ["missing_key 10 @0: 1 not None"]),
        (10, False, 10, ["stale 10 @0: 1 not None"]),
        (0, True, 0, []),
        (0, True, None, []),
        (0, True, 3, ["missing_key 3 @0: None not None"]),
        (10, True, 0, ["missing_key 10 @0: 1 not None"]),
    ],
)
def test_a_key_that_is_not_there(values: int, caught_up: bool, target: int | None, expected: list[str]) -> None:
    absent = state_of(KeyState.ABSENT)
    findings = check_key(stream(values), absent, target_length=target, caught_up=caught_up)
    assert told(findings) == expected


def test_nothing_was_acknowledged_and_nothing_is_there() -> None:
    written = stream(10, refused(1, 4), open_(5, 10), fenced())
    assert told(check(written, [], target=0)) == []
    assert told(check(written, [], target=2)) == ["missing_key 2 @0: 5 not None"]


def test_zero_values_and_a_key_that_is_there() -> None:
    assert told(check(stream(0), ["x", 1])) == ["phantom 2 @0: None not x"]


def test_another_type() -> None:
    findings = check_key(stream(3), state_of(KeyState.WRONG_TYPE, "string"), target_length=3, caught_up=True)
    assert told(findings) == ["wrong_type 3 @None: list not string"]
    findings = check_key(stream(0), state_of(KeyState.WRONG_TYPE, "hash"), target_length=0, caught_up=True)
    assert told(findings) == ["wrong_type 1 @None: list not hash"]


def test_what_could_not_be_read_is_in_doubt() -> None:
    unreadable = replace(state_of(KeyState.UNREADABLE), error="NOPERM no permissions")
    findings = check_key(stream(3), unreadable, target_length=3, caught_up=True)
    assert told(findings) == ["doubt: workload on b could not be read: NOPERM no permissions"]


def test_a_read_of_which_something_was_dropped_is_in_doubt() -> None:
    short = replace(reading([1, 2, 3]), length=4)
    findings = check_key(stream(3), short, target_length=3, caught_up=True)
    assert told(findings) == ["doubt: workload on b: 4 elements were read, and 3 were kept"]


def test_a_list_without_elements_is_in_doubt() -> None:
    findings = check_key(stream(0), state_of(KeyState.LIST), target_length=0, caught_up=True)
    assert told(findings) == ["doubt: workload on b: a list without elements was read, which no server keeps"]


def test_the_tail_of_a_node_that_had_not_caught_up_is_stale() -> None:
    findings = check(stream(10), [1, 2, 3], target=10, caught_up=False)
    assert told(findings) == ["stale 7 @3: 4 not None"]
    assert findings.anomalies[0].message == (
        "numbers on b: 7 elements are missing at the end; "
        "the list ends after 3 elements, where 4 was expected; b had not caught up"
    )
    holed = check(stream(10), [1, 3], target=10, caught_up=False)
    assert told(holed) == ["lost 1 @1: 2 not 3", "stale 7 @2: 4 not None"]


# -- commands that were refused, or got no answer


def test_what_was_only_refused_must_not_be_there() -> None:
    written = stream(6, ok(1, 2), refused(3, 4), ok(5, 6))
    assert told(check(written, [1, 2, 5, 6], target=4)) == []
    findings = check(written, [1, 2, 3, 5, 6], target=5)
    assert told(findings) == ["phantom 1 @2: 5 not 3"]
    assert findings.anomalies[0].message.endswith("3 stands at index 2: its command was refused")


def test_refused_values_sent_again_stand_where_they_succeeded() -> None:
    written = stream(6, ok(1, 2), refused(3, 4), ok(5, 6), ok(3, 4))
    assert told(check(written, [1, 2, 5, 6, 3, 4], target=6)) == []
    assert told(check(written, [1, 2, 3, 4, 5, 6])) == ["reordered 2 @2: 5 not 3"]


def test_a_fenced_connection_executed_its_first_commands_whole() -> None:
    written = stream(12, ok(1, 2), open_(3, 8, command=2), fenced(), ok(9, 12, connection=2))
    for k in range(4):
        assert told(check(written, [1, 2, *range(3, 3 + 2 * k), 9, 10, 11, 12], target=6 + 2 * k)) == []
    assert told(check(written, [1, 2, 3, 9, 10, 11, 12])) == ["lost 1 @3: 4 not 9"]
    assert told(check(written, [1, 2, 5, 6, 9, 10, 11, 12])) == ["lost 2 @2: 3 not 5"]
    assert told(check(written, [1, 2, 8, 9, 10, 11, 12])) == ["lost 5 @2: 3 not 8"]
    assert told(check(written, [1, 2, 9, 10, 3, 4, 11, 12])) == ["reordered 2 @2: 3 not 9"]


def test_where_commands_may_be_refused_each_stands_for_itself() -> None:
    written = stream(8, open_(1, 6, command=2), fenced(refusals_possible=True), ok(7, 8, connection=2))
    assert told(check(written, [1, 2, 5, 6, 7, 8])) == []
    assert told(check(written, [5, 6, 7, 8])) == []
    assert told(check(written, [1, 2, 6, 7, 8])) == ["lost 1 @2: 5 not 6"]
    seen = stream(9, refused(1, 1), open_(2, 7, command=2), fenced(), ok(8, 9, connection=2))
    assert told(check(seen, [4, 5, 8, 9])) == []


def test_an_error_that_decides_nothing_leaves_one_command_open() -> None:
    written = stream(9, ok(1, 3), open_(4, 6, command=3, error="ERR time-out"), ok(7, 9))
    assert told(check(written, [1, 2, 3, 7, 8, 9])) == []
    assert told(check(written, TEN[:9])) == []
    assert told(check(written, [1, 2, 3, 4, 6, 7, 8, 9])) == ["lost 1 @4: 5 not 6"]
    assert told(check(written, [1, 2, 3, 7, 8, 9, 4, 5, 6])) == ["reordered 3 @3: 4 not 7"]


def test_a_length_reply_fixes_how_many_were_executed() -> None:
    entries = (open_(1, 30, command=10), fenced(), ok(31, 32, connection=2), Resolved((1,), 20))
    written = stream(32, *entries)
    assert told(check(written, [*range(1, 21), 31, 32], target=22)) == []
    assert told(check(written, [*range(1, 11), 31, 32])) == ["lost 10 @10: 11 not 31"]
    findings = check(written, [*range(1, 31), 31, 32])
    assert told(findings) == ["phantom 10 @20: 31 not 21"]
    assert "its command did not happen, as the primary's list length shows" in findings.anomalies[0].message


def test_length_replies_about_several_connections_fix_their_sum() -> None:
    opened = (open_(1, 4, 1, command=2), fenced(1), open_(5, 8, 2, command=2), fenced(2))
    written = stream(9, *opened, ok(9, 9, 3), Resolved((1, 2), 4))
    for held in ([1, 2, 3, 4, 9], [1, 2, 5, 6, 9], [5, 6, 7, 8, 9]):
        assert told(check(written, held, target=5)) == []
    assert told(check(written, [1, 2, 9])) == ["lost 2 @2: 3 not 9"]
    for target in (None, 5):
        assert told(check(written, [1, 2, 3, 4, 5, 6, 9], target)) == ["phantom 2 @4: 9 not 5"]


def test_a_sum_that_whole_commands_do_not_give_is_the_primarys_own_loss() -> None:
    written = stream(12, open_(1, 10, command=5), fenced(), ok(11, 12, connection=2), Resolved((1,), 7))
    assert told(check(written, [11, 12])) == [
        "doubt: workload on b: the primary's list length says that 7 elements of connection 1 were applied, "
        "which no number of whole commands gives: the primary itself lost or gained elements"
    ]
    assert told(check(written, [12])) == ["lost 1 @0: 11 not 12"]


def test_a_length_that_nothing_explains_is_never_silently_valid() -> None:
    written = stream(4, ok(1, 4), LengthJump(1, 3, 3, 2))
    assert told(check(written, [1, 2, 3, 4], target=4)) == [
        "doubt: workload on b: the reply to element 3's command told a list length of 2, not 3: "
        "the primary itself lost or gained elements"
    ]
    findings = check(written, [1, 3, 4], target=3)
    assert told(findings) == ["lost 1 @1: 2 not 3"]
    assert len(findings.notes) == 1


# -- unfenced connections


LATE = (ok(1, 2), open_(3, 6, command=2), unfenced(), ok(7, 10, connection=2, command=2))


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ([1, 2, 7, 8, 9, 10], []),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], []),
        ([1, 2, 7, 8, 9, 10, 3, 4, 5, 6], []),
        ([1, 2, 3, 4, 7, 8, 5, 6, 9, 10], []),
        ([1, 2, 7, 8, 3, 4, 9, 10], []),
        ([1, 2, 7, 8, 5, 6, 3, 4, 9, 10], ["reordered 2 @2: 3 not 7"]),
        ([1, 2, 7, 8, 5, 6, 9, 10], ["lost 2 @2: 3 not 7"]),
        ([1, 2, 7, 3, 4, 8, 9, 10], ["reordered 2 @2: 3 not 7"]),
        ([1, 2, 7, 8, 3, 9, 10, 4], ["reordered 1 @2: 4 not 7"]),
        ([1, 2, 7, 8, 3, 9, 10], ["lost 1 @2: 4 not 7"]),
        ([1, 3, 4, 2, 7, 8, 9, 10], ["reordered 1 @1: 2 not 3"]),
        ([1, 2, 7, 8, 9, 10, 3, 4, 3, 4], ["duplicated 2 @8: None not 3"]),
        ([1, 2, 7, 9, 10, 3, 4, 5, 6], ["lost 1 @3: 8 not 9"]),
        ([1, 2, 7, 8, 9, 3, 4, 5, 6], ["truncated 1 @9: 10 not None", "reordered 4 @2: 3 not 7"]),
    ],
)
def test_late_commands_are_no_false_alarm_and_losses_among_them_are_found(
    elements: list[Element], expected: list[str]
) -> None:
    assert told(check(stream(10, *LATE), elements)) == expected


def test_two_connections_may_alternate() -> None:
    entries = (open_(1, 3, 1), unfenced(1), open_(4, 6, 2), unfenced(2), ok(7, 8, 3))
    written = stream(8, *entries)
    assert told(check(written, [7, 4, 1, 5, 2, 8, 3, 6])) == []
    assert told(check(written, [7, 4, 2, 5, 1, 8, 3, 6])) == ["reordered 1 @0: 1 not 7"]


def test_a_connection_of_which_nothing_says_how_it_ended_leaves_a_doubt() -> None:
    assert told(check(stream(3, ok(1, 1), open_(2, 3)), [1, 2, 3])) == [
        "doubt: workload: connection 1 left commands without an answer, and the ledger does not say how it ended"
    ]


def test_more_cursors_than_one_pass_can_follow() -> None:
    entries = [entry for n in range(1, 1002) for entry in (open_(n, n, connection=n), unfenced(n))]
    assert told(check(stream(1001, *entries), [1])) == [
        "doubt: workload: 1001 connections broke and could not be fenced, and one pass can follow 1000"
    ]


# -- what the primary held


def test_what_the_primary_applied_without_an_answer_must_be_here() -> None:
    written = stream(6, ok(1, 2), open_(3, 4), fenced(), ok(5, 6, connection=2))
    assert told(check(written, [1, 2, 3, 5, 6], target=5)) == []
    assert told(check(written, [1, 2, 5, 6], target=5)) == ["lost 1 @2: 3 not 5"]
    last = stream(6, ok(1, 4), open_(5, 6), fenced())
    assert told(check(last, [1, 2, 3, 4], target=5)) == ["truncated 1 @4: 5 not None"]
    assert told(check(last, [1, 2, 3, 4], target=5, caught_up=False)) == ["stale 1 @4: 5 not None"]


def test_what_the_primary_did_not_apply_must_not_be_here() -> None:
    written = stream(6, ok(1, 2), open_(3, 4), fenced(), ok(5, 6, connection=2))
    assert told(check(written, [1, 2, 3, 4, 5, 6], target=5)) == ["phantom 1 @3: 5 not 4"]
    assert told(check(written, [1, 2, 3, 4, 5, 6], target=4)) == ["phantom 2 @2: 5 not 3"]


def test_an_unfenced_connection_may_have_gone_on_after_the_primary_was_asked() -> None:
    written = stream(4, ok(1, 2), open_(3, 4), unfenced())
    assert told(check(written, [1, 2, 3, 4], target=2)) == []
    assert told(check(written, [1, 2], target=3)) == ["truncated 1 @2: 3 not None"]


def test_a_primary_that_holds_what_nobody_sent() -> None:
    findings = check(stream(3), [1, 2, 3], target=5)
    assert told(findings) == ["truncated 2 @3: None not None"]
    assert findings.anomalies[0].message.endswith("the list ends after 3 elements, and the primary's is longer")
    assert told(check(stream(3), [1, "x", 2, 3], target=4)) == ["phantom 1 @1: 2 not x"]


def test_a_primary_that_lost_something_itself() -> None:
    assert told(check(stream(3), [1, 3], target=2)) == ["lost 1 @1: 2 not 3"]
    assert told(check(stream(3), [1, 2, 3], target=2)) == [
        "doubt: workload on b: the primary held 2 elements at the end, fewer than the 3 that must be there"
    ]


def test_a_stray_on_both_sides_does_not_make_open_elements_lost() -> None:
    written = stream(4, ok(1, 2), open_(3, 4), fenced())
    assert told(check(written, [1, "x", 2], target=3)) == ["phantom 1 @1: 2 not x"]


@pytest.mark.parametrize(
    ("elements", "primary", "sentence"),
    [
        ([1, 3], [1, 2, 3], "(a holds 2, b does not)"),
        ([1, 3], [1, 3], "(a lost it as well)"),
        ([1, "x", 3], [1, "x", 3], "(a holds x, too)"),
        ([1, "x", 3], [1, 3], "(a lost it as well)"),
        ([1, "x", 3], [1, 2, 3], "(a holds 2, b does not)"),
        ([1, "x", 2, 3], [1, 2, 3], "(a does not have it)"),
        ([1, "x", 2, 3], [1, "x", 2, 3], "(a has it too)"),
        ([1, 2, 2, 3], [1, 2, 3], "(a does not have it)"),
        ([1, 2, 2, 3], [1, 2, 2, 3], "(a has it too)"),
        ([1, 2], [1, 2, 3], "(a holds 3, b does not)"),
    ],
)
def test_the_primarys_own_list_tells_who_lost_it(
    elements: list[Element], primary: list[Element], sentence: str
) -> None:
    findings = check_key(
        stream(3), reading(elements), target_length=None, caught_up=True, primary=reading(primary, node="a")
    )
    assert findings.anomalies[0].message.endswith(sentence)


# -- the ledger


@pytest.mark.parametrize(
    ("values", "entries", "doubt"),
    [
        (3, (ok(1, 2),), "the ledger does not say how element 3 of 3 ended"),
        (5, (ok(1, 2), ok(4, 5)), "the ledger does not say how element 3 of 5 ended"),
        (3, (ok(1, 3), ok(3, 3)), "the ledger has two commands for element 3 that can have worked"),
        (3, (ok(1, 2), open_(2, 3), fenced()), "the ledger has two commands for element 2 that can have worked"),
        (3, (ok(1, 4),), "the ledger speaks of element 4, and the elements are 1..3"),
        (3, (ok(0, 3),), "the ledger speaks of element 0, and the elements are 1..3"),
        (3, (ok(1, 3), ok(3, 2)), "the ledger holds an empty range: elements 3 to 2 of connection 1"),
        (0, (ok(1, 1),), "the ledger speaks of element 1, and the elements are 1..0"),
    ],
)
def test_a_ledger_must_account_for_each_element_once(values: int, entries: tuple[Unanswered, ...], doubt: str) -> None:
    assert told(check(stream(values, *entries), [1])) == [f"doubt: workload: {doubt}"]


def test_a_ledger_with_nothing_in_it_says_nothing() -> None:
    empty = replace(stream(3), entries=lambda: ())
    assert told(check(empty, [1, 2, 3])) == ["doubt: workload: the ledger does not say how element 1 of 3 ended"]


def test_contradictory_length_replies_are_doubted() -> None:
    loose = stream(2, open_(1, 2), unfenced(), Resolved((1,), 1))
    assert told(check(loose, [1])) == [
        "doubt: workload: the ledger resolves connection 1 by a list length, though it could not be fenced"
    ]
    twice = stream(2, open_(1, 2), fenced(), Resolved((1,), 1), Resolved((1,), 2))
    assert told(check(twice, [1])) == ["doubt: workload: the ledger resolves connection 1 twice"]


# -- size


def test_a_run_of_100_million_is_one_step() -> None:
    many = 100_000_000
    whole = Reading("b", "workload", KeyState.LIST, lambda: (Run(1, many),), length=many)
    assert told(check_key(stream(many), whole, target_length=many, caught_up=True)) == []
    holed = replace(whole, runs=lambda: (Run(1, 70_000_000), Run(70_000_002, 29_999_999)), length=many - 1)
    assert told(check_key(stream(many), holed, target_length=many, caught_up=True)) == [
        "lost 1 @70000000: 70000001 not 70000002"
    ]


def test_gaps_beyond_the_limit_make_counts_a_lower_bound() -> None:
    odd = range(1, 200_011, 2)
    findings = check(stream(200_010), [*odd, 2])
    assert told(findings) == [
        "lost >=99999 @2: 4 not 5",
        "truncated >=1 @100006: 200010 not None",
        "reordered >=1 @1: 2 not 3",
    ]


def test_kinds_that_need_more_than_one_list_are_not_given_here() -> None:
    assert {Kind.MISPLACED, Kind.SHRANK}.isdisjoint(
        anomaly.kind for anomaly in check(stream(10), [3, 3, "x", 1]).anomalies
    )
