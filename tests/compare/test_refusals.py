"""What a side refuses, hides or answers with an error is never taken for equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.compare.model import types_to_skip
from harness.compare.replicas import prefer_replicas
from harness.compare.side import Side, look_at
from harness.endpoint.address import Endpoint
from harness.errors import UsageError
from harness.resp.replies import ErrorReply, Reply
from harness.slots import slot_of
from tests.compare.clusters import cluster
from tests.compare.made import client_of, look, on_both, seen
from tests.compare.pretend import pretending, refusing
from tests.support.pairs import chain
from tests.support.servers import running

Pair = tuple[Endpoint, Endpoint]


def answering(text: str, *names: bytes) -> Callable[[list[bytes], Callable[[], Reply]], Reply]:
    """Answers these commands with an error, but not when they are asked of the key that a probe asks for."""

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        return ErrorReply(text) if words[0].upper() in names and b"harness:probe" not in words else ask()

    return change


@pytest.mark.parametrize("refused", [(b"GETRANGE",), (b"GETRANGE", b"STRLEN"), (b"PTTL",)])
def test_two_sides_that_refuse_the_same_agree_on_nothing(pair: Pair, refused: tuple[bytes, ...]) -> None:
    on_both(pair, lambda client: client.set("k", "v"))
    with client_of(pair[1]) as client:
        if b"PTTL" in refused:
            client.expire("k", 1_000)
        else:
            client.set("k", "w")
    refusal = answering("NOPERM No permissions to access a key", *refused)
    with pretending(pair[0], refusal) as a, pretending(pair[1], refusal) as b:
        outcome = look((a, b))
    assert outcome.verdict == "unknown"
    assert "NOPERM" in outcome.not_checked[0]


@pytest.mark.parametrize(
    "refusal",
    [
        "NOPERM this user has no permissions to run the 'hpttl' command",
        "ERR command not allowed",
        "ERR unknown command 'HPTTL'",
    ],
)
def test_a_side_that_does_not_say_when_fields_expire(valkeys: Pair, refusal: str) -> None:
    def withheld(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        return ErrorReply(refusal) if words[0].upper() == b"HPTTL" else ask()

    def fill(client: object) -> None:
        client.flushall()  # type: ignore[attr-defined]
        client.hset("h", mapping={"a": 1, "b": 2})  # type: ignore[attr-defined]

    on_both(valkeys, fill)
    with client_of(valkeys[0]) as client:
        client.execute_command("HPEXPIREAT", "h", 4_000_000_000_000, "FIELDS", 1, "a")
    assert [row[1] for row in seen(look(valkeys))] == ["field_ttl"]
    with pretending(valkeys[0], withheld) as front:
        outcome = look((front, valkeys[1]))
    assert outcome.verdict == "unknown"
    assert outcome.not_checked[0].startswith("db 0, field TTLs of hashes: 1 key, the first is h: A refuses HPTTL (")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Endpoint]]:
    with cluster("valkey-server", tmp_path_factory.mktemp("two"), 2, "cluster-databases 16") as endpoints:
        yield endpoints


def test_databases_of_every_shard_of_a_cluster(shards: list[Endpoint], valkeys: Pair) -> None:
    """The server that is asked first holds no key at all."""
    last = next(f"k{number}" for number in range(100) if slot_of(b"k%d" % number) >= 8192)
    with client_of(valkeys[0]) as client:
        client.flushall()
        client.set(last, "v")
    with client_of(shards[1]) as client:
        client.set(last, "v")
    assert look((shards[0], valkeys[0])).verdict == "equal"
    with client_of(valkeys[0]) as client:
        client.delete(last)
    assert seen(look((shards[0], valkeys[0]))) == [(last, "missing_key", None, b"string", None)]
    with client_of(valkeys[0]) as client:
        client.set(last, "v")
    with client_of(shards[1], 3) as client:
        client.set(last, "v")
    outcome = look((shards[0], valkeys[0]))
    assert [(each.subject.db, each.finding.kind) for each in outcome.differences] == [(3, "missing_key")]


@pytest.mark.parametrize("said", [b"", b"\r\n", b"db0:keys=1,expires=0\r\n"])
def test_an_empty_answer_does_not_say_that_there_are_no_databases(pair: Pair, said: bytes) -> None:
    on_both(pair, lambda client: client.set("k", "v"))
    with client_of(pair[0], 3) as client:
        client.set("only on A", "v")

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        return said if words == [b"INFO", b"keyspace"] else ask()

    with pretending(pair[0], change) as front:
        assert seen(look((front, pair[1]))) == [("only on A", "missing_key", None, b"string", None)]


def test_hashes_with_long_fields_that_nobody_weighed_are_not_parsed_in_one_piece(valkeys: Pair) -> None:
    """MEMORY is refused, and both know when fields expire: HGETALL may be thrown away, but never be held."""
    on_both(valkeys, lambda client: client.flushall())
    fields = {f"f{number}": "x" * 200_000 for number in range(40)}
    on_both(valkeys, lambda client: client.hset("h", mapping=fields))
    asked: list[bytes] = []
    refuse = refusing(b"MEMORY USAGE")

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        asked.append(words[0])
        return refuse(words, ask)

    with pretending(valkeys[0], change) as front:
        assert look((front, valkeys[1])).verdict == "equal"
    assert asked.count(b"HGETALL") == 2  # the probe, and one that was only looked at as it arrived
    assert b"HSCAN" in asked


def test_every_server_that_is_read_is_sampled(valkeys: Pair, tmp_path: Path) -> None:
    with chain("valkey-server", tmp_path) as (primary, replica), running("valkey-server", tmp_path / "b") as b:
        side = look_at("A", primary, 10)
        assert [each.address for each in connected(side)] == [primary.address]
        prefer_replicas(side, look_at("B", b, 10).run_ids)
        assert [each.address for each in connected(side)] == [replica.address, primary.address]


def connected(side: Side) -> list[Endpoint]:
    found = []
    for connection in side.connect_all():
        with connection:
            found.append(connection.endpoint)
    return found


def test_a_type_that_can_not_be_is_refused() -> None:
    assert types_to_skip(["list", "ReJSON-RL", "list"]) == ("ReJSON-RL", "list")
    for wrong in ("lsit", ""):
        with pytest.raises(UsageError, match=f"--skip-types {wrong}: no such type; expected one of hash, list"):
            types_to_skip([wrong])


def test_what_is_not_named_is_counted_and_no_key_twice(pair: Pair) -> None:
    on_both(pair, lambda client: client.mset({f"k{number}": "v" for number in range(150)}))
    refusal = answering("NOPERM No permissions to access a key", b"TYPE", b"EXISTS")
    with pretending(pair[0], refusal) as a, pretending(pair[1], refusal) as b:
        outcome = look((a, b))
    assert (outcome.verdict, outcome.totals.keys) == ("unknown", 150)
    assert len(outcome.not_checked) == 101
    assert outcome.not_checked[-1] == "and 50 more, which are not named"


def test_a_database_that_a_side_names_and_refuses(pair: Pair) -> None:
    """It is one difference, and B's own word for its database is not another."""

    def without_three(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        return ErrorReply("ERR DB index is out of range") if words == [b"SELECT", b"3"] else ask()

    for endpoint in pair:
        with client_of(endpoint, 3) as client:
            client.set("k", "v")
    on_both(pair, lambda client: client.set("k", "v"))
    with pretending(pair[1], without_three) as b:
        outcome = look((pair[0], b))
        assert [each.finding.kind for each in outcome.differences] == ["missing_database"]
        with client_of(pair[0], 3) as client:
            client.flushdb()
        outcome = look((pair[0], b))
    assert (outcome.verdict, len(outcome.not_checked)) == ("unknown", 1)
    assert outcome.not_checked[0].startswith("B names database 3, and refuses it: ")
