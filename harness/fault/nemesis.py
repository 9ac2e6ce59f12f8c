"""Applies a scenario's faults when their moment comes, and always heals them.

A share of the values is a *mark*: every writer stops there, and the last one to arrive makes the change and lets
all go on. Seconds and events are watched by a thread. A fault without `until` ends when all values are written, on
a replica's client link (where only the final read travels) when that read is over.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from harness.checker.evidence import FaultRecord
from harness.fault.active import ActiveFault, Watch
from harness.fault.link import FaultLink
from harness.fault.schedule import Disturbance
from harness.scenario.moment import Moment
from harness.topology import Link

WITHOUT_LIMIT = 1 << 62
POLL_S = 0.002
EVENT_WITHIN_S = 20.0  # how long an event that is still to come is waited for after the last value


class Nemesis:
    """totals: elements that each writer will send; replicas: nodes whose client link only the final read uses.

    Writers call `wait_at` (workload.base.Marks) and `finished`; the runner calls `written`, then `close`.
    """

    def __init__(
        self,
        todo: Sequence[Disturbance],
        links: Mapping[Link, FaultLink],
        totals: Sequence[int],
        watch: Watch,
        replicas: Sequence[str] = (),
    ) -> None:
        self._totals, self._watch, self._replicas = totals, watch, frozenset(replicas)
        self._faults = [
            ActiveFault(what, links.get(what.link) if what.link else None, watch, self.clock, self._unsent)
            for what in todo
        ]
        self._changed = threading.Condition(threading.RLock())
        self._marks = sorted({share for what in todo for share in _shares(what)})
        self._crossed = 0  # how many of the marks are behind all writers
        self._arrived: dict[int, int] = {}  # writer -> how many marks it stands at or has passed
        self._started: float | None = None
        self._syncs_before = {fault: self._finished_syncs(fault) for fault in self._faults}
        self._link_was_down: set[ActiveFault] = set()
        self._all_written = self._over = False  # over: nothing is applied any more, and no writer is held
        self._thread: threading.Thread | None = None
        self.last_heal: float | None = None  # time.monotonic() of the last one, for convergence

    def __enter__(self) -> Self:
        if any(not _only_marks(fault.what) for fault in self._faults):
            self._thread = threading.Thread(target=self._watch_clock, name="nemesis", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(patient=kind is None)

    def clock(self) -> float:
        """Seconds since the first write, 0 before it."""
        return 0.0 if self._started is None else time.monotonic() - self._started

    def _unsent(self) -> int:
        return sum(self._totals) - self._watch.sent()

    # -- marks: what the writers see

    def wait_at(self, writer: int, sent: int) -> int:
        """See workload.base.Marks; the clock starts with the first call."""
        with self._changed:
            self._start_clock()
            while (mark := self._next_mark(writer)) is not None and self._count(mark, writer) <= sent:
                self._arrive(writer, self._arrived.get(writer, 0) + 1)
                self._changed.wait_for(lambda: self._crossed >= self._arrived[writer] or self._over)
            return WITHOUT_LIMIT if mark is None else self._count(mark, writer) - sent

    def finished(self, writer: int) -> None:
        """This writer sends nothing more, for whatever reason: no mark waits for it."""
        with self._changed:
            self._start_clock()
            self._arrive(writer, len(self._marks))

    def _start_clock(self) -> None:
        if self._started is None:
            self._started = time.monotonic()

    def _arrive(self, writer: int, marks: int) -> None:
        self._arrived[writer] = marks
        behind_all = min(self._arrived.get(index, 0) for index in range(len(self._totals)))
        while self._crossed < behind_all and not self._over:
            self._cross(self._marks[self._crossed])
            self._crossed += 1
        self._changed.notify_all()

    def _next_mark(self, writer: int) -> float | None:
        index = self._arrived.get(writer, 0)
        return self._marks[index] if index < len(self._marks) and not self._over else None

    def _count(self, share: float, writer: int) -> int:
        return math.ceil(self._totals[writer] * share / 100)

    def _cross(self, share: float) -> None:
        """Nothing here raises (`ActiveFault`): the other writers wait for its end."""
        for fault in self._faults:
            fault.look()
        for fault in self._faults:
            if fault.active and fault.what.until == Moment(percent=share):
                self._heal(fault)
        for fault in self._faults:
            if fault.to_come and fault.what.at == Moment(percent=share):
                fault.apply()

    # -- seconds and events: what the thread sees

    def _watch_clock(self) -> None:
        with self._changed:
            while not self._over:
                if self._started is not None:
                    self._step()
                self._changed.wait(POLL_S)

    def _step(self) -> None:
        """Apply and heal whatever is due by seconds or by an event that can be seen."""
        for fault in self._faults:
            try:
                self._move(fault)
            except Exception as error:  # noqa: BLE001 - what can't be watched is told by the fault, and does not stop the others
                fault.fail(f"its moment could not be watched for: {error}")
                self._heal(fault)

    def _move(self, fault: ActiveFault) -> None:
        if fault.active:
            fault.look()
            if fault.what.until is not None and self._due(fault, fault.what.until):
                self._heal(fault)
        elif fault.to_come and self._due(fault, fault.what.at):
            fault.apply()

    def _due(self, fault: ActiveFault, moment: Moment) -> bool:
        if moment.percent is not None:  # of what began after that mark: else the mark itself makes the change
            return fault.active and self._marks.index(moment.percent) < self._crossed
        if moment.seconds is not None:
            absolute = fault.applied_s is None or fault.what.at.seconds is not None
            return self.clock() >= moment.seconds + (0.0 if absolute else fault.applied_s or 0.0)
        if moment.event == "written":
            return self._all_written
        link = fault.what.link
        if link is None:
            return False
        if moment.event == "full_sync":
            return self._watch.sync_bytes(link) > 0 or self._finished_syncs(fault) > self._syncs_before[fault]
        return self._came_up(fault, link)

    def _came_up(self, fault: ActiveFault, link: Link) -> bool:
        if not self._watch.link_up(link):
            self._link_was_down.add(fault)
            return False
        return fault in self._link_was_down

    def _finished_syncs(self, fault: ActiveFault) -> int:
        moments = (fault.what.at, fault.what.until)
        wanted = any(moment and moment.event == "full_sync" for moment in moments)
        return self._watch.full_syncs(fault.what.link)[1] if wanted and fault.what.link else 0

    # -- the end

    def written(self) -> None:
        """All writers have ended: heal what lasts no longer, and wait (bounded) for what is still to come.

        Afterwards only what lasts for the reading is active, and nothing new is applied.
        """
        deadline = time.monotonic() + EVENT_WITHIN_S
        with self._changed:
            self._start_clock()
            self._all_written = True
            self._step()
            self._heal_unbounded()
            while self._pending() and (time.monotonic() < deadline or self._healing_by_clock()):
                self._changed.wait(POLL_S)
                self._step()
                self._heal_unbounded()
            self._give_up_waiting()
            for fault in self._faults:
                if fault.what.at.event is not None:
                    fault.await_reconnect()

    def _heal_unbounded(self) -> None:
        for fault in self._faults:
            if fault.active and fault.what.until is None and not self._lasts_for_reading(fault):
                self._heal(fault)

    def _give_up_waiting(self) -> None:
        for fault in self._faults:
            if fault.active and not self._lasts_for_reading(fault):
                fault.fail(f"its end, {fault.what.until}, never came")
                self._heal(fault)
        self._over = True
        self._changed.notify_all()

    def _lasts_for_reading(self, fault: ActiveFault) -> bool:
        link = fault.what.link
        return fault.what.until is None and link is not None and link.is_client and link.target in self._replicas

    def _pending(self) -> bool:
        waiting = any(fault.to_come and fault.what.at.event for fault in self._faults)
        return waiting or any(fault.active and not self._lasts_for_reading(fault) for fault in self._faults)

    def _healing_by_clock(self) -> bool:
        return any(fault.active and fault.what.until and fault.what.until.seconds for fault in self._faults)

    def _heal(self, fault: ActiveFault, *, patient: bool = True) -> None:
        if not fault.active:
            return
        others = (other for other in self._faults if other is not fault and other.what.link == fault.what.link)
        fault.heal(still_cut=any(other.active and other.what.toxic is None for other in others), patient=patient)
        if not self._lasts_for_reading(fault):
            self.last_heal = time.monotonic()

    def close(self, *, patient: bool = True) -> None:
        """Heal everything that is still active, and stop; may be called twice. patient: see `ActiveFault.heal`."""
        with self._changed:
            for fault in self._faults:
                self._heal(fault, patient=patient)
            self._over = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def records(self) -> tuple[FaultRecord, ...]:
        """What became of each fault, in the scenario's order."""
        return tuple(fault.record() for fault in self._faults)


def _shares(what: Disturbance) -> list[float]:
    moments = (what.at, what.until)
    return [moment.percent for moment in moments if moment is not None and moment.percent is not None]


def _only_marks(what: Disturbance) -> bool:
    """Whether nothing of it depends on the clock, on an event, or on a state that only shows for a while."""
    moments_are_marks = what.at.percent is not None and (what.until is None or what.until.percent is not None)
    return moments_are_marks and not (what.severs and what.toxic is not None)
