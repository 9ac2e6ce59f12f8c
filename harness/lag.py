"""Samples replication lag while a run lasts: a thread that looks at every replica, then at its primary, every 10 ms.

The curve is kept on disk; in memory are only its maxima. A sampler that dies makes the verdict unknown, never better.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from harness.checker.evidence import Shrink
from harness.checker.lag import LagCurve, ShrinkWatch
from harness.endpoint.address import Endpoint
from harness.endpoint.view import NodeView, NotServingError, Sample
from harness.kinds import KeyRef
from harness.resp.connection import Interrupted

INTERVAL_S = 0.01
RELAXED_S = 0.1  # once all have converged and are read: what could still be seen is that a list shrinks
Record = Callable[[float, str, float, int], None]  # seconds since start, node, lag in ms, processed offset


class LagSampler:
    """endpoints: the replicas' control endpoints by node; streams: the lists whose lengths must never shrink."""

    def __init__(
        self,
        primary: Endpoint,
        replicas: Mapping[str, Endpoint],
        streams: Mapping[str, KeyRef],
        record: Record,
    ) -> None:
        self._streams, self._record = streams, record
        self._curve = LagCurve()
        self._shrinking = {node: ShrinkWatch(node, tuple(streams)) for node in replicas}
        self._max_ms = dict.fromkeys(replicas, 0.0)
        self._ended = threading.Event()
        self._interval_s = INTERVAL_S
        self._primary = NodeView(primary, interrupted=self._ended.is_set)
        self._replicas = {
            node: NodeView(endpoint, interrupted=self._ended.is_set) for node, endpoint in replicas.items()
        }
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._sample_until_ended, name="lag sampler", daemon=True)
        self.failure: str | None = None

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
        return dict(self._max_ms)

    @property
    def shrinks(self) -> tuple[Shrink, ...]:
        return tuple(shrink for watch in self._shrinking.values() for shrink in watch.shrinks)

    def _sample_until_ended(self) -> None:
        try:
            while not self._ended.is_set():
                self._sample()
                self._ended.wait(self._interval_s)
        except Interrupted:
            return  # by `stop`, while a node kept it waiting
        except Exception as error:  # noqa: BLE001 - whatever kills the sampler is told as a doubt, and decides
            self.failure = f"the lag sampler died: {type(error).__name__}: {error}"
        finally:
            for view in (self._primary, *self._replicas.values()):
                view.close()

    def _sample(self) -> None:
        seen = {node: (self._look(view), time.monotonic()) for node, view in self._replicas.items()}
        offset = self._primary.replication().offset
        now = time.monotonic()
        self._curve.primary(now, offset)
        for node, (sample, at) in seen.items():
            processed = sample.replication.processed_offset or 0
            lag_ms = self._curve.lag_ms(now, processed)
            self._max_ms[node] = max(self._max_ms[node], lag_ms)
            self._shrinking[node].sample(at - self._started, sample.replication.replication_id, sample.lengths)
            self._record(at - self._started, node, lag_ms, processed)
        self._curve.forget_below(min(sample.replication.processed_offset or 0 for sample, _ in seen.values()))

    def _look(self, view: NodeView) -> Sample:
        """What the replica shows; no lengths while it loads a full sync."""
        keys = tuple(self._streams.values())
        try:
            return view.sample(keys)
        except NotServingError:
            return Sample(view.replication(), (None,) * len(keys), 0)
