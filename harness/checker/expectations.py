"""Compares what was measured with what the scenario expects, beyond the anomalies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.checker.evidence import Convergence, Evidence, KeyState, Reading, Stream
from harness.checker.newest import newest_first
from harness.checker.show import shown
from harness.checker.verdict import Anomaly
from harness.scenario.model import Count, Expect, Range


@dataclass
class Docket:
    """What a judgement gathers on its way to a verdict."""

    anomalies: list[Anomaly] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_expectations(evidence: Evidence, expect: Expect, nodes: Sequence[str], docket: Docket) -> None:
    """nodes: those that are judged."""
    _check_lists(evidence, expect, nodes, docket)
    _check_convergence(evidence, expect, nodes, docket)
    if expect.full_syncs is not None:
        measured = {link: counts.full_finished for link, counts in (evidence.syncs or {}).items()}
        _check_syncs("full_syncs", expect.full_syncs, measured, evidence, docket)
    if expect.partial_syncs is not None:
        measured = {link: counts.partial for link, counts in (evidence.syncs or {}).items()}
        _check_syncs("partial_syncs", expect.partial_syncs, measured, evidence, docket)
    if expect.initial_sync is not None:
        _check_initial_sync(expect.initial_sync, evidence, nodes, docket)
    if expect.max_lag_ms is not None:
        _check_lag(expect.max_lag_ms, evidence, nodes, docket)


def fits(expected: Count, measured: int) -> bool:
    if isinstance(expected, Range):
        return measured >= expected.min and (expected.max is None or measured <= expected.max)
    return measured == expected


def in_words(expected: Count) -> str:
    if not isinstance(expected, Range):
        return str(expected)
    return f"at least {expected.min}" if expected.max is None else f"{expected.min} to {expected.max}"


# -- lists


def workload_streams(streams: Sequence[Stream]) -> list[Stream]:
    """The streams that expectations of a list speak of: preloads are judged, but not meant."""
    return [stream for stream in streams if not stream.name.startswith("preload")]


def _check_lists(evidence: Evidence, expect: Expect, nodes: Sequence[str], docket: Docket) -> None:
    meant = {stream.name: stream for stream in workload_streams(evidence.streams)}
    for reading in evidence.readings:
        if reading.node not in nodes or reading.stream not in meant:
            continue
        if reading.state not in (KeyState.LIST, KeyState.ABSENT):
            continue  # an anomaly or a doubt already
        name = f"{meant[reading.stream].key} on {reading.node}"
        if expect.length is not None and reading.length != expect.length:
            docket.unmet.append(f"length: {name} has {reading.length} elements, not {expect.length}")
        if isinstance(expect.newest_first, tuple):
            docket.unmet += _newest_unmet(name, expect.newest_first, reading)


def _newest_unmet(name: str, expected: tuple[int | str, ...], reading: Reading) -> Iterator[str]:
    found = newest_first(reading, len(expected)) if reading.state is KeyState.LIST else ()
    if [str(element).encode() for element in expected] != list(found):
        there = " ".join(shown(value) for value in found) or "nothing"
        yield f"newest_first: the newest of {name} are {there}, not {' '.join(map(str, expected))}"


# -- convergence


def _check_convergence(evidence: Evidence, expect: Expect, nodes: Sequence[str], docket: Docket) -> None:
    limit = expect.converges_within_s
    if limit is None:
        return
    by_node = {convergence.node: convergence for convergence in evidence.convergences}
    for node in nodes:
        convergence = by_node.get(node)
        if convergence is not None and (late := _late(convergence, limit)):
            docket.unmet.append(f"converges_within_s: {late}")


def _late(convergence: Convergence, limit: float) -> str | None:
    if not convergence.reached or convergence.seconds is None:
        return f"{convergence.node} had not caught up within {limit:g} s; last seen: {convergence.last_seen}"
    if convergence.seconds > limit:
        return f"{convergence.node} caught up after {convergence.seconds:.2f} s, not within {limit:g} s"
    return None


# -- what a runtime may not be able to measure


def _check_syncs(
    name: str, expected: Count | dict[str, Count], measured: Mapping[str, int], evidence: Evidence, docket: Docket
) -> None:
    if evidence.syncs is None:
        _not_checked(name, "sync", "this runtime can't count them", evidence, docket)
        return
    by_link = expected if isinstance(expected, dict) else dict.fromkeys(measured, expected)
    if not by_link:
        docket.doubts.append(f"{name}: no link's resyncs were counted")
    for link, count in by_link.items():
        if link not in measured:
            docket.doubts.append(f"{name}: the resyncs of {link} were not counted")
        elif not fits(count, measured[link]):
            docket.unmet.append(f"{name}: {link} made {measured[link]}, not {in_words(count)}")


def _check_initial_sync(expected: str, evidence: Evidence, nodes: Sequence[str], docket: Docket) -> None:
    if evidence.syncs is None and not evidence.initial_syncs:
        _not_checked("initial_sync", "sync", "this runtime can't tell it", evidence, docket)
        return
    known = {link.rpartition("->")[2] for link in evidence.initial_syncs}
    for node in nodes:
        if node not in known and node not in evidence.targets:
            docket.doubts.append(f"initial_sync: how {node} first synchronised is not known")
    for link, found in evidence.initial_syncs.items():
        if found != expected:
            docket.unmet.append(f"initial_sync: {link} began with a {found} sync, not a {expected} one")


def _check_lag(expected: float | dict[str, float], evidence: Evidence, nodes: Sequence[str], docket: Docket) -> None:
    measured = evidence.max_lag_ms
    if measured is None:
        _not_checked("max_lag_ms", "lag", "this runtime can't measure it", evidence, docket)
        return
    replicas = [node for node in nodes if node not in evidence.targets]
    limits = expected if isinstance(expected, dict) else dict.fromkeys([*replicas, *measured], expected)
    for node, limit in limits.items():
        if node not in measured:
            docket.doubts.append(f"max_lag_ms: the lag of {node} was not measured")
        elif measured[node] > limit:
            docket.unmet.append(f"max_lag_ms: {node} lagged by {measured[node]:.1f} ms, more than {limit:g}")


def _not_checked(name: str, word: str, why: str, evidence: Evidence, docket: Docket) -> None:
    """Say it unless the runtime already has, in its own words."""
    if not any(word in line for line in evidence.not_checked):
        docket.not_checked.append(f"{name}: {why}")
