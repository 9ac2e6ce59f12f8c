"""Cells on real servers: what is right comes out right, and nothing that is wrong comes out as ok."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.engine.binaries import Engine, choose
from harness.matrix import following, syncs, warm
from harness.matrix.cells import Cell, Outcome
from harness.matrix.features import FEATURES
from harness.matrix.features.base import NORMAL, DataSet, Fact, Feature, Write, keys
from harness.matrix.run import Plan, run_matrix
from harness.matrix.syncs import FULL, SYNCS, Stage
from harness.matrix.warm import Pool, Trouble
from harness.runtime.owner import Owner
from tests.support.broken_engine import adding, proxied
from tests.support.servers import program

REDIS, VALKEY = "redis-7.0.15", "valkey-9.1.2"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Owner() as owner:
        made = Pool(owner)
        yield made
        made.close()


@pytest.fixture(scope="module")
def redis() -> Engine:
    return choose("redis", {"redis": Path(program("redis-server"))})


@pytest.fixture(scope="module")
def valkey() -> Engine:
    return choose("valkey", {"valkey": Path(program("valkey-server"))})


def take(
    pool: Pool, primary: Engine, replica: Engine, features: str = "list", syncs: str = "full_disk", **more: Feature
) -> list[Cell]:
    engines = tuple({engine.name: engine for engine in (primary, replica)}.values())
    named = tuple(features.split()), tuple(syncs.split())
    plan = Plan(engines, ((primary.name, replica.name),), *named, features_by_name={**FEATURES, **more})
    return list(run_matrix(plan, pool)[1])


def take_one(pool: Pool, primary: Engine, replica: Engine, feature: str = "list", sync: str = "full_disk") -> Cell:
    (found,) = take(pool, primary, replica, feature, sync)
    return found


def broken(path: Path) -> Engine:
    return choose("broken", {"broken": path})


def test_every_feature_by_file_and_by_stream(pool: Pool, redis: Engine, valkey: Engine) -> None:
    found = take(pool, redis, valkey, " ".join(FEATURES), "full_diskless_load stream")
    assert [cell for cell in found if not cell.as_expected] == []
    lacking = {cell.key.feature for cell in found if cell.outcome is Outcome.NOT_APPLICABLE}
    assert lacking == {"hash_field_ttl", "vector_set", "json"}
    assert all("facts and" in cell.reason for cell in found if cell.outcome is Outcome.OK)


def test_every_kind_of_sync(pool: Pool, valkey: Engine) -> None:
    found = take(pool, valkey, valkey, "hash_field_ttl", " ".join(SYNCS))
    assert [(cell.key, cell.reason) for cell in found if not cell.as_expected] == []
    assert {cell.key.sync for cell in found if cell.outcome is Outcome.OK} == set(SYNCS) - {"rdb_channel"}


def test_a_replica_that_is_too_old_is_refused_at_once_and_tells_what_became_of_its_data(
    pool: Pool, redis: Engine, valkey: Engine
) -> None:
    found = take(pool, valkey, redis, "list", " ".join((*FULL, "partial", "stream", "chained", "restart")))
    assert {cell.outcome for cell in found} == {Outcome.REFUSED}
    assert all("Can't handle RDB format version 11" in cell.reason for cell in found)
    by_sync = {cell.key.sync: cell.old_data for cell in found}
    assert by_sync["full_disk"] is False
    assert by_sync["full_diskless_load"] is True
    assert by_sync["stream"] is None


def test_a_list_that_lost_an_element(pool: Pool, redis: Engine, tmp_path: Path) -> None:
    engine = broken(proxied(tmp_path, program("redis-server"), "drops an element"))
    found = take(pool, redis, engine, "list hash", "full_disk stream")
    assert [(cell.key.feature, cell.outcome.value) for cell in found] == [
        *(("list", "lost"), ("hash", "ok")),
        *(("list", "lost"), ("hash", "ok")),
    ]
    assert found[0].anomalies[0].kind == "lost"
    assert not found[0].as_expected


def test_without_psync_it_is_degraded_and_without_sync_refused(pool: Pool, redis: Engine, tmp_path: Path) -> None:
    engine = broken(adding(tmp_path, program("redis-server"), 'rename-command PSYNC ""'))
    found = take_one(pool, engine, redis, sync="full_diskless")
    assert (found.outcome, "old SYNC" in found.reason) == (Outcome.DEGRADED, True)
    engine = replace(engine, name="more_broken")
    more = adding(tmp_path / "more", program("redis-server"), 'rename-command PSYNC ""', 'rename-command SYNC ""')
    found = take_one(pool, replace(engine, program=more), redis)
    assert found.outcome is Outcome.REFUSED
    assert "unknown command" in found.reason
    assert not found.as_expected


def test_a_server_that_ends(pool: Pool, redis: Engine, tmp_path: Path) -> None:
    found = take_one(pool, redis, broken(proxied(tmp_path, program("redis-server"), "dies")))
    assert found.outcome is Outcome.CRASHED
    assert "replica ended with exit code 3" in found.reason
    assert found.evidence


def test_a_replica_that_says_ok_and_does_not_follow(
    pool: Pool, redis: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "GIVE_UP_S", 1.0)
    found = take_one(pool, redis, broken(proxied(tmp_path, program("redis-server"), "keeps its old data")))
    assert found.outcome is Outcome.UNKNOWN
    assert "to have its link up" in found.reason


def test_a_server_that_hangs_costs_one_wait(redis: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def frozen(stage: Stage) -> None:
        stage.replica.pause()
        usual.run(stage)

    usual = SYNCS["full_disk"]
    monkeypatch.setitem(SYNCS, "full_disk", replace(usual, run=frozen))
    monkeypatch.setattr(warm, "REPLY_S", 4.0)
    with Owner() as owner:
        pool = Pool(owner)
        found = take_one(pool, redis, redis)
        pool.close()
    assert found.outcome is Outcome.UNKNOWN
    assert re.search(r"replica redis did not answer .* within 4 s", found.reason)
    assert found.seconds < 14  # each server would be asked several times more, to tell of it and to clean it


def built(writes: tuple[Write, ...], facts: tuple[Fact, ...], *names: bytes) -> Callable[[bytes, int], DataSet]:
    return lambda prefix, now_ms: DataSet(writes, facts, keys(*names))


SET = (Write(("SET", "k", "1")),)
ONE = Fact(("GET", "k"), b"1")


@pytest.mark.parametrize(
    ("data", "outcome", "reason"),
    [
        (built(SET, (Fact(("GET", "k"), b"2"),), b"k"), "changed", "expected 2, found 1"),
        (built(SET, (ONE,), b"k", b"more"), "lost", "the replica lacks 1 key: more"),
        (built((*SET, Write(("SET", "x", "1"))), (ONE,), b"k"), "changed", "also holds 1 key: x"),
        (built(SET, (), b"k"), "unknown", "holds nothing that could be compared"),
        (built(SET, (Fact(("GET", "k"), b"1"),)), "unknown", "holds nothing that could be compared"),
        (
            built((Write(("INCR", "k"), reply=7),), (Fact(("GET", "k"), b"1"),), b"k"),
            "unknown",
            "INCR with 1, expected 7",
        ),
        (built((Write(("NOSUCH", "k")),), (Fact(("GET", "k"), b"1"),), b"k"), "unknown", "NOSUCH with ERR unknown"),
        (
            lambda prefix, now: replace(built(SET, (), b"k")(prefix, now), encodings={b"k": ("raw",)}),
            "unknown",
            "keeps k",
        ),
    ],
)
def test_planted_differences(
    pool: Pool, redis: Engine, data: Callable[[bytes, int], DataSet], outcome: str, reason: str
) -> None:
    (found,) = take(pool, redis, redis, "planted", planted=Feature("planted", "planted", data))
    assert (found.outcome.value, reason in found.reason) == (outcome, True), found.reason


def test_a_sync_of_another_kind_is_not_ok(pool: Pool, redis: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = replace(SYNCS["full_disk"], primary=SYNCS["full_diskless"].primary)
    monkeypatch.setitem(SYNCS, "full_disk", fake)
    found = take_one(pool, redis, redis)
    assert found.outcome is Outcome.NOT_APPLICABLE  # it says why, and is an alarm
    assert not found.as_expected
    monkeypatch.setitem(SYNCS, "full_disk", replace(SYNCS["full_diskless"], replica={"repl-diskless-load": "swapdb"}))
    found = take_one(pool, redis, redis)
    assert (found.outcome, found.reason) == (Outcome.UNKNOWN, "the replica's log does not show this kind of sync")


def test_a_full_sync_instead_of_a_partial_one_is_degraded(
    pool: Pool, redis: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = SYNCS["partial"]

    def forgets(stage: object) -> None:
        original(replace(stage, write=lambda: (stage.write(), change_history(stage))))  # type: ignore[type-var,attr-defined]

    def change_history(stage: object) -> None:
        stage.primary.ask("CONFIG", "SET", "repl-backlog-size", "16384")  # type: ignore[attr-defined]
        for number in range(40):
            stage.primary.ask("PUBLISH", "c", "x" * 1024 + str(number))  # type: ignore[attr-defined]

    original = partial.run
    monkeypatch.setitem(
        SYNCS, "partial", replace(partial, run=forgets, primary={**partial.primary, "repl-backlog-size": "16384"})
    )
    found = take_one(pool, redis, redis, sync="partial")
    assert found.outcome is Outcome.DEGRADED
    assert found.reason.startswith("1 full syncs instead of 0")


@pytest.mark.parametrize("sync", ["full_diskless", "full_diskless_load"])
def test_a_channel_that_is_on_by_default_is_turned_off(
    pool: Pool, valkey: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: str
) -> None:
    program = adding(tmp_path, str(valkey.program), "dual-channel-replication-enabled yes")
    engine = replace(broken(program), name=f"channel_{sync}")
    found = take_one(pool, engine, engine, sync=sync)
    assert (found.outcome, "channel" in "".join(found.evidence)) == (Outcome.OK, False), found.reason
    monkeypatch.setattr(syncs, "CHANNELS", ())  # so that it stays on
    found = take_one(pool, engine, engine, sync=sync)
    assert found.outcome is Outcome.UNKNOWN
    assert "a sync over a connection of its own" in found.reason or "this kind of sync" in found.reason


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ("BGSAVE for SYNC with target: replicas sockets", None),
        ("BGSAVE for SYNC with target: replicas sockets (rdb-channel)", "(rdb-channel)"),
        ("BGSAVE for SYNC with target: replicas sockets using: dual-channel", "using: dual-channel"),
    ],
)
def test_what_a_primary_says_of_a_channel(log: str, why: str | None) -> None:
    logs = {"primary": log, "replica": "receiving streamed RDB from MASTER with EOF to disk"}
    said = syncs.proven(SYNCS["full_diskless"], logs)
    assert (said is None) if why is None else (said is not None and why in said)


def test_what_came_out_of_the_backlog_is_no_stream(pool: Pool, redis: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, partial = SYNCS["stream"], SYNCS["partial"]
    monkeypatch.setitem(SYNCS, "stream", replace(stream, run=partial.run))
    found = take_one(pool, redis, redis, sync="stream")
    assert (found.outcome, found.reason.split(":")[0]) == (Outcome.DEGRADED, "1 partial resyncs instead of 0")
    monkeypatch.setitem(SYNCS, "partial", replace(partial, run=stream.run, replica_says=""))
    found = take_one(pool, redis, redis, sync="partial")
    assert (found.outcome, "does not show a partial resync" in found.reason) == (Outcome.UNKNOWN, True)


def test_a_chain_that_is_none(pool: Pool, redis: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def direct(stage: syncs.Stage) -> None:
        stage.write()
        stage.replica.follow(stage.primary)
        following.await_caught_up(stage.primary, stage.replica)

    monkeypatch.setitem(SYNCS, "chained", replace(SYNCS["chained"], run=direct))
    found = take_one(pool, redis, redis, sync="chained")
    assert (found.outcome, found.reason) == (
        Outcome.UNKNOWN,
        "the middle replica's log does not show this kind of sync",
    )


def test_the_middle_of_a_chain_ends(pool: Pool, redis: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    chained = SYNCS["chained"]

    def ends(stage: syncs.Stage) -> None:
        assert stage.between is not None
        between = stage.between
        chained.run(replace(stage, afterwards=lambda: (stage.afterwards(), between.server.kill())))

    monkeypatch.setitem(SYNCS, "chained", replace(chained, run=ends))
    found = take_one(pool, redis, redis, sync="chained")
    assert (found.outcome, found.reason.startswith("middle replica ended")) == (Outcome.CRASHED, True), found.reason
    assert any(line.startswith("middle replica: ") for line in found.evidence)


def test_an_odd_answer_costs_its_own_cell_only(pool: Pool, redis: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(reply: object) -> object:
        raise KeyError(b"pending")

    def no_data(prefix: bytes, now_ms: int) -> DataSet:
        raise ZeroDivisionError("of all things")

    monkeypatch.setitem(NORMAL, "odd", odd)
    shape = Feature("shape", "", built(SET, (Fact(("GET", "k"), b"1", "odd"),), b"k"))
    found = take(pool, redis, redis, "shape bug list", shape=shape, bug=Feature("bug", "", no_data))
    assert [cell.outcome.value for cell in found] == ["changed", "unknown", "ok"]
    assert found[1].reason == "ZeroDivisionError: of all things"
    assert "no_data" in "".join(found[1].evidence)


def test_a_key_that_expired_before_the_sync_is_written_again(pool: Pool, redis: Engine) -> None:
    tries: list[int] = []

    def slow(prefix: bytes, now_ms: int) -> DataSet:  # as on a machine that is slow twice
        tries.append(now_ms)
        keep, soon = prefix + b"keep", prefix + b"soon"
        lived = (
            Write(("SET", soon, "1")),
            Write(("PEXPIREAT", soon, now_ms + (60_000 if len(tries) == 3 else -60_000))),
        )
        facts = (Fact(("GET", keep), b"1"),)
        wanted = keys(keep) if len(tries) < 3 else keys(keep, soon)
        return DataSet((Write(("SET", keep, "1")), *lived), facts, wanted, expiring=(soon,))

    (found,) = take(pool, redis, redis, "slow", slow=Feature("slow", "", slow))
    assert (found.outcome, len(tries)) == (Outcome.OK, 3), found.reason

    def never(prefix: bytes, now_ms: int) -> DataSet:
        return replace(slow(prefix, now_ms), expiring=(prefix + b"none",))

    (found,) = take(pool, redis, redis, "never", never=Feature("never", "", never))
    assert (found.outcome, "had expired before it began" in found.reason) == (Outcome.UNKNOWN, True)


def test_a_server_that_cannot_be_cleaned_is_not_used_again(pool: Pool, redis: Engine) -> None:
    server = pool.lease(redis)
    server.ask("SET", "left", "1")
    server.ask("FUNCTION", "LOAD", "#!lua name=left\nredis.register_function('left', function() return 1 end)")
    server.set({"hz": "77"})
    pool.give_back([server])
    again = pool.lease(redis)
    assert again is server
    assert (again.ask("DBSIZE"), again.ask("FUNCTION", "LIST"), again.ask("CONFIG", "GET", "hz")) == (
        0,
        [],
        [b"hz", b"10"],
    )
    again.server.kill()
    pool.give_back([again])
    other = pool.lease(redis)
    assert other is not again
    assert other.ask("PING")
    pool.give_back([other])
    with pytest.raises(Trouble, match="has no setting none-such"):
        other.set({"none-such": "1"})


def test_interrupted_while_cells_run(redis: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with Owner() as owner:
        pool = Pool(owner)
        plan = Plan((redis,), ((redis.name, redis.name),), ("list",), ("full_disk", "stream"))

        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_matrix(plan, pool, stop)
        pool.close()
