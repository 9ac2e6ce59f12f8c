"""A mistake that writer and reader share is seen by the second opinion, and no verdict says valid."""

from __future__ import annotations

import pytest

from harness.bench.changed import written
from harness.checker.verdict import Outcome
from harness.errors import HarnessError
from harness.options import Options
from harness.resp import encode, oracle
from harness.resp.oracle import check_sample


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("first", "count"), [(1, 1), (1, 4000), (7, 2), (98, 2), (4_321_000, 4000), (999_998, 4)])
def test_what_the_builder_builds_passes(first, count, descending):
    built = encode.bulk_numbers(descending=descending).build(first, count)
    check_sample(built, first, count, oracle.bulk, descending=descending)
    if not descending:
        check_sample(encode.bulk_pairs().build(first, count), first, count, oracle.pair)


@pytest.mark.parametrize(
    ("first", "built"),
    [
        (5, b"$1\r\n6\r\n$1\r\n6\r\n"),
        (5, b"$1\r\n5\r\n$1\r\n5\r\n"),
        (5, b"$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n"),
        (5, b"$1\r\n5\r\n"),
        (9, b"$1\r\n9\r\n$1\r\n10\r\n"),
        (9, b"$2\r\n10\r\n$1\r\n9\r\n"),
    ],
)
def test_other_numbers_lengths_and_orders_do_not(first, built):
    with pytest.raises(HarnessError, match=f"the bytes built for the numbers {first} to {first + 1} are not"):
        check_sample(built, first, 2, oracle.bulk)


def test_a_builder_that_is_wrong_on_both_sides_is_never_valid(monkeypatch: pytest.MonkeyPatch):
    """Beyond 29,999 it forgets to count the ten thousands: written so, sent so by B, and found equal to itself."""
    right = encode._Thousand.records

    def wrong(self, digits, index, count):
        return right(self, b"2" + digits[1:] if digits.startswith(b"3") and len(digits) == 5 else digits, index, count)

    monkeypatch.setattr(encode._Thousand, "records", wrong)
    with written(35_000, Options(ports="any")) as reread:
        verdict = reread(0, None)

    assert verdict.outcome is Outcome.UNKNOWN
    assert [doubt for doubt in verdict.doubts if "the bytes built for the numbers 28001 to 32000 are not" in doubt]
