"""What a side refuses, hides or answers with an error is never taken for equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.endpoint.address import Endpoint
from harness.resp.replies import ErrorReply, Reply
from harness.slots import slot_of
from tests.compare.clusters import cluster
from tests.compare.made import client_of, look, on_both, seen
from tests.compare.pretend import pretending

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
    def refusing(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        return ErrorReply(refusal) if words[0].upper() == b"HPTTL" else ask()

    def fill(client: object) -> None:
        client.flushall()  # type: ignore[attr-defined]
        client.hset("h", mapping={"a": 1, "b": 2})  # type: ignore[attr-defined]

    on_both(valkeys, fill)
    with client_of(valkeys[0]) as client:
        client.execute_command("HPEXPIREAT", "h", 4_000_000_000_000, "FIELDS", 1, "a")
    assert [row[1] for row in seen(look(valkeys))] == ["field_ttl"]
    with pretending(valkeys[0], refusing) as front:
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
