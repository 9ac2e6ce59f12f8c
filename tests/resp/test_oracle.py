"""A mistake that writer and reader share is seen by the second opinion, and no verdict says valid."""

from __future__ import annotations

import pytest

from harness.bench.changed import written
from harness.checker.verdict import Outcome
from harness.errors import HarnessError
from harness.kinds import KINDS, SHARDED
from harness.options import Options
from harness.resp import encode, oracle
from harness.resp.layouts import StreamLayout, StringLayout
from harness.resp.oracle import check_sample
from harness.workload.numbered import SHAPES


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("first", "count"), [(1, 1), (1, 4000), (7, 2), (98, 2), (4_321_000, 4000), (999_998, 4)])
def test_what_the_builder_builds_passes(first, count, descending):
    built = encode.bulk_numbers(descending=descending).build(first, count)
    check_sample(built, first, count, oracle.bulk, descending=descending)
    if not descending:
        check_sample(encode.bulk_pairs().build(first, count), first, count, oracle.pair)
        assert StreamLayout().predicted([(first, count)]) == b"".join(map(oracle.entry, range(first, first + count)))
        lines = b"".join(map(oracle.line, range(first, first + count)))
        assert StringLayout().predicted([(first, count)]) == lines + b"\r\n"


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


PREDICTED = {"list_append", "sorted_set", "string", "stream"}  # the others are parsed, element by element
WAYS = [
    (kind, shape)
    for kind in KINDS
    for shape in SHAPES
    if kind not in SHARDED and (KINDS[kind].variadic or shape != "variadic")
]


@pytest.mark.parametrize(("kind", "shape"), WAYS)
def test_a_builder_that_is_wrong_on_both_sides_is_never_valid(monkeypatch: pytest.MonkeyPatch, kind: str, shape: str):
    """Its 3,000s become 7,000s, where a number stands last in its record: written so, sent so by B, equal to itself."""
    right = encode._Thousand.records

    def wrong(self, digits, index, count):
        records = right(self, digits, index, count)
        if len(digits) == 4 and digits.startswith(b"3"):
            place = self._offsets[-1]
            records[place :: self._length] = b"7" * count
        return records

    monkeypatch.setattr(encode._Thousand, "records", wrong)
    monkeypatch.setattr(encode, "_FEW", 0)  # so that single numbers come from there too
    changes = (f"workload.kind={kind}", f"workload.batch={{shape: {shape}, size: 100}}", "expect={}")
    with written(3_500, Options(ports="any"), *changes) as reread:
        verdict = reread(0, None)

    if kind in PREDICTED:
        assert verdict.outcome is Outcome.UNKNOWN
        assert [doubt for doubt in verdict.doubts if "the bytes built for the numbers 1 to 3500 are not" in doubt]
    else:
        assert verdict.outcome is Outcome.INVALID


@pytest.mark.parametrize(("kind", "shape"), [("string", "variadic"), ("stream", "pipeline")])
def test_what_is_right_stays_valid(kind: str, shape: str):
    changes = (f"workload.kind={kind}", f"workload.batch={{shape: {shape}, size: 100}}", "expect={}")
    with written(3_500, Options(ports="any"), *changes) as reread:
        assert reread(0, None).outcome is Outcome.VALID
