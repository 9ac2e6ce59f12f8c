"""Which numbers a producer writes to a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scores import same_score, score_text
from harness.values import Values, split

LAID_OUT = st.builds(
    lambda count, first, block, more: Values(count, first, block, block + more if block else 0),
    st.integers(0, 60),
    st.integers(1, 9),
    st.integers(0, 7),
    st.integers(0, 7),
)


@given(LAID_OUT)
def test_numbers_indexes_and_stretches_agree(values: Values) -> None:
    numbers = [values.at(index) for index in range(values.count)]
    assert numbers == [n for first, count in values.runs() for n in range(first, first + count)]
    assert [values.index(number) for number in numbers] == list(range(values.count))
    assert {number for number in range(1, 1000) if number in values} == set(numbers)


def test_blocks_a_stride_apart() -> None:
    values = Values(7, first=11, block=3, stride=10)
    assert list(values.runs()) == [(11, 3), (21, 3), (31, 1)]
    assert list(values.runs(2, 3)) == [(13, 1), (21, 2)]
    assert values.consecutive(4) == 2


@pytest.mark.parametrize("wrong", [{"count": -1}, {"count": 1, "first": 0}, {"count": 1, "block": 5, "stride": 4}])
def test_what_can_not_be_laid_out(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no numbers can be laid out like this"):
        Values(**wrong)


def test_splitting() -> None:
    assert split(10, 3) == (Values(3, 1), Values(3, 4), Values(4, 7))
    assert split(2, 3) == (Values(1, 1), Values(1, 2))
    assert split(0, 3) == (Values(0),)


@pytest.mark.parametrize(
    ("number", "sent", "same", "other"),
    [
        (1, "-0", b"-0", b"0"),
        (2, "0.66666666666666663", b"0.6666666666666666", b"0.66666666666666674"),
        (3, "inf", b"inf", b"-inf"),
        (4, "9007199254740996", b"9.007199254740996e+15", b"9007199254740998"),
        (5, "1e308", b"1e+308", b"inf"),
        (8, "5e-324", b"4.9406564584124654e-324", b"0"),
        (11, "11000000000000001", b"11000000000000000", b"11000000000000002"),
    ],
)
def test_scores_are_compared_bit_by_bit(number: int, sent: str, same: bytes, other: bytes) -> None:
    assert score_text("extreme", number) == sent
    assert same_score("extreme", number, same)
    assert not same_score("extreme", number, other)
    assert not same_score("extreme", number, b"nonsense")
