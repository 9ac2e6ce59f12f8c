"""The payload builders against naive formatting: writer and verifier share them, so a bug in them would cancel out."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.resp.encode import (
    Numbers,
    bulk_numbers,
    bulk_pairs,
    command,
    descending_lines,
    integer_replies,
    one_value_commands,
    pair_commands,
)

POWERS = [10**exponent for exponent in range(10)]


def naive_bulks(first: int, count: int) -> bytes:
    numbers = [str(n).encode() for n in range(first, first + count)]
    return b"".join(b"$" + str(len(n)).encode() + b"\r\n" + n + b"\r\n" for n in numbers)


def naive_commands(first: int, count: int) -> bytes:
    numbers = [str(n).encode() for n in range(first, first + count)]
    return b"".join(
        b"*3\r\n$5\r\nRPUSH\r\n$12\r\nnumbers:list\r\n$" + str(len(n)).encode() + b"\r\n" + n + b"\r\n" for n in numbers
    )


def naive_pairs(first: int, count: int) -> bytes:
    numbers = [str(n).encode() for n in range(first, first + count)]
    return b"".join(b"$" + str(len(n)).encode() + b"\r\n" + n + b"\r\n" for n in numbers for _ in range(2))


def naive_zadds(first: int, count: int) -> bytes:
    return b"".join(command(b"ZADD", b"z", number, number) for number in range(first, first + count))


def naive_bulks_down(first: int, count: int) -> bytes:
    return b"".join(b"$%d\r\n%d\r\n" % (len(str(n)), n) for n in reversed(range(first, first + count)))


def naive_integers(first: int, count: int) -> bytes:
    return b"".join(b":" + str(n).encode() + b"\r\n" for n in range(first, first + count))


def naive_lines_down(first: int, count: int) -> bytes:
    return "".join(f"{n}\n" for n in reversed(range(first, first + count))).encode()


def lines_down(first: int, count: int) -> bytes:
    return descending_lines(first, first + count - 1)


BUILDERS = [
    pytest.param(bulk_numbers().build, naive_bulks, id="bulks"),
    pytest.param(one_value_commands(b"RPUSH", b"numbers:list").build, naive_commands, id="commands"),
    pytest.param(bulk_pairs().build, naive_pairs, id="pairs"),
    pytest.param(pair_commands(b"ZADD", b"z").build, naive_zadds, id="pair_commands"),
    pytest.param(bulk_numbers(descending=True).build, naive_bulks_down, id="bulks_down"),
    pytest.param(integer_replies().build, naive_integers, id="integers"),
    pytest.param(lines_down, naive_lines_down, id="lines_down"),
]


@pytest.mark.parametrize(("build", "naive"), BUILDERS)
@pytest.mark.parametrize("power", POWERS)
def test_every_power_of_ten_is_crossed_as_naive_formatting_does(build, naive, power):
    for first in range(max(1, power - 3), power + 3):
        for count in (0, 1, 2, 3, 7, 999, 1000, 1001, 2500):
            assert build(first, count) == naive(first, count)


@pytest.mark.parametrize(("build", "naive"), BUILDERS)
def test_a_long_run_from_one_equals_naive_formatting(build, naive):
    assert build(1, 120_000) == naive(1, 120_000)


@pytest.mark.parametrize(("build", "naive"), BUILDERS)
def test_any_run_equals_naive_formatting(build, naive):
    @given(st.integers(1, 10**12), st.integers(0, 3000))
    def equal(first, count):
        assert build(first, count) == naive(first, count)

    equal()


def test_runs_of_other_widths_in_between_do_not_disturb_the_cache():
    numbers = bulk_numbers()
    for first in (5000, 123456, 5000, 10, 99_990, 5000):
        assert numbers.build(first, 20) == naive_bulks(first, 20)


def test_literal_bytes():
    assert bulk_numbers().build(9, 2) == b"$1\r\n9\r\n$2\r\n10\r\n"
    assert integer_replies().build(999, 2) == b":999\r\n:1000\r\n"
    assert descending_lines(9_999, 10_001) == b"10001\n10000\n9999\n"
    assert one_value_commands(b"RPUSH", b"k").build(7, 1) == b"*3\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$1\r\n7\r\n"


def test_what_stands_before_a_number_is_asked_by_width():
    assert Numbers(lambda width: b"<%d|" % width, b">").build(998, 4) == b"<3|998><3|999><4|1000><4|1001>"


def test_a_command_takes_bytes_text_and_numbers():
    assert command("SET", b"\x00\xff", 12) == b"*3\r\n$3\r\nSET\r\n$2\r\n\x00\xff\r\n$2\r\n12\r\n"
    assert command("GET", "é") == b"*2\r\n$3\r\nGET\r\n$2\r\n\xc3\xa9\r\n"


def test_threads_that_share_a_builder_do_not_disturb_each_other():
    numbers, wrong = bulk_numbers(), []

    def build_often(first):
        expected = naive_bulks(first, 1500)
        wrong.extend(first for _ in range(300) if numbers.build(first, 1500) != expected)

    threads = [threading.Thread(target=build_often, args=(first,)) for first in (4_000, 77_500, 123_456_789)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
