"""Compares what was measured with what the scenario expects, beyond the anomalies."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.checker.evidence import Convergence, Evidence, KeyState
from harness.checker.newest import merged_newest, newest_first, whole
from harness.checker.show import shown
from harness.checker.verdict import Anomaly
from harness.kinds import SHARDED
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
    comparison = _Comparison(evidence, nodes, docket)
    comparison.lists(expect)
    if expect.converges_within_s is not None:
        comparison.convergence(expect.converges_within_s)
    if expect.full_syncs is not None:
        counted = {link: counts.full_finished for link, counts in (evidence.syncs or {}).items()}
        comparison.syncs("full_syncs", expect.full_syncs, counted)
    if expect.partial_syncs is not None:
        counted = {link: counts.partial for link, counts in (evidence.syncs or {}).items()}
        comparison.syncs("partial_syncs", expect.partial_syncs, counted)
    if expect.initial_sync is not None:
        comparison.initial_sync(expect.initial_sync)
    if expect.max_lag_ms is not None:
        comparison.lag(expect.max_lag_ms)


def fits(expected: Count, measured: int) -> bool:
    if isinstance(expected, Range):
        return measured >= expected.min and (expected.max is None or measured <= expected.max)
    return measured == expected


def in_words(expected: Count) -> str:
    if not isinstance(expected, Range):
        return str(expected)
    return f"at least {expected.min}" if expected.max is None else f"{expected.min} to {expected.max}"


@dataclass(frozen=True)
class _Comparison:
    evidence: Evidence
    nodes: Sequence[str]
    docket: Docket

    def lists(self, expect: Expect) -> None:
        """Expectations of a list speak of the workloads: preloads are judged, but not meant."""
        written = [each for each in self.evidence.streams if not each.name.startswith("preload")]
        keys = {each.reading: each.key for each in written if each.kind not in SHARDED}
        for name in dict.fromkeys(each.workload for each in written if each.kind in SHARDED):
            self._sharded(name, expect)
        for reading in self.evidence.readings:
            if reading.node not in self.nodes or reading.stream not in keys:
                continue
            if reading.state not in (KeyState.LIST, KeyState.ABSENT):
                continue  # an anomaly or a doubt already
            name = f"{keys[reading.stream]} on {reading.node}"
            if expect.length is not None and reading.length != expect.length:
                self.docket.unmet.append(f"length: {name} has {reading.length} elements, not {expect.length}")
            if isinstance(expect.newest_first, tuple):
                found = newest_first(reading, len(expect.newest_first)) if reading.state is KeyState.LIST else ()
                self.docket.unmet += _newest_unmet(name, expect.newest_first, found)

    def _sharded(self, workload: str, expect: Expect) -> None:
        """A workload of several keys is expected as a whole."""
        for nodes, readings in whole(self.evidence, workload):
            if not all(each.state in (KeyState.LIST, KeyState.ABSENT) for each in readings):
                continue
            length = sum(each.length for each in readings)
            if expect.length is not None and length != expect.length:
                self.docket.unmet.append(f"length: {workload} on {nodes} has {length} elements, not {expect.length}")
            if isinstance(expect.newest_first, tuple):
                found = merged_newest(readings, len(expect.newest_first))
                self.docket.unmet += _newest_unmet(f"{workload} on {nodes}", expect.newest_first, found)

    def convergence(self, limit_s: float) -> None:
        by_node = {convergence.node: convergence for convergence in self.evidence.convergences}
        for node in self.nodes:
            convergence = by_node.get(node)
            if convergence is not None and (late := _late(convergence, limit_s)):
                self.docket.unmet.append(f"converges_within_s: {late}")

    # what a runtime may not be able to measure

    def syncs(self, name: str, expected: Count | dict[str, Count], counted: Mapping[str, int]) -> None:
        if self.evidence.syncs is None:
            self._not_checked(name, "sync", "this runtime can't count them")
            return
        by_link = expected if isinstance(expected, dict) else dict.fromkeys(counted, expected)
        if not isinstance(expected, dict):
            self._doubt_unknown(name, counted, "the resyncs of its link were not counted")
        for link, count in by_link.items():
            if link not in counted:
                self.docket.doubts.append(f"{name}: the resyncs of {link} were not counted")
            elif not fits(count, counted[link]):
                self.docket.unmet.append(f"{name}: {link} made {counted[link]}, not {in_words(count)}")

    def initial_sync(self, expected: str) -> None:
        found = self.evidence.initial_syncs
        if self.evidence.syncs is None and not found:
            self._not_checked("initial_sync", "sync", "this runtime can't tell it")
            return
        self._doubt_unknown("initial_sync", found, "how it first synchronised is not known")
        for link, how in found.items():
            if how != expected:
                self.docket.unmet.append(f"initial_sync: {link} began with a {how} sync, not a {expected} one")

    def lag(self, expected: float | dict[str, float]) -> None:
        measured = self.evidence.max_lag_ms
        if measured is None:
            self._not_checked("max_lag_ms", "lag", "this runtime can't measure it")
            return
        limits = expected if isinstance(expected, dict) else dict.fromkeys([*self._replicas(), *measured], expected)
        for node, limit in limits.items():
            if node not in measured:
                self.docket.doubts.append(f"max_lag_ms: the lag of {node} was not measured")
            elif measured[node] > limit:
                self.docket.unmet.append(f"max_lag_ms: {node} lagged by {measured[node]:.1f} ms, more than {limit:g}")

    def _replicas(self) -> list[str]:
        return [node for node in self.nodes if node not in self.evidence.targets]

    def _doubt_unknown(self, name: str, by_link: Collection[str], why: str) -> None:
        """Every judged replica must be the end of a link that was looked at."""
        ends = {link.rpartition("->")[2] for link in by_link}
        self.docket.doubts += [f"{name}: {node}: {why}" for node in self._replicas() if node not in ends]

    def _not_checked(self, name: str, word: str, why: str) -> None:
        """Say it unless the runtime already has, in its own words."""
        if not any(word in line for line in self.evidence.not_checked):
            self.docket.not_checked.append(f"{name}: {why}")


def _newest_unmet(name: str, expected: tuple[int | str, ...], found: tuple[bytes, ...]) -> Iterator[str]:
    if [str(element).encode() for element in expected] != list(found):
        there = " ".join(shown(value) for value in found) or "nothing"
        yield f"newest_first: the newest of {name} are {there}, not {' '.join(map(str, expected))}"


def _late(convergence: Convergence, limit_s: float) -> str | None:
    if not convergence.reached or convergence.seconds is None:
        return f"{convergence.node} had not caught up within {limit_s:g} s; last seen: {convergence.last_seen}"
    if convergence.seconds > limit_s:
        return f"{convergence.node} caught up after {convergence.seconds:.2f} s, not within {limit_s:g} s"
    return None
