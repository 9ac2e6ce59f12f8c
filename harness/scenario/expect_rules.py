"""Expectations that no run could meet, given what is written and who replicates from whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.checker.verdict import Kind
from harness.kinds import KINDS, SHARDED
from harness.scenario.fault_rules import missing_link
from harness.scenario.messages import nearest
from harness.scenario.model import Expect, Fault, Range, Workload
from harness.scenario.resolve import Problem
from harness.scenario.scalars import Path
from harness.topology import Topology

_OF_A_KEY = frozenset(set(Kind) - {Kind.PHANTOM, Kind.MISPLACED, Kind.SHRANK})  # the others may be about other keys


def expect_problems(
    expect: Expect, topology: Topology | None, workloads: Sequence[Workload] | None
) -> Iterator[Problem]:
    """What is wrong with the expectations, as (path, sentence); None: that section is wrong itself."""
    found = [*_anomaly_problems(expect, topology), *_waiting_problems(expect)]
    if topology is not None:
        if expect.lost is not None and not topology.is_cluster:
            found.append((("lost",), "a budget for lost writes is for failovers of a cluster"))
        found += [*_node_problems(expect, topology), *_link_problems(expect, topology)]
    if workloads is not None:
        found += [*_amount_problems(expect, workloads), *_type_problems(expect, workloads)]
    if topology is not None and workloads is not None and topology.is_cluster:
        found += _shard_problems(expect, topology, workloads)
    for path, message in found:
        yield ("expect", *path), message


def budget_problems(expect: Expect, faults: Sequence[Fault]) -> Iterator[Problem]:
    """A budget without a fault that could take anything from it."""
    if expect.lost is not None and not any(fault.loses for fault in faults):
        costly = "failover with how: force, takeover or kill, or isolate"
        yield ("expect", "lost"), f"no fault here can cost acknowledged writes ({costly}): drop lost"


def _anomaly_problems(expect: Expect, topology: Topology | None) -> Iterator[Problem]:
    kinds = expect.anomalies or ()
    for index, kind in enumerate(kinds):
        if kind in kinds[:index]:
            yield ("anomalies", index), f"{kind} is already there"
        elif kind is Kind.MISPLACED and topology is not None and not topology.is_cluster:
            yield ("anomalies", index), "misplaced occurs in a cluster only"
        elif kind in _OF_A_KEY and "exact" in (expect.list, expect.sorted_set):
            key = "list" if expect.list else "sorted_set"
            sentence = f"where {kind} must occur, the {key.replace('_', ' ')} can't be exact: drop {key} or this kind"
            yield ("anomalies", index), sentence


def _waiting_problems(expect: Expect) -> Iterator[Problem]:
    within, give_up = expect.converges_within_s, expect.give_up_s
    if within is not None and give_up is not None and give_up < within:
        yield ("give_up_s",), f"waiting ends after {give_up:g} s, before converges_within_s, {within:g}, is over"


# -- nodes and links


def _node_problems(expect: Expect, topology: Topology) -> Iterator[Problem]:
    judged = expect.nodes or ()
    for index, name in enumerate(judged):
        if name in judged[:index]:
            yield ("nodes", index), f"{name} is already there"
        elif message := _not_a_replica(name, topology):
            yield ("nodes", index), message
    if isinstance(expect.max_lag_ms, dict):
        for name in expect.max_lag_ms:
            if message := _not_a_replica(name, topology):
                yield ("max_lag_ms", name), message


def _shard_problems(expect: Expect, topology: Topology, workloads: Sequence[Workload]) -> Iterator[Problem]:
    judged = [name for name in expect.nodes or () if name in topology.nodes]
    seen = {topology.root_of(name).name for name in judged}
    unseen = [node.name for node in topology.primaries if node.name not in seen]
    if judged and unseen and any(load.kind in SHARDED for load in workloads):
        yield ("nodes",), f"no node of {', '.join(unseen)} is named, so that nobody would judge the keys there"


def _not_a_replica(name: str, topology: Topology) -> str | None:
    replicas = [node.name for node in topology.replicas]
    there = f"the replicas are {', '.join(replicas)}"
    if name in replicas:
        return None
    if name in topology.nodes:
        return f"{name} is the primary that is written to, and replicas are judged; {there}"
    near = nearest(name, replicas)
    return f"there is no node {name!r}; {there}{f'; did you mean {near!r}?' if near else ''}"


def _link_problems(expect: Expect, topology: Topology) -> Iterator[Problem]:
    known = [str(link) for link in topology.replication_links]
    for key in ("full_syncs", "partial_syncs"):
        counts = getattr(expect, key)
        for written in counts if isinstance(counts, dict) else ():
            if written not in known:
                yield (key, written), missing_link(written, topology.replication_links)


# -- types


def _type_problems(expect: Expect, workloads: Sequence[Workload]) -> Iterator[Problem]:
    written = {KINDS[load.kind].title for load in workloads}
    for key, title in (("list", "list"), ("sorted_set", "sorted set")):
        if getattr(expect, key) is not None and title not in written:
            yield (key,), f"no {title} is written, but a {', a '.join(sorted(written))}: drop {key}"


# -- amounts


def _amount_problems(expect: Expect, workloads: Sequence[Workload]) -> Iterator[Problem]:
    fewest, most = min(load.values for load in workloads), max(load.values for load in workloads)
    written = f"{most} values are written"
    unknown = expect.unknown.min if isinstance(expect.unknown, Range) else expect.unknown or 0
    total = sum(load.values for load in workloads)
    if unknown > total:
        yield ("unknown",), f"expected {unknown} without an answer, but only {total} values are written"
    if expect.anomalies is None and expect.length is not None and expect.length > fewest:
        yield ("length",), f"expected {expect.length} elements, but only {fewest} values are written"
    if isinstance(expect.newest_first, int) and expect.newest_first > most:
        asked = expect.newest_first
        yield ("newest_first",), f"expected the newest {asked}, but only {written} (expect.newest_first={most} fits)"
    if isinstance(expect.newest_first, tuple) and expect.anomalies is None:
        yield from _newest_problems(expect.newest_first, fewest)


def _newest_problems(newest: tuple[int | str, ...], values: int) -> Iterator[Problem]:
    """A literal list of the newest elements, where nothing but the numbers 1..values can be, each at most once."""
    if len(newest) > values:
        yield ("newest_first",), f"{len(newest)} elements are listed, but only {values} values are written"
        return
    seen: set[str] = set()
    for index, element in enumerate(newest):
        path: Path = ("newest_first", index)
        text = str(element)
        if not _is_written(text, values):
            yield path, f"{text[:60]!r} is not written: the values are the numbers 1 to {values}"
        elif text in seen:
            yield path, f"{text} is already there, and each value is written once"
        seen.add(text)


def _is_written(text: str, values: int) -> bool:
    canonical = text.isascii() and text.isdigit() and not text.startswith("0") and len(text) <= 10
    return canonical and int(text) <= values
