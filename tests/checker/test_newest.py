from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checker.evidence import KeyState, Reading, Run
from harness.checker.newest import newest_first
from tests.checker.lists import reading


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, ()), (1, (b"9",)), (3, (b"9", b"x", b"2")), (5, (b"9", b"x", b"2", b"1")), (-1, ())],
)
def test_from_the_end(count: int, expected: tuple[bytes, ...]) -> None:
    assert newest_first(reading([1, 2, "x", 9]), count) == expected


def test_the_list_is_not_enumerated() -> None:
    many = Reading("b", "workload", KeyState.LIST, lambda: (Run(1, 10**15),), length=10**15)
    assert newest_first(many, 2) == (b"1000000000000000", b"999999999999999")


@given(st.lists(st.one_of(st.integers(1, 20), st.sampled_from(["x", "007"]))), st.integers(0, 30))
def test_any_list(elements: list[int | str], count: int) -> None:
    sent = [str(element).encode() for element in elements]
    assert newest_first(reading(elements), count) == tuple(sent[::-1][:count])
