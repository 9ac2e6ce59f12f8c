"""Comparisons of a source that is written to all the time with its replica."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from harness.errors import ExitCode, UsageError
from harness.resp.replies import Reply
from tests.compare.made import client_of, look, on_both, seen
from tests.compare.pretend import pretending
from tests.support.pairs import ENGINES, chain, stop_following

WRITES_PER_S = 1_000


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[list[Endpoint]]:
    with chain(ENGINES[-1], tmp_path) as endpoints:
        with client_of(endpoints[0]) as client:
            for number in range(300):
                client.rpush(f"still:{number}", *range(30))
            client.rpush("grows:1", *range(5_000))
            client.rpush("grows:2", *range(20))
            client.hset("hash", mapping={f"f{each}": 0 for each in range(50)})
        yield endpoints


@contextmanager
def written(endpoint: Endpoint) -> Iterator[Callable[[], int]]:
    """A thread that writes to every type of key; gives the number of writes so far."""
    stop, count = threading.Event(), 0

    def write() -> None:
        nonlocal count
        chance = random.Random(5)
        with closing(connect(endpoint)) as client:
            while not stop.wait(0.01):
                pipe = client.pipeline(transaction=False)
                for _ in range(WRITES_PER_S // 100):
                    _one_write(pipe, chance, count)
                    count += 1
                pipe.execute()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield lambda: count
    finally:
        stop.set()
        thread.join()


def _one_write(pipe: redis.client.Pipeline, chance: random.Random, count: int) -> None:
    kind = chance.randrange(7)
    if kind == 0:
        pipe.rpush("grows:1", count)
    elif kind == 1:
        pipe.rpush("grows:2", count)
    elif kind == 2:
        pipe.incr(f"counter:{chance.randrange(20)}")
    elif kind == 3:
        pipe.hset("hash", f"f{chance.randrange(50)}", count)
    elif kind == 4:
        pipe.set(f"new:{count}", "v", px=chance.choice((50, 400, 60_000)))
    elif kind == 5 and count % 4 == 0:
        pipe.xadd("events", {"n": count}, id=f"{count + 1}-1")
    else:
        pipe.zincrby("scores", 1, f"m{chance.randrange(20)}")


def test_a_healthy_replica_is_equal(followed: list[Endpoint]) -> None:
    with written(followed[0]) as so_far:
        while so_far() < 500:
            time.sleep(0.01)
        outcome = look((followed[0], followed[1]), pause_s=0.2)
    assert (outcome.verdict, seen(outcome), outcome.moving) == ("equal", [], ())


def test_exactly_the_key_that_was_tampered_with(followed: list[Endpoint]) -> None:
    with client_of(followed[1]) as client:
        client.config_set("replica-read-only", "no")
        client.lset("grows:1", 1_234, "X")
    with written(followed[0]) as so_far:
        while so_far() < 500:
            time.sleep(0.01)
        outcome = look((followed[0], followed[1]), pause_s=0.2)
    assert seen(outcome) == [("grows:1", "element", 1_234, b"1234", b"X")]
    assert (outcome.moving, outcome.exit_code) == ((), ExitCode.NOT_AS_EXPECTED)


def test_what_never_stops_is_moving_and_never_equal(pair: tuple[Endpoint, Endpoint]) -> None:
    on_both(pair, lambda client: client.set("k", "0" * 8))
    stop = threading.Event()

    def write(endpoint: Endpoint) -> None:
        with closing(connect(endpoint)) as client:
            while not stop.is_set():
                client.set("k", f"{endpoint.port} {random.random()}")

    threads = [threading.Thread(target=write, args=(endpoint,)) for endpoint in pair]
    for thread in threads:
        thread.start()
    try:
        outcome = look(pair, deadline_s=0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [subject.key for subject in outcome.moving] == [b"k"]
    assert (outcome.verdict, outcome.exit_code) == ("unknown", ExitCode.UNKNOWN)


def test_what_expires_between_two_looks_does_not_become_equal(pair: tuple[Endpoint, Endpoint]) -> None:
    with client_of(pair[0]) as client:
        client.set("lost", "v", px=1_500)
        client.set("about to expire", "v", px=300)
    outcome = look(pair, tolerance_s=0.5, pause_s=2.0, rounds=2)
    assert seen(outcome) == [("lost", "missing_key", None, b"string", None)]
    assert outcome.totals.expired == 1


def test_what_expires_while_its_value_is_read_is_no_difference(pair: tuple[Endpoint, Endpoint]) -> None:
    """It is there on both sides at its first look, with little time left; then gone on one side, and on both."""
    on_both(pair, lambda client: client.rpush("short", 1, 2, 3) and client.pexpire("short", 400))

    def late(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        if words[0] == b"LRANGE":
            with client_of(pair[1]) as client:
                while client.exists("short"):
                    time.sleep(0.01)
        return ask()

    on_both(pair, lambda client: client.set("other", "v"))
    with pretending(pair[1], late) as front:
        outcome = look((pair[0], front), tolerance_s=0.5)
    assert (outcome.verdict, seen(outcome)) == ("equal", [])


def test_one_server_given_twice_is_refused(followed: list[Endpoint]) -> None:
    other_name = followed[0].with_address("localhost", followed[0].port)
    with pytest.raises(UsageError, match="are one and the same server; give two"):
        look((followed[0], other_name))


def test_a_replica_is_read_where_there_is_one_that_is_not_the_other_side(tmp_path: Path) -> None:
    with chain(ENGINES[-1], tmp_path / "one") as a, chain(ENGINES[-1], tmp_path / "other") as b:
        on_both((a[0], b[0]), lambda client: client.set("k", "v"))
        for primary, replica in (a, b):
            with client_of(primary) as client, client_of(replica) as second:
                client.wait(1, 5_000)
                second.config_resetstat()
        assert look((a[0], b[0])).verdict == "equal"
        for _, replica in (a, b):
            with client_of(replica) as client:
                assert "cmdstat_strlen" in client.info("commandstats")
        stop_following(a[1])
