"""Which servers are looked at: clusters that hide it, replicas that are proven, and who is sent a password."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.compare.layout import Group, slot_tags, slots_nobody_serves
from harness.compare.replicas import prefer_replicas
from harness.compare.side import Side, look_at
from harness.endpoint.address import Endpoint
from harness.errors import ExitCode, UsageError
from harness.resp.replies import ErrorReply, Reply
from harness.slots import SLOTS, shard_of, slot_of
from tests.compare.clusters import cluster
from tests.compare.made import client_of, look, on_both, seen
from tests.compare.pretend import pretending, refusing
from tests.support.pairs import ENGINES, FAST, chain, follow
from tests.support.servers import running

Pair = tuple[Endpoint, Endpoint]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Endpoint]]:
    """A cluster of three shards that holds a thousand keys."""
    with cluster(ENGINES[-1], tmp_path_factory.mktemp("three"), 3) as shards:
        yield shards


def _fill(shards: list[Endpoint]) -> None:
    for number, endpoint in enumerate(shards):
        with client_of(endpoint) as client:
            pipe = client.pipeline(transaction=False)
            for key in (f"k{each}" for each in range(1_000)):
                if shard_of(slot_of(key.encode()), len(shards)) == number:
                    pipe.set(key, "v")
            pipe.execute()


def test_slots() -> None:
    assert [slot_of(tag) for tag in slot_tags()] == list(range(SLOTS))
    assert slots_nobody_serves([Group(None, [(0, 5), (7, SLOTS - 1)])]) == [(6, 6)]
    assert slots_nobody_serves([Group(None, [(0, 5)]), Group(("h", 1), [(6, SLOTS - 1)])]) == []


@pytest.mark.parametrize("hidden", [(b"CLUSTER SLOTS",), (b"CLUSTER", b"INFO")], ids=["slots", "all"])
def test_a_cluster_that_hides_its_slots_is_followed(
    three: list[Endpoint], pair: Pair, hidden: tuple[bytes, ...]
) -> None:
    _fill(three)
    on_both(pair, lambda client: client.mset({f"k{number}": "v" for number in range(1_000)}))
    with pretending(three[0], refusing(*hidden)) as front:
        outcome = look((front, pair[0]), different_servers=True)
        assert (outcome.verdict, outcome.totals.keys) == ("equal", 1_000)
        with client_of(pair[0]) as client:
            client.delete("k17")
            client.set("more", "v")
        assert [row[:2] for row in seen(look((front, pair[0])))] == [("k17", "missing_key"), ("more", "extra_key")]


def test_slots_that_nobody_serves_are_unknown(pair: Pair, tmp_path: Path) -> None:
    with running(ENGINES[-1], tmp_path, "cluster-enabled yes", "cluster-require-full-coverage no") as alone:
        with client_of(alone) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_000)
        outcome = look((alone, pair[0]))
        assert outcome.exit_code == ExitCode.UNKNOWN
        assert outcome.not_checked == (
            "A, a cluster: nobody serves slots 16001-16383, and keys there can't be looked at",
        )

        def half(words: list[bytes], ask: object) -> Reply:
            reply = ask()  # type: ignore[operator]
            assert not isinstance(reply, ErrorReply) or words[0] != b"CLUSTER"
            return [] if words == [b"CLUSTER", b"SLOTS"] else reply

        with pretending(alone, half) as front:
            assert look((front, pair[0]), different_servers=True).exit_code == ExitCode.UNKNOWN


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Endpoint]]:
    """A primary, its replica, and that one's replica."""
    with chain(ENGINES[-1], tmp_path_factory.mktemp("chained"), 3) as endpoints:
        with client_of(endpoints[0]) as client:
            client.set("k", "v")
            client.wait(1, 30_000)
        yield endpoints


def _reads(endpoint: Endpoint, avoid: frozenset[str] = frozenset()) -> tuple[int, list[str]]:
    """The port that the first look reads from, and the notes."""
    side = look_at("A", endpoint, 10)
    prefer_replicas(side, avoid)
    return side.shards[0].reading.port, side.notes


def test_only_a_proven_replica_of_the_very_endpoint_is_read(chained: list[Endpoint]) -> None:
    primary, replica, below = chained
    assert _reads(primary)[0] == replica.port
    assert _reads(replica)[0] == replica.port, "what was asked about, not its own replica"
    assert _reads(below)[0] == below.port
    with client_of(replica) as client:
        run_id = str(client.info("server")["run_id"])  # type: ignore[index]
        assert _reads(primary, frozenset({run_id}))[0] == primary.port
        client.config_set("replica-read-only", "no")
        port, notes = _reads(primary)
        client.config_set("replica-read-only", "yes")
    assert port == primary.port
    assert notes == [f"A: the replica {replica.address} is not read: it takes writes of its own"]


def test_a_replica_that_lags_behind_is_not_read(tmp_path: Path) -> None:
    """It says that it is connected, but has not processed what its primary held."""
    with running("valkey-server", tmp_path / "a", *FAST) as a, running("valkey-server", tmp_path / "b", *FAST) as b:
        follow(b, a)

        def behind(words: list[bytes], ask: object) -> Reply:
            reply = ask()  # type: ignore[operator]
            if words == [b"INFO", b"replication"] and isinstance(reply, bytes):
                lines = reply.split(b"\r\n")
                return b"\r\n".join(b"slave_repl_offset:1" if b"slave_repl_offset" in line else line for line in lines)
            return reply

        with pretending(b, behind) as front:
            announced = f"slave0:ip=127.0.0.1,port={front.port},state=online".encode()

            def names_it(words: list[bytes], ask: object) -> Reply:
                reply = ask()  # type: ignore[operator]
                if words == [b"INFO", b"replication"] and isinstance(reply, bytes):
                    return b"\r\n".join(
                        announced if line.startswith(b"slave0:") else line for line in reply.split(b"\r\n")
                    )
                return reply

            with pretending(a, names_it) as primary:
                port, notes = _reads(primary)
    assert port == primary.port
    assert "it did not reach its primary's offset within 2 s" in notes[0]


def test_a_password_goes_to_no_other_host_in_the_clear() -> None:
    known = Endpoint("10.0.0.5", 6379, password="s3cret")
    side = Side("A", known, 1)
    elsewhere = known.with_address("10.0.0.6", 6379)
    assert side.withheld(elsewhere) == (
        "10.0.0.6:6379 would be sent the password without TLS; use rediss://, or give --trust-replicas"
    )
    assert side.withheld(known.with_address("10.0.0.5", 7000)) == ""
    assert side.withheld(replace(elsewhere, tls=True)) == ""
    assert Side("A", replace(known, password=None), 1).withheld(replace(elsewhere, password=None)) == ""
    assert Side("A", known, 1, trusted=True).withheld(elsewhere) == ""


def test_a_cluster_elsewhere_is_sent_no_password(three: list[Endpoint], pair: Pair) -> None:
    def moved_away(words: list[bytes], ask: object) -> Reply:
        reply = ask()  # type: ignore[operator]
        if words == [b"CLUSTER", b"SLOTS"] and isinstance(reply, list):
            return [[*entry[:2], [b"127.0.0.99", *entry[2][1:]]] for entry in reply]  # type: ignore[index]
        return [] if words[0] == b"AUTH" else reply

    with (
        pretending(three[0], moved_away) as front,
        pytest.raises(UsageError, match=r"127\.0\.0\.99:\d+ would be sent the password without TLS"),
    ):
        look((replace(front, password="s3cret"), pair[0]))
