"""Stages as specifications: what is put in when, and what comes out when. Times are seconds, given by hand."""

from __future__ import annotations

import random

import pytest

from harness.fault.embedded.toxics import END, KINDS, Stage

NOW = 100.0


def stage(kind: str, active: bool = True, **attributes: int) -> Stage:
    made = KINDS[kind](dict.fromkeys(KINDS[kind].fields, 0) | attributes, NOW, active=active)
    assert made.held == 0
    return made


def put(made: Stage, at: float, data: bytes | None) -> None:
    made.put(at, (at, END if data is None else memoryview(data)))


def taken(made: Stage, at: float) -> list[bytes | None]:
    """Everything that leaves at this moment; None for the end."""
    out: list[bytes | None] = []
    while (piece := made.take(at)) is not None:
        out.append(None if piece[1] is END else bytes(piece[1]))
    return out


def run(made: Stage, until: float) -> list[tuple[float, bytes | None]]:
    """What leaves when, if nobody is ever late: (seconds after NOW, bytes or None for the end)."""
    out: list[tuple[float, bytes | None]] = []
    now = NOW
    while now <= until:
        out += [(round(now - NOW, 6), data) for data in taken(made, now)]
        due = made.due(now)
        if due is None:
            break
        now = max(now, due)
    return out


def test_noop_passes_everything_at_once() -> None:
    made = stage("noop")
    for data in (b"one", b"two", None):
        put(made, NOW, data)
    assert taken(made, NOW) == [b"one", b"two", None]
    assert made.held == 0


def test_nothing_comes_after_an_end() -> None:
    made = stage("noop")
    put(made, NOW, None)
    put(made, NOW, b"late")
    assert taken(made, NOW) == [None]
    put(made, NOW, b"later")
    assert taken(made, NOW) == []
    assert list(made.drain()) == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_inactive_stage_passes_everything(kind: str) -> None:
    made = stage(kind, active=False)
    put(made, NOW, b"bytes")
    put(made, NOW, None)
    assert taken(made, NOW) == [b"bytes", None]
    assert made.due(NOW) is None


class TestLatency:
    def test_each_piece_waits_from_its_own_arrival(self) -> None:
        made = stage("latency", latency=200)
        put(made, NOW, b"one")
        put(made, NOW + 0.1, b"two")
        assert run(made, NOW + 1) == [(0.2, b"one"), (0.3, b"two")]

    def test_an_end_waits_only_for_what_is_before_it(self) -> None:
        made = stage("latency", latency=200)
        put(made, NOW, b"one")
        put(made, NOW, None)
        assert run(made, NOW + 1) == [(0.2, b"one"), (0.2, None)]
        alone = stage("latency", latency=200)
        put(alone, NOW, None)
        assert run(alone, NOW + 1) == [(0.0, None)]

    def test_jitter_larger_than_latency_is_no_time_travel(self) -> None:
        random.seed(1)
        made = stage("latency", latency=1, jitter=100)
        for number in range(50):
            put(made, NOW, bytes([number]))
        out = run(made, NOW + 1)
        assert [data for _, data in out] == [bytes([number]) for number in range(50)]
        assert 0 <= out[0][0] <= out[-1][0] <= 0.101

    def test_moves_the_time_of_arrival_on(self) -> None:
        made = stage("latency", latency=200)
        put(made, NOW, b"one")
        assert made.take(NOW + 5) == (NOW + 0.2, memoryview(b"one"))

    def test_an_update_counts_from_the_arrival(self) -> None:
        made = stage("latency", latency=60_000)
        put(made, NOW, b"one")
        assert taken(made, NOW + 1) == []
        made.configure({"latency": 1500, "jitter": 0}, NOW + 1)
        assert made.due(NOW + 1) == NOW + 1.5


class TestBandwidth:
    def test_a_piece_leaves_when_its_last_byte_has(self) -> None:
        made = stage("bandwidth", rate=10)  # 10 bytes a millisecond
        put(made, NOW, b"x" * 100)
        put(made, NOW, b"y" * 50)
        assert run(made, NOW + 1) == [(0.01, b"x" * 100), (0.015, b"y" * 50)]

    def test_large_pieces_leave_in_steps_of_a_tenth_of_a_second(self) -> None:
        made = stage("bandwidth", rate=1)
        put(made, NOW, b"x" * 250)
        assert run(made, NOW + 1) == [(0.1, b"x" * 100), (0.2, b"x" * 100), (0.25, b"x" * 50)]

    def test_an_idle_line_saves_up_nothing(self) -> None:
        made = stage("bandwidth", rate=1)
        put(made, NOW + 5, b"x" * 100)
        assert run(made, NOW + 9) == [(5.1, b"x" * 100)]

    def test_lateness_is_made_up_for(self) -> None:
        made = stage("bandwidth", rate=1)
        put(made, NOW, b"x" * 300)
        assert taken(made, NOW + 0.25) == [b"x" * 100, b"x" * 100]
        assert made.due(NOW + 0.25) == pytest.approx(NOW + 0.3)

    @pytest.mark.parametrize("rate", [0, -5])
    def test_no_rate_holds_all_but_an_end_that_comes_first(self, rate: int) -> None:
        made = stage("bandwidth", rate=rate)
        put(made, NOW, b"held")
        put(made, NOW, None)
        assert run(made, NOW + 99) == []
        assert [piece[1] for piece in made.drain()] == [memoryview(b"held"), END]
        empty = stage("bandwidth", rate=rate)
        put(empty, NOW, None)
        assert taken(empty, NOW) == [None]

    def test_what_is_held_is_counted(self) -> None:
        made = stage("bandwidth", rate=1)
        put(made, NOW, b"x" * 150)
        full = made.held
        assert taken(made, NOW + 0.1) == [b"x" * 100]
        assert made.held == full - 100
        assert taken(made, NOW + 0.15) == [b"x" * 50]
        assert made.held == 0


class TestSlicer:
    def test_halves_and_halves_of_halves(self) -> None:
        made = stage("slicer", average_size=3)
        put(made, NOW, b"0123456789")
        assert taken(made, NOW) == [b"01", b"234", b"56", b"789"]

    def test_slices_are_a_delay_apart_and_the_end_too(self) -> None:
        made = stage("slicer", average_size=4, delay=2000)
        put(made, NOW, b"01234567")
        put(made, NOW, None)
        assert run(made, NOW + 1) == [(0.0, b"0123"), (0.002, b"4567"), (0.004, None)]

    def test_variation_loses_no_byte(self) -> None:
        random.seed(1)
        made = stage("slicer", average_size=20, size_variation=15)
        sent = bytes(range(256)) * 4
        put(made, NOW, sent)
        out = taken(made, NOW)
        assert b"".join(data for data in out if data) == sent
        assert all(data and 1 <= len(data) <= 35 for data in out)

    @pytest.mark.parametrize("size", [0, -7])
    def test_a_size_that_makes_no_sense_gives_single_bytes(self, size: int) -> None:
        made = stage("slicer", average_size=size)
        put(made, NOW, b"abc")
        assert taken(made, NOW) == [b"a", b"b", b"c"]

    def test_an_update_in_mid_slice_goes_on_where_it_was(self) -> None:
        made = stage("slicer", average_size=2, delay=1000)
        put(made, NOW, b"01234567")
        assert taken(made, NOW) == [b"01"]
        made.configure({"average_size": 3, "size_variation": 0, "delay": 0}, NOW)
        assert b"".join(data for data in taken(made, NOW) if data) == b"234567"


class TestSlowClose:
    def test_bytes_at_once_and_the_end_late(self) -> None:
        made = stage("slow_close", delay=500)
        put(made, NOW, b"x")
        put(made, NOW, None)
        assert run(made, NOW + 1) == [(0.0, b"x"), (0.5, None)]

    def test_an_update_starts_the_delay_again(self) -> None:
        made = stage("slow_close", delay=60_000)
        put(made, NOW, None)
        made.configure({"delay": 500}, NOW + 3)
        assert made.due(NOW + 3) == NOW + 3.5


class TestTimeout:
    def test_bytes_are_lost_and_the_end_passes(self) -> None:
        made = stage("timeout")
        put(made, NOW, b"lost")
        assert made.due(NOW) is None
        put(made, NOW, None)
        assert taken(made, NOW) == [None]

    def test_its_time_counts_from_the_last_bytes(self) -> None:
        made = stage("timeout", timeout=300)
        assert made.due(NOW) == NOW + 0.3
        put(made, NOW + 0.2, b"lost")
        assert taken(made, NOW + 0.3) == []
        assert run(made, NOW + 1) == [(0.5, None)]

    def test_spoils_the_connection_even_if_inactive(self) -> None:
        assert stage("timeout").spoils_connection
        assert stage("timeout", active=False).spoils_connection


class TestResetPeer:
    def test_ends_after_its_time_from_the_first_bytes(self) -> None:
        made = stage("reset_peer", timeout=300)
        assert made.due(NOW) is None
        put(made, NOW + 1, b"lost")
        put(made, NOW + 1.2, b"lost too")
        assert made.due(NOW + 1.2) == NOW + 1.3
        assert taken(made, NOW + 1.3) == [None]

    def test_spoils_the_connection_once_bytes_were_lost(self) -> None:
        made = stage("reset_peer", timeout=300)
        assert not made.spoils_connection
        put(made, NOW, b"lost")
        assert made.spoils_connection

    def test_an_update_does_not_put_the_end_off(self) -> None:
        made = stage("reset_peer", timeout=300)
        put(made, NOW, b"lost")
        made.configure({"timeout": 60_000}, NOW)
        assert made.due(NOW) == NOW + 0.3


class TestLimitData:
    def test_cuts_inside_a_piece(self) -> None:
        made = stage("limit_data", bytes=5)
        put(made, NOW, b"123")
        assert taken(made, NOW) == [b"123"]
        put(made, NOW, b"456")
        assert taken(made, NOW) == [b"45", None]

    def test_ends_with_the_last_byte_that_is_allowed(self) -> None:
        made = stage("limit_data", bytes=3)
        put(made, NOW, b"123")
        assert taken(made, NOW) == [b"123", None]

    def test_zero_waits_for_the_first_byte(self) -> None:
        made = stage("limit_data", bytes=0)
        assert taken(made, NOW) == []
        put(made, NOW, b"1")
        assert taken(made, NOW) == [None]

    def test_an_end_within_the_limit_passes(self) -> None:
        made = stage("limit_data", bytes=5)
        put(made, NOW, b"123")
        put(made, NOW, None)
        assert taken(made, NOW) == [b"123", None]

    def test_counts_on_after_an_update(self) -> None:
        made = stage("limit_data", bytes=5)
        put(made, NOW, b"123")
        assert taken(made, NOW) == [b"123"]
        made.configure({"bytes": 4}, NOW)
        assert taken(made, NOW) == []
        put(made, NOW, b"456")
        assert taken(made, NOW) == [b"4", None]

    def test_counts_nothing_while_inactive(self) -> None:
        made = stage("limit_data", active=False, bytes=3)
        put(made, NOW, b"12345")
        assert taken(made, NOW) == [b"12345"]
        made.active = True
        put(made, NOW, b"6789")
        assert taken(made, NOW) == [b"678", None]
