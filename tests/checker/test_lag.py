from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checker.evidence import Shrink
from harness.checker.lag import LagCurve, ShrinkWatch


def test_lag_is_the_time_since_the_primary_first_passed_the_replica() -> None:
    curve = LagCurve()
    for time, offset in [(0.0, 100), (1.0, 200), (2.0, 200), (3.0, 300)]:
        curve.primary(time, offset)
    assert [curve.lag_ms(3.5, processed) for processed in (50, 100, 199, 200, 299, 300, 400)] == [
        3500.0,
        2500.0,
        2500.0,
        500.0,
        500.0,
        0.0,
        0.0,
    ]


def test_nothing_is_known_before_the_first_sample() -> None:
    assert LagCurve().lag_ms(1.0, 0) == 0.0


def test_what_no_replica_needs_is_forgotten() -> None:
    curve = LagCurve()
    for second in range(100):
        curve.primary(float(second), second)
    curve.forget_below(90)
    assert curve.lag_ms(100.0, 95) == 4000.0
    assert curve.lag_ms(100.0, 90) == 9000.0
    curve.forget_below(99)
    assert curve.lag_ms(100.0, 99) == 0.0


def test_a_primary_that_begins_anew_has_no_past() -> None:
    curve = LagCurve()
    curve.primary(0.0, 5000)
    curve.primary(1.0, 10)
    assert curve.lag_ms(2.0, 0) == 1000.0
    assert curve.lag_ms(2.0, 10) == 0.0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=300), st.integers(0, 600))
def test_memory_is_bounded_and_the_lag_then_only_a_little_too_small(steps: list[int], processed: int) -> None:
    exact, bounded = LagCurve(limit=10**6), LagCurve(limit=32)
    offset = 0
    for time, step in enumerate(steps):
        offset += step
        exact.primary(float(time), offset)
        bounded.primary(float(time), offset)
    assert len(bounded._times) <= 32
    now = float(len(steps))
    assert bounded.lag_ms(now, processed) <= exact.lag_ms(now, processed)
    assert (bounded.lag_ms(now, processed) == 0) == (exact.lag_ms(now, processed) == 0)
    assert exact.lag_ms(now, processed) - bounded.lag_ms(now, processed) <= len(steps) * 4 / 32 * 1000


def test_a_long_silence_among_many_points_costs_the_lag_nothing() -> None:
    exact, bounded = LagCurve(limit=10**6), LagCurve(limit=32)
    times = [*(0.01 * number for number in range(40)), *(100 + 0.01 * number for number in range(400))]
    for offset, time in enumerate(times):
        exact.primary(time, offset)
        bounded.primary(time, offset)
    for processed in range(len(times)):
        assert exact.lag_ms(105.0, processed) - bounded.lag_ms(105.0, processed) <= 4 / 32 * 104 * 1000


def watch(*samples: tuple[str, int | None]) -> tuple[Shrink, ...]:
    watching = ShrinkWatch("b", ("workload",))
    for second, (history, length) in enumerate(samples):
        watching.sample(float(second), history, (length,))
    return watching.shrinks


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([("x", 0), ("x", 5), ("x", 5), ("x", 9)], ()),
        ([("x", 5), ("x", 4)], (Shrink("b", "workload", 5, 4, 1.0),)),
        ([("x", 5), ("x", 0), ("x", 9)], (Shrink("b", "workload", 5, 0, 1.0),)),
        ([("x", 5), ("x", 4), ("x", 9), ("x", 2)], (Shrink("b", "workload", 9, 2, 3.0),)),
        ([("x", 5), ("y", 0), ("y", 4)], ()),
        ([("x", 5), ("x", None), ("x", 5)], ()),
        ([("x", 5), ("x", None), ("x", 3)], (Shrink("b", "workload", 5, 3, 2.0),)),
        ([("x", 5), ("x", 4), ("x", 4)], (Shrink("b", "workload", 5, 4, 1.0),)),
    ],
)
def test_a_sample_that_holds_less(samples: list[tuple[str, int | None]], expected: tuple[Shrink, ...]) -> None:
    assert watch(*samples) == expected


def test_streams_are_watched_apart() -> None:
    watching = ShrinkWatch("b", ("workload.0", "workload.1"))
    watching.sample(0.0, "x", (5, 7))
    watching.sample(1.0, "x", (6, 1))
    assert watching.shrinks == (Shrink("b", "workload.1", 7, 1, 1.0),)
