"""Every anomaly, planted on a live replica, is found with its name, its place and its count, and judged again so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import redis

import harness.cycle
import harness.reading
from harness.checker.verdict import Kind, Verdict
from harness.endpoint.client import connect
from harness.errors import ExitCode
from harness.fault.toxiproxy import ProxiedLink
from harness.lag import LagSampler
from harness.options import Options
from harness.runner import Result, judge_again, run
from harness.runtime.base import Deployment
from harness.scenario.loader import load
from tests.support.disturbed import eventually

KEY = "numbers:list"
SCENARIO = """\
version: 1
title: Somebody tampers with the replica
topology: {nodes: {a: {port: 6379}, b: {replica_of: a, port: 6380, config: {replica-read-only: "no"}}}}
workload: {key: "numbers:list", values: 1000, batch: {shape: variadic, size: 10}}
"""
Tamper = Callable[[redis.Redis], object]


def run_it(folder: Path, *more: str) -> Result:
    path = folder / "tampered.yaml"
    path.write_text(SCENARIO + "".join(f"{line}\n" for line in more))
    return run(load(path), Options(out=folder / "runs"))


def tampering(monkeypatch: pytest.MonkeyPatch, tamper: Tamper, node: str = "b") -> None:
    """After everybody has converged, and before anything is read, somebody changes what the node holds."""
    real, done = harness.reading.read, []

    def read(deployment: Deployment, *rest: object, **how: object):
        if not done:
            done.append(True)
            with closing(connect(deployment.control(node))) as client:
                tamper(client)
        return real(deployment, *rest, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(harness.reading, "read", read)


def found(verdict: Verdict) -> list[tuple[str, int, int | None, str | None, str | None]]:
    """Kind, count, index, expected and found of each anomaly."""
    return [
        (str(anomaly.kind), anomaly.count, anomaly.first.index, anomaly.first.expected, anomaly.first.found)
        for anomaly in verdict.anomalies
    ]


def lset(**values: str) -> Tamper:
    """Set elements by index: lset(_499="x")."""
    return lambda b: [b.lset(KEY, int(index[1:]), value) for index, value in values.items()]


def removed(first: int, count: int = 1) -> Tamper:
    return lambda b: [b.lrem(KEY, 1, str(number)) for number in range(first, first + count)]


def moved_to_end(number: int) -> Tamper:
    return lambda b: (b.lrem(KEY, 1, str(number)), b.rpush(KEY, str(number)))


PLANTED: dict[str, tuple[Tamper, tuple[str, int, int | None, str | None, str | None]]] = {
    "key deleted": (lambda b: b.delete(KEY), ("missing_key", 1000, 0, "1", None)),
    "all elements popped": (lambda b: b.ltrim(KEY, 1, 0), ("missing_key", 1000, 0, "1", None)),
    "made a string": (lambda b: b.set(KEY, "x"), ("wrong_type", 1000, None, "list", "string")),
    "made a set": (lambda b: (b.delete(KEY), b.sadd(KEY, "1")), ("wrong_type", 1000, None, "list", "set")),
    "trimmed": (lambda b: b.ltrim(KEY, 0, 899), ("truncated", 100, 900, "901", None)),
    "last one popped": (lambda b: b.rpop(KEY), ("truncated", 1, 999, "1000", None)),
    "one removed": (removed(500), ("lost", 1, 499, "500", "501")),
    "first one popped": (lambda b: b.lpop(KEY), ("lost", 1, 0, "1", "2")),
    "several removed": (removed(500, 30), ("lost", 30, 499, "500", "530")),
    "one more of one": (lambda b: b.linsert(KEY, "after", "500", "500"), ("duplicated", 1, 500, "501", "500")),
    "an old one at the end": (lambda b: b.rpush(KEY, "1"), ("duplicated", 1, 1000, None, "1")),
    "neighbours swapped": (lset(_499="501", _500="500"), ("reordered", 1, 499, "500", "501")),
    "one moved to the end": (moved_to_end(500), ("reordered", 1, 499, "500", "501")),
    "one replaced": (lset(_499="x"), ("wrong_value", 1, 499, "500", "x")),
    "one replaced by a foreign number": (lset(_499="5000"), ("wrong_value", 1, 499, "500", "5000")),
    "last one replaced": (lset(_999="x"), ("wrong_value", 1, 999, "1000", "x")),
    "a foreign one between": (lambda b: b.linsert(KEY, "before", "500", "x"), ("phantom", 1, 499, "500", "x")),
    "a foreign one at the end": (lambda b: b.rpush(KEY, "1001"), ("phantom", 1, 1000, None, "1001")),
    "an element with a newline": (lambda b: b.rpush(KEY, b"\r\n"), ("phantom", 1, 1000, None, "\\r\\n")),
    "another key": (lambda b: b.set("stray", "x"), ("phantom", 1, None, None, "stray")),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_somebody_did_to_the_replica_is_named(tmp_path, monkeypatch, name):
    tamper, anomaly = PLANTED[name]
    tampering(monkeypatch, tamper)
    result = run_it(tmp_path)
    assert result.verdict is not None
    assert result.run_dir is not None
    assert found(result.verdict) == [anomaly]
    assert result.exit_code == ExitCode.NOT_AS_EXPECTED
    first = result.verdict.anomalies[0]
    assert (first.node, first.db) == ("b", 0)
    assert (result.verdict.doubts, result.verdict.unmet) == ((), ())
    assert judge_again(result.run_dir).verdict == result.verdict


def test_a_key_in_another_database_is_a_phantom(tmp_path, monkeypatch):
    def tamper(b: redis.Redis) -> None:
        b.execute_command("MULTI")
        b.execute_command("SELECT", "7")
        b.execute_command("SET", KEY, "x")
        b.execute_command("SELECT", "0")
        b.execute_command("EXEC")

    def on_one_connection(b: redis.Redis) -> None:
        with closing(redis.Redis(connection_pool=b.connection_pool, single_connection_client=True)) as one:
            tamper(one)

    tampering(monkeypatch, on_one_connection)
    result = run_it(tmp_path)
    assert result.verdict is not None
    (anomaly,) = result.verdict.anomalies
    assert (anomaly.kind, anomaly.db, anomaly.key, anomaly.first.found) == (Kind.PHANTOM, 7, KEY, KEY)
    assert result.exit_code == ExitCode.NOT_AS_EXPECTED


def test_several_kinds_are_told_apart(tmp_path, monkeypatch):
    def tamper(b: redis.Redis) -> None:
        b.lrem(KEY, 1, "100")
        b.linsert(KEY, "before", "500", "x")
        b.rpop(KEY, 5)

    tampering(monkeypatch, tamper)
    result = run_it(tmp_path)
    assert result.verdict is not None
    assert sorted(found(result.verdict)) == [
        ("lost", 1, 99, "100", "101"),
        ("phantom", 1, 498, "500", "x"),
        ("truncated", 5, 995, "996", None),
    ]


def test_a_link_that_stays_down_leaves_the_replica_stale(tmp_path, monkeypatch):
    monkeypatch.setattr(ProxiedLink, "restore", lambda self: None)
    result = run_it(tmp_path, "faults: [{at: 50%, until: 80%, link: a->b, toxic: cut}]", "expect: {give_up_s: 0.3}")
    assert result.verdict is not None
    (anomaly,) = result.verdict.anomalies
    held = anomaly.first.index
    assert anomaly.kind is Kind.STALE
    assert held is not None
    assert 0 <= held <= 500
    assert (anomaly.count, anomaly.first.expected, anomaly.first.found) == (1000 - held, str(held + 1), None)
    assert result.exit_code == ExitCode.NOT_AS_EXPECTED


def test_a_replica_that_was_promoted_is_stale(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.watch.RunWatch.write_stray", _promote)
    stray = "{node: b, key: k, element: x}"
    result = run_it(tmp_path, f"faults: [{{at: 50%, stray_write: {stray}}}]", "expect: {give_up_s: 0.3}")
    assert result.verdict is not None
    assert [anomaly.kind for anomaly in result.verdict.anomalies] == [Kind.STALE]


def _promote(watch, stray) -> None:
    with closing(connect(watch._deployment.control(stray.node))) as b:
        b.replicaof("NO", "ONE")


def test_a_replica_that_is_whole_and_never_caught_up_is_unknown(tmp_path, monkeypatch):
    """Nothing is missing of what was written, yet nobody can say what else would have come."""
    take_target = harness.cycle.take_target

    def and_one_write_more(root, *rest, **how):
        found = take_target(root, *rest, **how)
        return replace(found, offset=found.offset + 1000)

    monkeypatch.setattr(harness.cycle, "take_target", and_one_write_more)
    result = run_it(tmp_path, "expect: {give_up_s: 0.3}")
    assert result.verdict is not None
    assert (result.exit_code, result.verdict.anomalies) == (ExitCode.UNKNOWN, ())
    assert [doubt.partition(";")[0] for doubt in result.verdict.doubts] == [
        "b never reached its primary's offset, though no list ends early"
    ]


def test_a_list_that_shrank_and_was_filled_again_is_seen(tmp_path, monkeypatch):
    """What is read in the end is whole; only the samples show that elements were gone for a while."""
    samplers: list[LagSampler] = []
    enter = LagSampler.__enter__

    def remembering(self: LagSampler) -> LagSampler:
        samplers.append(self)
        return enter(self)

    def shrink(b: redis.Redis) -> None:
        eventually(lambda: samplers[0]._groups[0]._shrinking["b"]._most.get("workload") == 1000)
        taken = b.rpop(KEY, 30)
        eventually(lambda: samplers[0].shrinks)
        b.rpush(KEY, *reversed(taken))

    monkeypatch.setattr(LagSampler, "__enter__", remembering)
    tampering(monkeypatch, shrink)
    result = run_it(tmp_path)
    assert result.verdict is not None
    assert result.run_dir is not None
    assert found(result.verdict) == [("shrank", 30, 970, "1000", "970")]
    assert result.exit_code == ExitCode.NOT_AS_EXPECTED
    assert judge_again(result.run_dir).verdict == result.verdict


@pytest.mark.parametrize(("node", "what_a_holds"), [("a", False), ("b", True)])
def test_what_the_primary_lost_as_well_is_told_apart(tmp_path, monkeypatch, node, what_a_holds):
    def tamper(client: redis.Redis) -> None:
        client.lrem(KEY, 1, "500")
        if node == "a":
            client.wait(1, 5000)

    tampering(monkeypatch, tamper, node)
    result = run_it(tmp_path)
    assert result.verdict is not None
    assert found(result.verdict) == [("lost", 1, 499, "500", "501")]
    message = result.verdict.anomalies[0].message
    assert ("a holds" in message) is what_a_holds, message


def test_what_is_expected_to_break_must_break(tmp_path, monkeypatch):
    """A scenario that shows a broken guarantee: exactly these kinds, no others, and they must occur."""
    expect = "expect: {anomalies: [lost]}"
    untouched = run_it(tmp_path, expect)
    assert untouched.verdict is not None
    assert untouched.exit_code == ExitCode.NOT_AS_EXPECTED
    assert untouched.verdict.unmet == ("anomalies: lost was expected, and did not occur",)
    tampering(monkeypatch, removed(500))
    assert run_it(tmp_path, expect).exit_code == ExitCode.AS_EXPECTED
    monkeypatch.undo()
    tampering(monkeypatch, lambda b: (b.lrem(KEY, 1, "500"), b.rpush(KEY, "x")))
    both = run_it(tmp_path, expect)
    assert both.verdict is not None
    assert both.exit_code == ExitCode.NOT_AS_EXPECTED
    assert [str(anomaly.kind) for anomaly in both.verdict.unexpected] == ["phantom"]
