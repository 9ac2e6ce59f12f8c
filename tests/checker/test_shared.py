"""Keys that several producers write, and lists pushed at the left: literal readings and their verdicts."""

from __future__ import annotations

from dataclasses import replace

from harness.checker.evidence import Convergence, Evidence, Stream, Target
from harness.checker.judge import judge
from harness.checker.verdict import Verdict
from harness.history import Entry
from harness.scenario.model import Expect
from tests.checker.lists import Element, check, ok, open_, reading, refused, stream, told, unfenced


def producer(index: int, first: int, values: int, *entries: Entry) -> Stream:
    written = stream(values, *(entries or (ok(first, first + values - 1),)), name=f"workload.producer{index}")
    return replace(written, first=first, read_as="workload", must_acknowledge=False)


def two(elements: list[Element], *streams: Stream, target: int = 6, kind: str = "list_append") -> Verdict:
    """Two producers, 1..3 and 4..6, on one key."""
    written = streams or (producer(0, 1, 3), producer(1, 4, 3))
    found = Evidence(
        nodes=("b",),
        streams=tuple(replace(each, kind=kind) for each in written),
        readings=(reading(elements),),
        targets={"a": Target("f" * 40, 5000, {"workload": target})},
        convergences=(Convergence("b", True, 0.25, "offset 5000 of 5000, link up"),),
    )
    return judge(found, Expect())


def lines(found: Verdict) -> list[str]:
    return [f"{each.kind} {each.count} @{each.first.index}: {each.first.expected} not {each.first.found}"
            for each in found.anomalies] + [f"doubt: {text}" for text in found.doubts]  # fmt: skip


class TestTwoProducers:
    def test_any_interleaving_that_keeps_each_ones_order(self) -> None:
        assert lines(two([1, 4, 5, 2, 6, 3])) == []
        assert lines(two([4, 5, 6, 1, 2, 3])) == []

    def test_one_producers_order_is_broken(self) -> None:
        assert lines(two([1, 5, 4, 2, 6, 3])) == ["reordered 1 @1: 4 not 5"]

    def test_one_element_is_missing(self) -> None:
        assert lines(two([1, 4, 2, 6, 3])) == ["lost 1 @3: 5 not 6"]
        assert lines(two([1, 4, 5, 6, 3])) == ["lost 1 @4: 2 not 3"]

    def test_the_newest_of_one_producer_are_missing(self) -> None:
        assert lines(two([4, 1, 5, 2, 3])) == ["truncated 1 @5: 6 not None"]

    def test_what_nobody_sent_is_told_once(self) -> None:
        assert lines(two([1, 4, "x", 5, 2, 6, 3], target=7)) == ["phantom 1 @2: 5 not x"]
        assert lines(two([1, 4, 99, 5, 2, 6, 3], target=7)) == ["phantom 1 @2: 5 not 99"]

    def test_twice(self) -> None:
        assert lines(two([1, 4, 5, 2, 5, 6, 3], target=7)) == ["duplicated 1 @4: 6 not 5"]

    def test_what_the_primary_holds_must_be_there(self) -> None:
        first = producer(0, 1, 3, ok(1, 1), open_(2, 3), unfenced())
        second = producer(1, 4, 3, ok(4, 5), open_(6, 6), unfenced())
        assert lines(two([1, 4, 5], first, second, target=3)) == []
        assert lines(two([1, 4, 5, 6], first, second, target=5)) == ["truncated 1 @4: None not None"]

    def test_a_refused_element_of_one(self) -> None:
        second = producer(1, 4, 3, ok(4, 5), refused(6, 6))
        assert lines(two([1, 4, 2, 5, 3], producer(0, 1, 3), second, target=5)) == []
        assert lines(two([1, 4, 2, 5, 3, 6], producer(0, 1, 3), second, target=6)) == ["phantom 1 @5: None not 6"]

    def test_a_set(self) -> None:
        assert lines(two([1, 2, 3, 4, 5, 6], kind="set")) == []
        assert lines(two([1, 2, 4, 5, 6], kind="set", target=5)) == ["truncated 1 @None: 3 not None"]

    def test_a_stream_that_is_missing(self) -> None:
        assert lines(two([1, 2, 3], target=6)) == ["truncated 3 @3: 4 not None"]


class TestLeftPush:
    """The reading is in the order of writing; indexes are those of the list, whose left end is the newest."""

    def left(self, elements: list[Element]) -> list[str]:
        return told(check(replace(stream(5), push="left"), elements))

    def test_whole(self) -> None:
        assert self.left([1, 2, 3, 4, 5]) == []

    def test_indexes_count_from_the_left_end(self) -> None:
        assert self.left([1, 2, 4, 5]) == ["lost 1 @1: 3 not 4"]
        assert self.left([1, 2, 3]) == ["truncated 2 @0: 4 not None"]
        assert self.left([1, 2, "x", 4, 5]) == ["wrong_value 1 @2: 3 not x"]
        assert self.left([1, 2, 3, 4, 5, "x"]) == ["phantom 1 @0: None not x"]
        assert self.left([1, 1, 2, 3, 4, 5]) == ["duplicated 1 @4: 2 not 1"]

    def test_the_sentence(self) -> None:
        found = check(replace(stream(5), push="left"), [1, 2, 4, 5])
        assert found.anomalies[0].message == (
            "numbers on b: 1 element is missing while later ones are there; 3 belongs after 4 at index 1"
        )


def test_a_key_in_blocks() -> None:
    written = replace(stream(5, ok(1, 2), ok(11, 12), ok(21, 21)), block=2, stride=10)
    assert told(check(written, [1, 2, 11, 12, 21])) == []
    assert told(check(written, [1, 2, 12, 21])) == ["lost 1 @2: 11 not 12"]
    assert told(check(written, [1, 2, 11, 12, 3, 21])) == ["phantom 1 @4: 21 not 3"]
    assert told(check(replace(written, values=6), [])) == [
        "doubt: workload: the ledger does not say how element 22 of 6 ended"
    ]
