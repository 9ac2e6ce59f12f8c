"""One cycle: writers that end in any way, what is read, and what is told where a server does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import harness
from harness.api import Deployed
from harness.checker.evidence import KeyState
from harness.cycle import Cycle, Observed, run_cycle
from harness.endpoint.client import connect
from harness.errors import SetupError
from harness.history import Acknowledged, Ledger
from harness.place import MemoryPlace
from harness.plan import StreamPlan
from harness.reading import read_now
from harness.runtime.local import LocalDeployment
from harness.scenario.model import Batch, Fault
from harness.values import Values
from harness.writing import write_all
from tests.support.disturbed import eventually

PAIR = """\
version: 1
title: A pair
topology: {nodes: {a: {port: 6379}, b: {replica_of: a, port: 6380, config: {replica-read-only: "no"}}}}
workload: {key: "numbers:list", values: 1}
"""


class FakeWriter:
    """workload.base.Writer that ends as it is told to; without that it waits until it is stopped."""

    def __init__(self, ends: Exception | None = None, *, waits: bool = False, ledger: Ledger | None = None) -> None:
        self._ends, self._waits = ends, waits
        self._stopped = threading.Event()
        self.ledger = ledger or Ledger(None)
        self.ledgers = [self.ledger]
        self.sent, self.acknowledged, self.last_acknowledged_at = 0, 0, 0.0

    def run(self, look_on: Callable[[], None] = lambda: None) -> None:
        while self._waits and not self._stopped.wait(0.01):
            look_on()
        if self._ends is not None:
            raise self._ends

    def bytes_to(self, node: str) -> int:
        return 0

    def breaks_at(self, node: str) -> int:
        return 0

    def stop(self) -> None:
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()


class UnclosableLedger(Ledger):
    def close(self) -> None:
        raise OSError(28, "No space left on device")


ODD_ENDS = [
    (FakeWriter(SetupError("no connection")), "a writer ended early: no connection"),
    (FakeWriter(ZeroDivisionError("by zero")), "a writer crashed: ZeroDivisionError: by zero"),
    (FakeWriter(ledger=UnclosableLedger(None)), "a writer crashed: OSError: [Errno 28] No space left on device"),
]


class TestWriters:
    @pytest.mark.parametrize("others", [0, 2])
    @pytest.mark.parametrize(("writer", "doubt"), ODD_ENDS, ids=["failure", "bug", "disk"])
    def test_one_that_ends_early_leaves_a_doubt_and_is_waited_for_by_nobody(self, writer, doubt, others):
        finished: list[int] = []
        writers = [FakeWriter() for _ in range(others)] + [writer]
        assert write_all(writers, finished.append) == (doubt,)
        assert sorted(finished) == list(range(others + 1))

    def test_without_any_nothing_is_told(self):
        assert write_all([FakeWriter(), FakeWriter()]) == ()
        assert write_all([]) == ()

    @pytest.mark.parametrize("count", [1, 3])
    def test_a_server_that_has_ended_stops_them_all(self, count):
        writers = [FakeWriter(waits=True) for _ in range(count)]
        assert write_all(writers, ended=lambda: "a ended by signal 9") == (
            "nothing more was written: a ended by signal 9",
        )
        assert all(writer.stopped for writer in writers)

    @pytest.mark.parametrize("count", [1, 2])
    def test_ctrl_c_stops_them_and_applies_no_further_fault(self, count):
        def interrupted() -> str | None:
            raise KeyboardInterrupt

        writers = [FakeWriter(waits=True) for _ in range(count)]
        finished: list[int] = []
        if count > 1:
            with pytest.raises(KeyboardInterrupt):
                write_all(writers, ended=interrupted)
        else:
            with pytest.raises(KeyboardInterrupt):
                write_all(writers, finished.append, interrupted)
            assert finished == []
        assert all(writer.stopped for writer in writers)


class NoLaps:
    def begin(self, step: str) -> None:
        """Nothing."""

    def advance(self, done: int, total: int) -> None:
        """Nothing."""

    def end(self, step: str) -> None:
        """Nothing."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Deployed]:
    (tmp_path / "pair.yaml").write_text(PAIR)
    with harness.deploy(tmp_path / "pair.yaml", disturb=["client->a", "client->b"]) as deployed:
        yield deployed


def plan(name: str = "workload", key: str = "k", values: int = 1000, db: int = 0, **batch: object) -> StreamPlan:
    given = batch or {"shape": "variadic", "size": 10}
    return StreamPlan(name, "list_append", key.encode(), db, Values(values), Batch.model_validate(given))


def cycle(
    pair: Deployed, *plans: StreamPlan, faults: list[dict[str, object]] | None = None, give_up_s: float = 20
) -> Observed:
    checked = [Fault.model_validate(fault) for fault in faults or []]
    nodes = [node.name for node in pair.topology.replicas]
    return run_cycle(Cycle(pair.deployment, plans, checked, nodes, MemoryPlace(), give_up_s), NoLaps())


class TestWhole:
    def test_what_a_clean_cycle_yields(self, pair):
        observed = cycle(pair, plan(), plan("workload.1", "other", 7, db=3))
        assert [(each.name, each.key, each.db, each.values) for each in observed.streams] == [
            ("workload", "k", 0, 1000),
            ("workload.1", "other", 3, 7),
        ]
        assert list(observed.streams[0].entries()) == [Acknowledged(1, 1, 1000, 10)]
        assert [(each.node, each.stream, each.state, each.length) for each in observed.readings] == [
            ("b", "workload", KeyState.LIST, 1000),
            ("b", "workload.1", KeyState.LIST, 7),
        ]
        assert [[(run.first, run.count) for run in each.runs()] for each in observed.readings] == [
            [(1, 1000)],
            [(1, 7)],
        ]
        assert observed.targets["a"].lengths == {"workload": 1000, "workload.1": 7}
        assert observed.targets["a"].offset_counts
        assert [(each.node, each.reached) for each in observed.convergences] == [("b", True)]
        assert (observed.doubts, observed.faults) == ((), ())

    def test_nothing_written_is_a_key_that_is_not_there(self, pair):
        observed = cycle(pair, plan(values=0))
        assert [each.state for each in observed.readings] == [KeyState.ABSENT]
        assert observed.targets["a"].lengths == {"workload": 0}

    @pytest.mark.parametrize("fault", [{"at": "10%", "until": "60%", "toxic": "cut"}, {"at": "10%", "toxic": "cut"}])
    def test_convergence_counts_from_the_heal(self, pair, fault):
        observed = cycle(pair, plan(), faults=[{**fault, "link": "a->b"}])
        assert [record.why_not for record in observed.faults] == [""]
        assert observed.convergences[0].reached
        assert pair.deployment.proxied  # and the link is whole again:
        with closing(connect(pair.endpoint("b"))) as client:
            assert client.llen("k") == 1000

    def test_a_link_that_only_the_read_uses_is_disturbed_by_the_read(self, pair):
        fault = {"at": "20%", "link": "client->b", "toxic": "latency", "latency_ms": 20, "direction": "to_client"}
        (record,) = cycle(pair, plan(), faults=[fault]).faults
        assert (record.why_not, record.met) == ("", True)
        assert record.bytes > 0

    def test_one_that_is_healed_before_the_read_met_nothing(self, pair):
        fault = {"at": "20%", "until": "80%", "link": "client->b", "toxic": "latency", "latency_ms": 20}
        (record,) = cycle(pair, plan(), faults=[fault]).faults
        assert record.why_not == "none of our own bytes went over the link"

    def test_a_toxic_met_only_the_link_whose_bytes_flowed(self, pair):
        faults = [
            {"at": "10%", "until": "90%", "link": "a->b", "toxic": "cut"},
            {"at": "20%", "until": "80%", "link": "a->b", "toxic": "latency", "latency_ms": 1},
        ]
        cut, latency = cycle(pair, plan(), faults=faults).faults
        assert (cut.why_not, latency.why_not) == ("", "the link was down all the while")


class TestServersThatEnd:
    """A wrong server is never an error of ours: what can't be seen any more is told as a doubt."""

    @staticmethod
    def kill_at_half(pair: Deployed, node: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
        """A fault that kills a server once half of the values are sent."""
        deployment = pair.deployment
        assert isinstance(deployment, LocalDeployment)
        from harness.watch import RunWatch

        monkeypatch.setattr(RunWatch, "write_stray", lambda self, stray: deployment.kill(node))
        return [{"at": "50%", "stray_write": {"node": "b", "key": "k", "element": "x"}}]

    def test_the_replica(self, pair, monkeypatch):
        observed = cycle(pair, plan(), faults=self.kill_at_half(pair, "b", monkeypatch))
        assert [each.state for each in observed.readings] == [KeyState.UNREADABLE]
        (convergence,) = observed.convergences
        assert not convergence.reached
        assert "node b" in convergence.last_seen
        assert "ended by signal 9" in convergence.last_seen

    def test_the_primary(self, pair, monkeypatch):
        observed = cycle(pair, plan(), faults=self.kill_at_half(pair, "a", monkeypatch))
        assert observed.targets == {}
        assert any("ended by signal 9" in doubt for doubt in observed.doubts)
        assert any(doubt.startswith("a could not be asked what it holds at the end: ") for doubt in observed.doubts)
        (reading,) = observed.readings
        assert reading.state is not KeyState.UNREADABLE  # it holds what it had got by then
        assert reading.length < 1000


class TestReading:
    def test_keys_of_other_types_are_told(self, pair):
        with closing(connect(pair.endpoint("a"))) as client:
            client.set("k", "text")
            client.wait(1, 5000)
        eventually(lambda: closing(connect(pair.endpoint("b"))))
        (reading,) = read_now(pair.deployment, "b", [plan()], MemoryPlace())
        assert (reading.state, reading.found_type) == (KeyState.WRONG_TYPE, "string")

    def test_a_node_that_lets_nobody_in_is_unreadable(self, pair):
        pair.link("client->b").cut()
        (reading,) = read_now(pair.deployment, "b", [plan()], MemoryPlace())
        assert reading.state is KeyState.UNREADABLE
        assert reading.error is not None
        assert reading.error.startswith("cannot connect to ")
