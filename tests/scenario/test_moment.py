"""When a fault begins or ends, as it is written."""

from __future__ import annotations

import pytest

from harness.scenario.moment import Moment


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("20%", Moment(percent=20.0)),
        ("0 %", Moment(percent=0.0)),
        ("33.3%", Moment(percent=33.3)),
        ("100%", Moment(percent=100.0)),
        ("1.5s", Moment(seconds=1.5)),
        ("300ms", Moment(seconds=0.3)),
        ("2", Moment(seconds=2.0)),
        (2, Moment(seconds=2.0)),
        (0.25, Moment(seconds=0.25)),
        ("full_sync", Moment(event="full_sync")),
        (" written ", Moment(event="written")),
    ],
)
def test_what_can_be_written(written: object, moment: Moment) -> None:
    assert Moment.parse(written) == moment


@pytest.mark.parametrize("written", ["", "%", "20 percent", "-1s", "1h", "fullsync", "٢٠%", True, None, [1], {"a": 1}])
def test_what_is_no_moment(written: object) -> None:
    with pytest.raises(
        ValueError, match=r"^expected a share \(20%\), seconds \(1.5s\) or an event \(full_sync, link_up"
    ):
        Moment.parse(written)


def test_more_than_all_values() -> None:
    with pytest.raises(ValueError, match=r"^expected a share of the values of at most 100%, not '100.1%'$"):
        Moment.parse("100.1%")


@pytest.mark.parametrize("written", ["86401s", -1, float("nan"), float("inf"), 10**400, "9" * 500 + "s"])
def test_seconds_beyond_a_day(written: object) -> None:
    with pytest.raises(ValueError, match=r"^expected a number of seconds from 0 to 86400, not "):
        Moment.parse(written)


@pytest.mark.parametrize("text", ["20%", "33.3333333%", "0.00000012%", "1.5s", "86399.123456s", "100%", "link_up"])
def test_text_and_back(text: str) -> None:
    assert str(Moment.parse(text)) == text
    assert Moment.parse(str(Moment.parse(text))) == Moment.parse(text)
