"""A comparison can't harm: what it sends is on the list of reads, and nothing else can be sent."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from harness.compare.pace import Pace
from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import check
from harness.endpoint.client import connect
from harness.endpoint.digest_script import LIST
from harness.endpoint.read_only import READS, ReadOnly
from harness.errors import HarnessError
from harness.resp.connection import Connection
from harness.resp.encode import KEY
from tests.compare.made import client_of, every_type, look, on_both, seen
from tests.support.monitor import Monitor

Pair = tuple[Endpoint, Endpoint]


def test_nothing_that_a_server_calls_a_write_is_allowed(pair: Pair, valkeys: Pair) -> None:
    for endpoint in (pair[0], valkeys[0]):
        with Connection(endpoint) as connection:
            described = connection.command("COMMAND")
        assert isinstance(described, list)
        assert len(described) > 200
        for entry in described:
            assert isinstance(entry, list)
            name, flags = entry[0].decode(), {getattr(flag, "text", "") for flag in entry[2]}
            if flags & {"write", "blocking", "admin", "pubsub"} and name not in ("eval",):
                assert name.upper() not in READS, name


@pytest.mark.parametrize(
    "words",
    [
        ("SET", "k", "v"),
        ("DEL", "k"),
        ("KEYS", "*"),
        ("DEBUG", "DIGEST"),
        ("MONITOR",),
        ("FLUSHALL",),
        ("EVAL", "return redis.call('DEL', KEYS[1])", "1", "k"),
        ("EVAL", LIST + b" ", "1", "k", "0", "1"),
        ("EVAL", LIST, "2", "k", "l", "0", "1"),
        ("LRANGE", "k", "0", "-1"),
        ("LRANGE", "k", "0", "200000"),
        ("GETRANGE", "k", "0", "99999999"),
        ("ZRANGE", "k", "0", "9", "BYSCORE"),
        ("XRANGE", "k", "-", "+"),
        ("XINFO", "STREAM", "k", "FULL"),
        ("CLIENT", "KILL", "ID", "1"),
        ("CLIENT", "SETNAME", "somebody"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("SCAN", "0", "COUNT"),
        ("SORT", "k", "STORE", "other"),
    ],
)
def test_what_is_refused_before_it_is_sent(words: tuple[str | bytes, ...]) -> None:
    with pytest.raises(HarnessError, match="may not be sent to an endpoint that the harness did not start"):
        check(words, ReadOnly())


def test_a_connection_packs_nothing_else_for_many_keys(pair: Pair) -> None:
    endpoint = replace(pair[0], scope=ReadOnly())
    with Connection(endpoint) as connection:
        with pytest.raises(HarnessError, match="DEL may not be sent"):
            connection.pack_each([b"k", b"l"], ("TYPE", KEY), ("DEL", KEY))
        packed = connection.pack_each([b"100%", b"\r\n"], ("LRANGE", KEY, 0, 9), ("PTTL", KEY))
    assert packed == (
        b"*4\r\n$6\r\nLRANGE\r\n$4\r\n100%\r\n$1\r\n0\r\n$1\r\n9\r\n*4\r\n$6\r\nLRANGE\r\n$2\r\n\r\n\r\n$1\r\n0\r\n$1\r\n9\r\n"
        b"*2\r\n$4\r\nPTTL\r\n$4\r\n100%\r\n*2\r\n$4\r\nPTTL\r\n$2\r\n\r\n\r\n"
    )


@pytest.mark.parametrize("digest", [False, True])
def test_servers_see_only_what_is_on_the_list(pair: Pair, digest: bool) -> None:
    on_both(pair, every_type)
    with client_of(pair[1]) as client:
        client.lset("large:list", 500, "X")
        client.hset("large:hash", "f1", "X")
        client.zadd("large:zset", {"m1": 3})
        client.srem("large:set", "m1")
        client.delete("string:3")
    with Monitor(pair[0]) as at_a, Monitor(pair[1]) as at_b:
        assert look(pair, digest=digest).verdict == "different"
    sent = {seen.words for monitor in (at_a, at_b) for seen in monitor.commands if seen.words[0] != "PING"}
    names = {words[0].upper() if words[0].upper() in READS else " ".join(words[:2]).upper() for words in sent}
    # MONITOR shows what scripts call as well, in lower or upper case as they have it
    assert names <= READS.keys()
    assert {"SCAN", "TYPE", "PTTL", "LRANGE", "HSCAN"} <= names


def test_what_an_endpoint_refuses_is_said(pair: Pair) -> None:
    on_both(pair, every_type)
    general = "scan type pttl exists ping select strlen getrange llen lrange xlen xrange"
    members = "hlen hgetall hscan hmget scard smembers sscan sismember zcard zrange zscan zscore"
    rules = [f"+{name}" for name in (*general.split(), *members.split())]
    with client_of(pair[1]) as client:
        client.execute_command("ACL", "SETUSER", "guest", "on", ">pw", "~*", "-@all", *rules)
    guest = replace(pair[1], user="guest", password="pw")
    outcome = look((pair[0], guest), different_servers=True)
    assert (outcome.verdict, outcome.differences) == ("unknown", ())
    (problem,) = outcome.not_checked
    assert problem.startswith("db 0, stream: 60 keys, the first is ")
    assert problem.endswith(": B refuses XINFO GROUPS, XINFO STREAM, XINFO CONSUMERS, XPENDING")
    with closing(connect(pair[0])) as client:
        client.delete(*[key for key in client.scan_iter() if b"stream" in key])
    with closing(connect(pair[1])) as client:
        client.delete(*[key for key in client.scan_iter() if b"stream" in key])
        client.delete("set:3")
    assert seen(look((pair[0], guest))) == [("set:3", "missing_key", None, b"set", None)]


def test_the_rate_is_kept_and_lowered_when_answers_get_slow() -> None:
    now, slow = 0.0, 0.001

    def clock() -> float:
        return now

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def ping() -> float:
        return slow

    pace = Pace(1_000, clock, sleep)
    pace.watch([ping])
    for _ in range(40):
        pace.take(100)
    undisturbed = now
    assert 3.5 < undisturbed < 4.5
    slow = 0.2
    for _ in range(10):
        pace.take(100)
    assert now - undisturbed > 4
    assert pace.slowed >= 3


@pytest.mark.parametrize(
    "words",
    [
        ("SCAN", 0, "COUNT", 1_000_000),
        ("HSCAN", "k", 0, "COUNT", 0),
        ("MEMORY", "USAGE", "k", "SAMPLES", 0),
        ("MEMORY", "USAGE", "k", "SAMPLES", 100),
        ("EXISTS", "k", "l"),
        ("EVAL_RO", LIST, 1, "k", 0, 10_000_000),
        ("EVAL_RO", LIST, 1, "k", 0, -1),
        ("EVAL_RO", LIST, 1, "k", 0),
    ],
)
def test_no_command_asks_for_much_at_once(words: tuple[str | bytes | int, ...]) -> None:
    with pytest.raises(HarnessError, match="may not be sent"):
        check(words, ReadOnly())
