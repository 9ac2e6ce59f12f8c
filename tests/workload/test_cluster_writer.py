"""Keys of a cluster that are not where the writer believes: nothing is lost, doubled or out of order."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from harness.engine.binaries import choose
from harness.errors import SetupError
from harness.history import Acknowledged, Ledger, Opened, Refused, Stamp
from harness.placement import DeploymentRouter
from harness.resp.connection import Connection
from harness.resp.replies import OK, ErrorReply, Status
from harness.runtime.local import LocalDeployment, LocalRuntime
from harness.runtime.owner import Owner
from harness.slots import slot_of
from harness.topology import Topology, cluster_nodes
from harness.workload.base import Patience
from harness.workload.cluster_writer import AskingTransactionSend, ClusterNumbered, ClusterWriter
from harness.workload.numbered import NumberedSend, TransactionSend, WritePlan
from harness.workload.outcomes import Outcomes
from tests.support.pairs import ENGINES

SHAPES = ("single", "pipeline", "variadic", "multi")
numbers = itertools.count()


@pytest.fixture(scope="module", params=ENGINES)
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalDeployment]:
    engine = "valkey" if "valkey" in request.param else "redis"
    with Owner() as owner:
        runtime = LocalRuntime(lambda node: choose(engine, {}), "any", owner)
        with runtime.deploy(Topology(cluster_nodes(2, 0, 7000))) as deployment:
            deployment.attach()
            yield deployment


class Stale(DeploymentRouter):
    """Believes at first that the key is with the other node."""

    def owner(self, key: bytes) -> str | None:
        found = super().owner(key)
        if not self.__dict__.setdefault("asked", False):
            self.__dict__["asked"] = True
            return "shard1" if found == "shard0" else "shard0"
        return found


def key_of(shard: int) -> bytes:
    """A key that nobody has used, in the slots of this shard."""
    slots = range(8192) if shard == 0 else range(8192, 16384)
    return next(key for number in numbers if slot_of(key := b"key:%d" % number) in slots)


def ask(cluster: LocalDeployment, node: str, *words: object) -> object:
    with Connection(cluster.control(node)) as connection:
        reply = connection.command(*[word if isinstance(word, bytes) else str(word) for word in words])
    return reply.text if isinstance(reply, Status) else reply


def write(router: DeploymentRouter, key: bytes, shape: str, look_on: Callable[[], None] = lambda: None) -> Ledger:
    plan = WritePlan(key, 300, shape=shape, sizes=(7,))
    ledger = Ledger(None)
    ClusterWriter([(plan, ledger)], router, patience=Patience(5, 2)).run(look_on)
    ledger.close()
    return ledger


def everything() -> list[bytes]:
    return [b"%d" % number for number in range(1, 301)]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_moved_is_sent_again_in_order(cluster: LocalDeployment, shape: str) -> None:
    key = key_of(1)
    ledger = write(Stale(cluster), key, shape)
    assert ask(cluster, "shard1", "LRANGE", key, 0, -1) == everything()
    refused = [entry for entry in ledger.entries if isinstance(entry, Refused)]
    assert refused
    assert all("MOVED" in entry.error or "EXECABORT" in entry.error for entry in refused)
    assert ledger.acknowledged == 300


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_on_its_way_is_asked_for_command_by_command(cluster: LocalDeployment, shape: str) -> None:
    key = key_of(0)
    slot, ids = slot_of(key), cluster.cluster.ids
    assert ask(cluster, "shard1", "CLUSTER", "SETSLOT", slot, "IMPORTING", ids["shard0"]) == "OK"
    assert ask(cluster, "shard0", "CLUSTER", "SETSLOT", slot, "MIGRATING", ids["shard1"]) == "OK"
    try:
        ledger = write(DeploymentRouter(cluster), key, shape)
        assert any(
            f"slot {slot} is half way from shard0 to shard1 (both" in text for text in cluster.cluster.half_moved()
        )
        for node in ("shard1", "shard0"):
            ask(cluster, node, "CLUSTER", "SETSLOT", slot, "NODE", ids["shard1"])
        assert ask(cluster, "shard1", "LRANGE", key, 0, -1) == everything()
    finally:
        ask(cluster, "shard1", "DEL", key)
        for node in ("shard0", "shard1"):
            ask(cluster, node, "CLUSTER", "SETSLOT", slot, "NODE", ids["shard0"])
            ask(cluster, node, "CLUSTER", "SETSLOT", slot, "STABLE")
    assert any(isinstance(entry, Refused) and "ASK" in entry.error for entry in ledger.entries)
    assert ledger.acknowledged == 300


def test_a_slot_that_nobody_owns_is_told(cluster: LocalDeployment) -> None:
    key = key_of(0)
    for node in ("shard0", "shard1"):
        ask(cluster, node, "CLUSTER", "DELSLOTS", slot_of(key))
    try:
        with pytest.raises(SetupError, match=f"nobody owns the slot of {key.decode()}"):
            write(DeploymentRouter(cluster), key, "pipeline")
    finally:
        for node in ("shard0",):
            ask(cluster, node, "CLUSTER", "ADDSLOTS", slot_of(key))


def test_where_writes_may_be_lost_the_ledger_tells_when_and_where(cluster: LocalDeployment) -> None:
    key, ledger = key_of(1), Ledger(None)
    plan = WritePlan(key, 300, shape="single", lossy=True)
    ClusterWriter([(plan, ledger)], DeploymentRouter(cluster)).run()
    ledger.close()
    kinds = [type(entry) for entry in ledger.entries]
    assert ledger.entries[0] == Opened(1, "shard1")
    assert isinstance(last := ledger.entries[-1], Stamp)
    assert last.sent == 300
    assert {Acknowledged, Opened, Stamp} == set(kinds)


def test_nodes_that_send_a_writer_to_each_other_are_not_followed_for_ever(cluster: LocalDeployment) -> None:
    key = key_of(0)
    slot, ids = slot_of(key), cluster.cluster.ids
    ask(cluster, "shard0", "CLUSTER", "SETSLOT", slot, "NODE", ids["shard1"])  # and shard1 knows nothing of it
    ledger, plan = Ledger(None), WritePlan(key, 300, sizes=(7,))
    writer = ClusterWriter([(plan, ledger)], DeploymentRouter(cluster), patience=Patience(5, 1))
    try:
        with pytest.raises(SetupError, match=f"has refused {key.decode()} for 1 s, [0-9]+ times: MOVED {slot} "):
            writer.run()
    finally:
        ask(cluster, "shard0", "CLUSTER", "SETSLOT", slot, "NODE", ids["shard0"])
    ledger.close()
    assert ledger.acknowledged == 0
    assert len(ledger.entries) < 200  # at most one in each pause


@pytest.mark.parametrize("shape", ["pipeline", "variadic", "multi"])
def test_what_is_refused_again_does_not_fall_behind(shape: str) -> None:
    """More than one send's worth was refused, and the first of it is refused once more."""
    source = ClusterNumbered(WritePlan(b"k", 50_000, shape=shape, sizes=(10_000,)), Outcomes(Ledger(None)))
    sends = []
    while not source.finished:
        sends.append(source.next_send(1, 1 << 30)[1])
    for send in sends:
        answer_all(send, REFUSED)
    answer_all(source.next_send(1, 1 << 30)[1], REFUSED)
    while not source.finished:
        answer_all(source.next_send(1, 1 << 30)[1], None)
    source.outcomes.ledger.close()
    acknowledged = [entry for entry in source.outcomes.ledger.entries if isinstance(entry, Acknowledged)]
    assert [(entry.first, entry.last) for entry in acknowledged] == [(1, 50_000)]


def test_a_transaction_is_sent_again_as_it_was() -> None:
    source = ClusterNumbered(WritePlan(b"k", 6, shape="multi", sizes=(2,)), Outcomes(Ledger(None)))
    for send in [source.next_send(1, 100)[1] for _ in range(3)]:
        answer_all(send, REFUSED)
    payloads = []
    for asking in (False, True, False):
        source.asking = asking
        payload, send = source.next_send(1, 100)
        payloads.append(payload)
        answer_all(send, None)
    assert [(payload.count(b"MULTI"), payload.count(b"RPUSH")) for payload in payloads] == [(1, 2)] * 3
    assert [payload.count(b"ASKING") for payload in payloads] == [0, 1, 0]


def test_a_writer_waits_for_the_answers_to_what_it_repeats(cluster: LocalDeployment) -> None:
    """While a cluster is down in between, tens of thousands of commands are refused, some of them more than once."""
    keys, other = [key_of(0), key_of(0)], key_of(1)
    free = str(slot_of(other))
    set_everywhere(cluster, "yes")
    written = [(WritePlan(key, 60_000, sizes=(50_000,)), Ledger(None)) for key in keys]
    writer = ClusterWriter(written, DeploymentRouter(cluster), patience=Patience(20, 20))
    down: list[float] = []

    def disturb() -> None:
        if not down and writer.acknowledged > 20_000:
            down.append(time.monotonic())
            for node in ("shard0", "shard1"):
                ask(cluster, node, "CLUSTER", "DELSLOTS", free)
        elif len(down) == 1 and time.monotonic() - down[0] > 0.5:
            down.append(time.monotonic())
            ask(cluster, "shard1", "CLUSTER", "ADDSLOTS", free)

    try:
        writer.run(disturb)
    finally:
        if len(down) == 1:
            ask(cluster, "shard1", "CLUSTER", "ADDSLOTS", free)
        set_everywhere(cluster, "no")
    for key, (_, ledger) in zip(keys, written, strict=True):
        ledger.close()
        assert any("CLUSTERDOWN" in entry.error for entry in ledger.entries if isinstance(entry, Refused)), key
        found = ask(cluster, "shard0", "LRANGE", key, 0, -1)
        assert found == [b"%d" % number for number in range(1, 60_001)]


def set_everywhere(cluster: LocalDeployment, value: str) -> None:
    for node in ("shard0", "shard1"):
        ask(cluster, node, "CONFIG", "SET", "cluster-require-full-coverage", value)


REFUSED = ErrorReply("MOVED 1 127.0.0.1:1")


def answer_all(send: NumberedSend, error: ErrorReply | None) -> None:
    """Every command is refused with this error, or all goes well."""
    if error is None and send.expected() is not None:
        send.matched()
        return
    for index in range(send.replies):
        asking = index == 0 and isinstance(send, AskingTransactionSend)
        at = index - isinstance(send, AskingTransactionSend)
        if isinstance(send, TransactionSend) and not asking and at == send.commands + 1:
            ones = list(range(1, send.commands + 1))
            send.answered(index, ErrorReply(f"EXECABORT {error.text}") if error else ones)
        elif asking or (isinstance(send, TransactionSend) and at == 0):
            send.answered(index, OK)
        else:
            send.answered(index, error or Status("QUEUED"))
