"""Reading what has no order: every element once, and memory that follows what is there."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checker.evidence import KeyState, Run
from harness.resp.connection import Connection
from harness.resp.key_reader import KeyRead, RunJoiner
from harness.resp.replies import Status
from harness.resp.scan_reader import BITS, Bits, read_scan
from tests.support.scripted import ScriptedServer

NUMBERS = st.sets(st.one_of(st.integers(1, 3 * BITS), st.integers(1, 10**18 - 1)), max_size=200)
STRETCHES = st.lists(st.tuples(st.integers(1, 3 * BITS), st.integers(1, 60)), max_size=30)


def naive(numbers):
    runs = []
    joiner = RunJoiner(runs.append)
    for number in sorted(numbers):
        joiner.element(number)
    joiner.close()
    return runs


@settings(deadline=None)
@given(NUMBERS, STRETCHES)
def test_bits_give_back_each_number_once_and_in_order(single, stretches):
    numbers = single | {first + index for first, count in stretches for index in range(count)}
    bits, runs = Bits(1000), []
    assert all(bits.add(number) for number in numbers for _ in "twice")
    joiner = RunJoiner(runs.append)
    for first, count in bits.stretches():
        joiner.consecutive(first, count)
    joiner.close()
    assert runs == naive(numbers)


def test_a_number_without_a_place_stays_without_one():
    bits = Bits(2)
    assert [bits.add(number) for number in (1, 10**9, 10**10, 2, 10**10)] == [True, True, False, True, False]


@pytest.mark.parametrize("pairs", [False, True])
def test_a_number_far_away_costs_neither_memory_nor_time(server, pairs):
    """Ten elements, and some beyond all that anybody wrote: no page of bits lies between."""
    far = [8_000_000_000, 10**15, 10**18 - 1]
    runs = []
    with Connection(server) as connection:
        connection.command("DEL", "far")
        for number in (*range(1, 11), *far):
            connection.command(*(("HSET", "far", number, number) if pairs else ("SADD", "far", number)))
        tracemalloc.start()
        try:
            found = read_scan(connection, b"far", runs.append, pairs=pairs)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (found, runs) == (KeyRead(KeyState.LIST, 13, 13), [Run(1, 10), *(Run(number, 1) for number in far)])
    assert peak < 1_000_000


def test_what_a_cursor_leaves_out_is_less_than_was_told():
    def serve(client):
        while words := client.request():
            whole = b"".join(b"$1\r\n%d\r\n" % number for number in (1, 2, 3, 3, 2, 1))
            client.send(b":8\r\n" if words[0] == b"SCARD" else b"*2\r\n$1\r\n0\r\n*6\r\n" + whole)

    with ScriptedServer(serve) as node, Connection(node.endpoint) as connection:
        assert read_scan(connection, b"k", lambda run: None, pairs=False) == KeyRead(KeyState.LIST, 3, 8)


def test_a_cursor_that_never_ends_is_unreadable():
    def serve(client):
        while words := client.request():
            client.send(b":1\r\n" if words[0] == b"SCARD" else b"*2\r\n$1\r\n7\r\n*1\r\n$1\r\n1\r\n")

    with ScriptedServer(serve) as node, Connection(node.endpoint) as connection:
        found = read_scan(connection, b"k", lambda run: None, pairs=False)
    assert found.state is KeyState.UNREADABLE
    assert found.error == "1 elements were told, 1 have come, and the cursor does not end"


def test_many_strays_are_kept_one_by_one(server):
    runs = []
    with Connection(server) as connection:
        connection.command("DEL", "strays")
        assert connection.command("SADD", "strays", *(number * 10**9 for number in range(1, 10_001))) == 10_000
        found = read_scan(connection, b"strays", runs.append, pairs=False)
        assert connection.command("PING") == Status("PONG")
    assert found == KeyRead(KeyState.LIST, 10_000, 10_000)
    assert {(run.first, run.count) for run in runs} == {(number * 10**9, 1) for number in range(1, 10_001)}
