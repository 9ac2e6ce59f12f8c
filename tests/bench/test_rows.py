"""Ratios, goals and turns as plain values; the table and the chart drawn from them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from harness.bench.chart import chart_svg
from harness.bench.rows import Row, faster, in_turns, times
from harness.bench.table import machine_line, table_text

SLOWER = times("writing ÷ C", [1.1, 2.0, 3.0], [1.0, 2.0, 2.0], at_most=1.05)
FASTER = faster("the naive way ÷ harness", [1.0, 2.0, 1.0], [21.0, 44.0, 30.0], at_least=20, note="with hiredis")
MEMORY = Row("memory", 75.0, (44.0, 44.5, 43.5), unit="MB")


def test_a_ratio_is_taken_round_by_round_and_its_median_decides():
    assert SLOWER.values == (1.1, 1.0, 1.5)
    assert (SLOWER.median, SLOWER.met) == (1.1, False)


def test_how_many_times_as_fast_is_the_other_way_round():
    assert FASTER.values == (21.0, 22.0, 30.0)
    assert (FASTER.median, FASTER.met) == (22.0, True)


def test_rounds_of_unequal_number_are_no_rounds():
    with pytest.raises(ValueError, match="shorter"):
        times("x", [1.0, 2.0], [1.0], at_most=1)


def test_as_json_a_row_keeps_its_rounds_and_its_seconds():
    assert FASTER.as_json() == {
        "measure": "the naive way ÷ harness",
        "median": 22.0,
        "min": 21.0,
        "max": 30.0,
        "unit": "x",
        "goal": 20,
        "goal_is": "at_least",
        "met": True,
        "values": [21.0, 22.0, 30.0],
        "ours_seconds": [1.0, 2.0, 1.0],
        "reference_seconds": [21.0, 44.0, 30.0],
        "note": "with hiredis",
    }


def test_a_row_without_a_goal_says_so():
    beside = Row("what the servers allow", None, (25.0,))
    assert beside.met is None
    assert beside.as_json()["goal"] is None


def test_every_way_is_taken_once_a_round_and_none_is_always_the_first():
    taken: list[str] = []
    results = in_turns({name: lambda name=name: taken.append(name) or len(taken) for name in "abc"}, 4)

    assert "".join(taken) == "abc" + "bca" + "cab" + "abc"
    assert results == {"a": [1, 6, 8, 10], "b": [2, 4, 9, 11], "c": [3, 5, 7, 12]}


def test_the_table_shows_ratio_range_goal_and_the_seconds_behind_them():
    assert table_text([SLOWER, FASTER, MEMORY, Row("beside", None, (2.0,))]).splitlines() == [
        "measure                    median    min    max       goal            ours s    other s",
        "-----------------------  --------  -----  -----  ---------  ------  --------  ---------",
        "writing ÷ C                1.10 x   1.00   1.50   ≤ 1.05 x  MISSED     2.000      2.000",
        "the naive way ÷ harness    22.0 x   21.0   30.0   ≥ 20.0 x  met        1.000     30.000",
        "memory                    44.0 MB   43.5   44.5  ≤ 75.0 MB  met",
        "beside                     2.00 x   2.00   2.00",
        "",
        "the naive way ÷ harness: with hiredis",
    ]


def test_the_machine_is_told_in_one_line():
    assert "cores" in machine_line()
    assert "\n" not in machine_line()


def test_the_chart_is_svg_with_a_bar_a_goal_and_no_more():
    chart = ElementTree.fromstring(chart_svg([SLOWER, FASTER, Row("beside", None, (2.0,))], "2 <cores>"))

    texts = [text.text for text in chart.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == [
        "harness bench: each median beside its goal",
        "2 <cores>",
        "writing ÷ C",
        "1.1 (goal ≤ 1.05)",
        "the naive way ÷ harness",
        "22 (goal ≥ 20)",
        "goal",
    ]
    widths = [float(bar.get("width", 0)) for bar in chart.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert widths[0] / widths[1] == pytest.approx((1.1 / 1.05) / (22 / 20), abs=0.01)


def test_a_bar_that_is_far_out_stays_in_the_picture():
    chart = ElementTree.fromstring(chart_svg([Row("far", 1.0, (1000.0,))], "here"))
    (_, bar) = chart.iter("{http://www.w3.org/2000/svg}rect")
    assert float(bar.get("x", 0)) + float(bar.get("width", 0)) < float(chart.get("width", 0)) - 100
