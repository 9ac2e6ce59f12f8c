"""Hashes, sets and sorted sets: literal readings, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.checker.evidence import KeyState
from harness.checker.key import check_key
from harness.checker.list_order import Findings
from harness.history import Entry
from tests.checker.lists import Element, fenced, ok, open_, reading, refused, stream, told, unfenced


def members(kind: str, values: int, elements: list[Element], *entries: Entry, **known: object) -> Findings:
    written = replace(stream(values, *entries), kind=kind, scores=str(known.pop("scores", "ids")))
    target = known.pop("target", None)
    assert target is None or isinstance(target, int)
    return check_key(written, reading(elements), target_length=target, caught_up=bool(known.pop("caught_up", True)))


@pytest.mark.parametrize("kind", ["set", "hash", "sorted_set"])
def test_whole(kind: str) -> None:
    assert told(members(kind, 5, [1, 2, 3, 4, 5], target=5)) == []
    assert told(members(kind, 0, [])) == []


def test_the_order_of_a_set_says_nothing() -> None:
    assert told(members("set", 5, [4, 5, 1, 3, 2])) == []


def test_the_order_of_a_sorted_set_is_by_score() -> None:
    found = members("sorted_set", 5, [1, 2, 4, 3, 5])
    assert told(found) == ["reordered 1 @3: 4 not 3"]
    assert found.anomalies[0].message == (
        "numbers on b: 1 element is out of the order of scores; 3 stands after 4, whose score is higher"
    )


def test_the_order_of_extreme_scores() -> None:
    in_order: list[Element] = [6, 9, 7, 1, 10, 8, 2, 4, 11, 5, 3]
    assert told(members("sorted_set", 11, in_order, scores="extreme")) == []
    assert told(members("sorted_set", 11, [9, 6, *in_order[2:]], scores="extreme")) == ["reordered 1 @1: 9 not 6"]


@pytest.mark.parametrize(
    ("kind", "elements", "expected"),
    [
        ("set", [1, 2, 4, 5], ["lost 1 @None: 3 not None"]),
        ("sorted_set", [1, 2, 4, 5], ["lost 1 @2: 3 not None"]),
        ("set", [1, 2, 3], ["truncated 2 @None: 4 not None"]),
        ("set", [1, 2, 3, 4, 5, 6], ["phantom 1 @None: None not 6"]),
        ("sorted_set", [1, 2, 3, 4, 5, 6], ["phantom 1 @5: None not 6"]),
        ("set", [1, 2, 3, 4, 5, "x"], ["phantom 1 @None: None not x"]),
        ("sorted_set", [1, 2, 4, 5, "3 4.5"], ["wrong_value 1 @4: 3 not 3 4.5"]),
        ("hash", [1, 2, 4, 5, "3 33"], ["wrong_value 1 @None: 3 not 3 33"]),
        ("hash", [1, 2, 3, 4, 5, "3 33"], ["phantom 1 @None: None not 3 33"]),
        ("hash", [4, 5, "1 9", "2 9", "x y"], ["lost 1 @None: 3 not None", "wrong_value 2 @None: 1 not 1 9",
                                              "phantom 1 @None: None not x y"]),
        ("sorted_set", [1, 2, 3, 3, 4, 5], ["duplicated 1 @None: None not 3"]),
        ("set", [], ["missing_key 5 @0: 1 not None"]),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_name(kind: str, elements: list[Element], expected: list[str]) -> None:
    assert told(members(kind, 5, elements)) == expected


def test_a_tail_of_a_node_that_had_not_caught_up_is_stale() -> None:
    found = members("set", 5, [1, 2, 3], caught_up=False)
    assert told(found) == ["stale 2 @None: 4 not None"]
    assert found.anomalies[0].message == (
        "numbers on b: 2 elements are missing; 4 is not there, the newest ones; b had not caught up"
    )


def test_the_value_that_a_member_should_have_is_said() -> None:
    found = members("sorted_set", 3, [2, 3, "1 7"])
    assert found.anomalies[0].message == (
        "numbers on b: 1 element is there with another value; 1 7 instead of 1 with score 1"
    )
    found = members("hash", 3, [2, 3, "1 7"])
    assert found.anomalies[0].message == "numbers on b: 1 element is there with another value; 1 7 instead of 1 1"


class TestOpenCommands:
    def test_a_refused_element_must_not_be_there(self) -> None:
        entries = (ok(1, 2), refused(3, 3), ok(4, 5))
        assert told(members("set", 5, [1, 2, 4, 5], *entries)) == []
        found = members("set", 5, [1, 2, 3, 4, 5], *entries)
        assert told(found) == ["phantom 1 @None: None not 3"]
        assert "its command was refused" in found.anomalies[0].message

    def test_one_without_an_answer_may_be_there_or_not(self) -> None:
        entries = (ok(1, 2), open_(3, 4, command=2), fenced(), ok(5, 6, connection=2))
        assert told(members("set", 6, [1, 2, 3, 4, 5, 6], *entries)) == []
        assert told(members("set", 6, [1, 2, 5, 6], *entries)) == []
        assert told(members("set", 6, [1, 2, 4, 5, 6], *entries)) == ["lost 1 @None: 3 not None"]

    def test_it_must_be_there_where_the_primary_holds_it(self) -> None:
        entries = (ok(1, 2), open_(3, 3), unfenced(), ok(4, 5, connection=2))
        assert told(members("set", 5, [1, 2, 4, 5], *entries, target=4)) == []
        assert told(members("set", 5, [1, 2, 4, 5], *entries, target=5)) == ["lost 1 @None: 3 not None"]

    def test_elements_sent_again_after_a_refusal(self) -> None:
        entries = (ok(1, 2), refused(3, 4), ok(5, 6), ok(3, 4))
        assert told(members("set", 6, [1, 2, 3, 4, 5, 6], *entries)) == []
        assert told(members("set", 6, [1, 2, 3, 5, 6], *entries)) == ["lost 1 @None: 4 not None"]


def test_another_type() -> None:
    written = replace(stream(3), kind="sorted_set")
    wrong = replace(reading([]), state=KeyState.WRONG_TYPE, found_type="hash")
    found = check_key(written, wrong, target_length=3, caught_up=True)
    assert told(found) == ["wrong_type 3 @None: zset not hash"]
    assert found.anomalies[0].message == "numbers on b is not a sorted set but: hash"
