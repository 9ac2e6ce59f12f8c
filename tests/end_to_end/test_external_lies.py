"""Servers of somebody else: whatever is done to B during a run, or however B lies, the right anomaly is found.

And what is printed is what B sent, never what it should have sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import redis

import harness.reading
from harness import stage
from harness.cli import run_command_line
from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from harness.kinds import KINDS, SHARDED
from harness.runtime.base import Deployment
from harness.runtime.external import ExternalRuntime
from tests.support import lying_replica
from tests.support.lying_replica import Lie, LyingReplica
from tests.support.pairs import ENGINES, chain, contents, stop_following
from tests.support.resp_proxy import Reply, RespProxy
from tests.support.servers import running

KEY = "harness:r1:numbers:list"
TRUE = [str(number).encode() for number in range(1, 1001)]
SCENARIO = """\
version: 1
title: Numbers reach servers that are not ours
topology: {nodes: {a: {port: 6379}, b: {replica_of: a, port: 10878}}}
workload: {key: "numbers:list", values: 1000, batch: {shape: pipeline, size: 100}}
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Endpoint]]:
    """A primary and a replica that can be written to."""
    with chain(ENGINES[-1], tmp_path_factory.mktemp("servers")) as endpoints:
        with closing(connect(endpoints[1])) as b:
            b.config_set("replica-read-only", "no")
        yield endpoints


class Ran:
    """One `harness run … --print newest-first`: its exit code, what it printed, and the anomalies that it stored."""

    def __init__(
        self, a: Endpoint, b: Endpoint, folder: Path, capture: pytest.CaptureFixture[bytes], scenario: str = SCENARIO
    ) -> None:
        (folder / "numbers.yaml").write_text(scenario)
        where = ["--runtime", "external", "--endpoint", f"a={a}", "--endpoint", f"b={b}", "--run-id", "r1"]
        out = folder / "out"
        capture.readouterr()
        self.code = run_command_line(
            ["run", str(folder / "numbers.yaml"), *where, "--out", str(out), "--print", "newest-first"]
        )
        printed, told = capture.readouterr()
        self.printed, self.told = printed.splitlines(), told.decode()
        (verdict,) = out.glob("**/verdict.json")
        self.verdict = json.loads(verdict.read_text())["verdict"]

    @property
    def found(self) -> list[tuple[str, int, int | None, str | None]]:
        """Kind, count, index and what was found there."""
        return [
            (each["kind"], each["count"], each["first"]["index"], each["first"]["found"])
            for each in self.verdict["anomalies"]
        ]


def during_the_run(monkeypatch: pytest.MonkeyPatch, b: Endpoint, tamper: Callable[[redis.Redis], object]) -> None:
    """Somebody writes to B when the last value has reached it, and before it is read."""
    real, done = harness.reading.read, []

    def read(deployment: Deployment, *rest: object, **how: object):
        if not done:
            done.append(True)
            with closing(connect(b)) as client:
                tamper(client)
        return real(deployment, *rest, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(harness.reading, "read", read)


def swap(b: redis.Redis) -> None:
    b.lset(KEY, 9, "11")
    b.lset(KEY, 10, "10")


DONE = [
    ("written to", lambda b: b.rpush(KEY, "99999"), ("phantom", 1, 1000, "99999"), [*TRUE, b"99999"]),
    ("trimmed", lambda b: b.ltrim(KEY, 0, 899), ("truncated", 100, 900, None), TRUE[:900]),
    ("swapped", swap, ("reordered", 1, 9, "11"), [*TRUE[:9], b"11", b"10", *TRUE[11:]]),
    ("replaced", lambda b: b.lset(KEY, 9, "x y"), ("wrong_value", 1, 9, "x y"), [*TRUE[:9], b"x y", *TRUE[10:]]),
    ("made a string", lambda b: b.set(KEY, "x"), ("wrong_type", 1000, None, "string"), []),
    ("deleted", lambda b: b.delete(KEY), ("missing_key", 1000, 0, None), []),
]


@pytest.mark.parametrize(("tamper", "anomaly", "held"), [row[1:] for row in DONE], ids=[row[0] for row in DONE])
def test_what_is_done_to_b(servers, tmp_path, monkeypatch, capfdbinary, tamper, anomaly, held):
    a, b = servers
    during_the_run(monkeypatch, b, tamper)
    ran = Ran(a, b, tmp_path, capfdbinary)
    assert (ran.code, ran.verdict["outcome"]) == (1, "invalid"), ran.told
    assert ran.found == [anomaly]
    assert ran.printed == list(reversed(held))
    assert contents(a) == {}
    with closing(connect(b)) as client:
        client.flushall()


TOLD: list[tuple[str, Lie | None, tuple[str, int, int | None, str | None]]] = [
    ("adds one", lying_replica.insert(1000, b"99999"), ("phantom", 1, 1000, "99999")),
    ("adds one between", lying_replica.insert(10, b"x"), ("phantom", 1, 10, "x")),
    ("cuts the end", lying_replica.drop_tail(100), ("truncated", 100, 900, None)),
    ("leaves one out", lying_replica.drop(10), ("lost", 1, 10, "12")),
    ("swaps two", lying_replica.swap(9), ("reordered", 1, 9, "11")),
    ("replaces one", lying_replica.replace(9, b"x"), ("wrong_value", 1, 9, "x")),
    ("doubles one", lying_replica.duplicate(9), ("duplicated", 1, 10, "10")),
    ("calls it a string", None, ("wrong_type", 1000, None, "string")),
    ("denies it", lying_replica.nothing, ("missing_key", 1000, 0, None)),
]


@pytest.mark.parametrize("length_lies", [True, False])
@pytest.mark.parametrize(("lie", "anomaly"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_what_b_says(servers, tmp_path, capfdbinary, lie, anomaly, length_lies):
    a, b = servers
    with LyingReplica(b, "numbers:list", lie, length_lies=length_lies) as liar:
        ran = Ran(a, liar.endpoint, tmp_path, capfdbinary)
    assert (ran.code, ran.verdict["outcome"]) == (1, "invalid"), ran.told
    if anomaly[0] in ("missing_key", "wrong_type") and not length_lies:  # the key is there, of what type B does not say
        assert [kind for kind, *_ in ran.found] == ["truncated" if lie else "wrong_type"]
    else:
        assert ran.found == [anomaly]
    assert ran.printed == (list(reversed(lie(TRUE))) if lie else [])
    assert contents(a) == {}


LENGTHS = [(kind, by) for kind in KINDS if kind not in SHARDED for by in (1, -1, 100)]


@pytest.mark.parametrize(("kind", "by"), LENGTHS)
def test_a_length_that_is_not_that_of_what_b_sends(servers, tmp_path, capfdbinary, kind, by):
    """All that B sends is right, and only its word for how much that is is not: never valid."""
    a, b = servers
    counts = KINDS[kind].length

    def off(request: list[bytes], ask: Callable[[], Reply]) -> Reply:
        reply = ask()
        return max(0, reply + by) if isinstance(reply, int) and request[0].upper() == counts.encode() else reply

    with RespProxy(b, off) as liar:
        ran = Ran(
            a, liar.endpoint, tmp_path, capfdbinary, SCENARIO.replace("workload: {", f"workload: {{kind: {kind}, ")
        )
    assert (ran.code, ran.verdict["outcome"]) == (6, "unknown"), ran.told
    size = 1000 * KINDS[kind].unit
    unit = "bytes" if kind == "string" else "elements"
    assert f"b contradicts itself: {counts} of {KEY} told {size + by} {unit}, and {size} were read" in ran.told
    assert contents(a) == {}


def test_one_that_tells_the_truth(servers, tmp_path, capfdbinary, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a, b = servers
    with LyingReplica(b, "numbers:list", lambda elements: elements, length_lies=True) as honest:
        (tmp_path / "numbers.yaml").write_text(SCENARIO)
        where = ["--runtime", "external", "--endpoint", f"a={a}", "--endpoint", f"b={honest.endpoint}"]
        code = run_command_line(["run", str(tmp_path / "numbers.yaml"), *where, "--print", "newest-first"])
    assert code == 0
    assert capfdbinary.readouterr().out.splitlines() == list(reversed(TRUE))
    assert contents(a) == {}


class TestRefusals:
    """Before anything is written: exit 7, the reason, and A as it was."""

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What never comes is not waited for as long as over a slow link."""
        monkeypatch.setattr(stage, "ExternalRuntime", partial(ExternalRuntime, patience_s=0.5))

    @staticmethod
    def refusal(a: Endpoint, b: Endpoint, folder: Path, capture: pytest.CaptureFixture[bytes]) -> str:
        (folder / "numbers.yaml").write_text(SCENARIO)
        before = contents(a)
        where = ["--runtime", "external", "--endpoint", f"a={a}", "--endpoint", f"b={b}"]
        assert run_command_line(["run", str(folder / "numbers.yaml"), *where, "--out", str(folder / "out")]) == 7
        assert contents(a) == before
        assert not (folder / "out").exists()
        printed, told = capture.readouterr()
        assert printed == b""
        return told.decode()

    def test_b_is_a(self, servers, tmp_path, capfdbinary):
        a, _ = servers
        told = self.refusal(a, a, tmp_path, capfdbinary)
        assert "are one server, or replicate in both directions" in told

    def test_b_is_a_under_another_address(self, tmp_path, tmp_path_factory, capfdbinary):
        folder = tmp_path_factory.mktemp("two_addresses")
        with running(ENGINES[0], folder, "bind 127.0.0.1 127.0.0.2") as one:
            told = self.refusal(one, one.with_address("127.0.0.2", one.port), tmp_path, capfdbinary)
        assert "are one server, or replicate in both directions" in told

    def test_b_follows_nobody(self, servers, tmp_path, tmp_path_factory, capfdbinary):
        with running(ENGINES[0], tmp_path_factory.mktemp("stranger")) as stranger:
            told = self.refusal(servers[0], stranger, tmp_path, capfdbinary)
            assert contents(stranger) == {}
        assert "does not follow a (redis://" in told

    def test_b_follows_somebody_else(self, servers, tmp_path, tmp_path_factory, capfdbinary):
        with chain(ENGINES[0], tmp_path_factory.mktemp("others")) as (_, other):
            told = self.refusal(servers[0], other, tmp_path, capfdbinary)
        assert "does not follow a (redis://" in told

    def test_b_follows_no_more(self, servers, tmp_path, tmp_path_factory, capfdbinary):
        """It has the data, and even its primary's history; nothing new will come."""
        with chain(ENGINES[0], tmp_path_factory.mktemp("former")) as (a, b):
            with closing(connect(a)) as client:
                client.set("theirs", "x")
            stop_following(b)
            told = self.refusal(a, b, tmp_path, capfdbinary)
        assert "does not follow a (redis://" in told

    def test_b_is_not_there(self, servers, tmp_path, capfdbinary):
        nobody = servers[1].with_address("127.0.0.1", 1)
        assert "127.0.0.1:1" in self.refusal(servers[0], nobody, tmp_path, capfdbinary)
