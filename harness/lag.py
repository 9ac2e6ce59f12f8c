"""Samples replication lag while a run lasts: a thread that looks at every replica, then at its primary, every 10 ms.

The curve is kept on disk; in memory are only its maxima. A sampler that dies makes the verdict unknown, never better.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from harness.checker.evidence import Shrink
from harness.checker.lag import LagCurve, ShrinkWatch
from harness.endpoint.address import Endpoint
from harness.endpoint.view import NodeView, NotServingError, Sample
from harness.kinds import KeyRef
from harness.resp.connection import Interrupted
from harness.resp.replication_info import parse_replication

INTERVAL_S = 0.01
RELAXED_S = 0.1  # once all have converged and are read: what could still be seen is that a list shrinks
REST = 10  # times as long as a look has kept a processor busy nobody is asked: with many nodes, the interval is longer
Record = Callable[[float, str, float, int], None]  # seconds since start, node, lag in ms, processed offset


@dataclass(frozen=True)
class Followed:
    """A primary and the replicas that are compared with it, by their control endpoints. streams: the keys whose lengths
    must never shrink on these replicas; apart: they may be in several slots of a cluster.
    """

    primary: Endpoint
    replicas: Mapping[str, Endpoint]
    streams: Mapping[str, KeyRef] = field(default_factory=dict)
    apart: bool = False


class LagSampler:
    """Looks at all of them in turn."""

    def __init__(self, followed: Sequence[Followed], record: Record) -> None:
        self._ended = threading.Event()
        self._interval_s = INTERVAL_S
        ended = self._ended.is_set
        self._groups = [_Group(each, record, time.monotonic(), ended) for each in followed]
        self._thread = threading.Thread(target=self._sample_until_ended, name="lag sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Take no more samples, and end the one under way."""
        self._ended.set()
        self._thread.join()

    def relax(self) -> None:
        """Sample less often from now on: nothing is written any more."""
        self._interval_s = RELAXED_S

    @property
    def max_lag_ms(self) -> Mapping[str, float]:
        """The largest lag seen, by node, in milliseconds."""
        return {node: lag for group in self._groups for node, lag in group.max_ms.items()}

    @property
    def shrinks(self) -> tuple[Shrink, ...]:
        return tuple(shrink for group in self._groups for shrink in group.shrinks)

    @property
    def failures(self) -> tuple[str, ...]:
        """Why a primary and its replicas are not sampled any more, where something went wrong."""
        return tuple(group.failure for group in self._groups if group.failure)

    def _sample_until_ended(self) -> None:
        try:
            while not self._ended.is_set():
                busy = time.thread_time()
                self._sample()
                self._ended.wait(max(self._interval_s, REST * (time.thread_time() - busy)))
        except Interrupted:
            return  # by `stop`, while a node kept it waiting
        finally:
            for group in self._groups:
                group.close()

    def _sample(self) -> None:
        """Every node is asked before the first answer is awaited, the primaries when all replicas have answered."""
        for step in (_Group.ask_replicas, _Group.take_replicas, _Group.ask_primary, _Group.take_primary):
            for group in self._groups:
                if not group.failure:
                    group.guarded(step)


class _Group:
    """One primary with its replicas, and what was seen of them. failure: why it is not sampled any more."""

    def __init__(
        self,
        followed: Followed,
        record: Record,
        started: float,
        interrupted: Callable[[], bool],
    ) -> None:
        self._keys, self._record, self._started = tuple(followed.streams.values()), record, started
        self._apart = followed.apart
        self._curve = LagCurve()
        self._shrinking = {node: ShrinkWatch(node, tuple(followed.streams)) for node in followed.replicas}
        self._primary = NodeView(followed.primary, interrupted=interrupted)
        self._replicas = {
            node: NodeView(endpoint, interrupted=interrupted) for node, endpoint in followed.replicas.items()
        }
        self._seen: list[tuple[str, Sample, float]] = []
        self.max_ms = dict.fromkeys(followed.replicas, 0.0)
        self.failure = ""

    @property
    def shrinks(self) -> tuple[Shrink, ...]:
        return tuple(shrink for watch in self._shrinking.values() for shrink in watch.shrinks)

    def close(self) -> None:
        for view in (self._primary, *self._replicas.values()):
            view.close()

    def guarded(self, step: Callable[[_Group], None]) -> None:
        """One step of a look, after which there are no more where it fails."""
        try:
            step(self)
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - whatever kills the sampler is told as a doubt, and decides
            self.failure = f"the lag sampler died: {type(error).__name__}: {error}"
            self.close()

    def ask_replicas(self) -> None:
        for view in self._replicas.values():
            if not self._keys:
                view.ask_info("replication")
            elif self._apart:  # else it takes a transaction
                view.ask_lengths(self._keys)

    def take_replicas(self) -> None:
        self._seen = [(node, self._look(view), time.monotonic()) for node, view in self._replicas.items()]

    def ask_primary(self) -> None:
        self._primary.ask_info("replication")

    def take_primary(self) -> None:
        offset = parse_replication(self._primary.answered_info()).offset
        now = time.monotonic()
        self._curve.primary(now, offset)
        for node, sample, at in self._seen:
            processed = sample.replication.processed_offset or 0
            lag_ms = self._curve.lag_ms(now, processed)
            self.max_ms[node] = max(self.max_ms[node], lag_ms)
            self._shrinking[node].sample(at - self._started, sample.replication.replication_id, sample.lengths)
            self._record(at - self._started, node, lag_ms, processed)
        self._curve.forget_below(min(sample.replication.processed_offset or 0 for _, sample, _ in self._seen))

    def _look(self, view: NodeView) -> Sample:
        """What the replica shows; no lengths while it loads a full sync."""
        if not self._keys:
            return Sample(parse_replication(view.answered_info()), (), 0)
        if self._apart:
            return view.answered_lengths(self._keys)
        try:
            return view.sample(self._keys)
        except NotServingError:
            return Sample(view.replication(), (None,) * len(self._keys), 0)
