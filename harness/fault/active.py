"""One fault's life: applied, met by traffic or not, healed. What it met is measured here; when it happens is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from harness.checker.evidence import FaultRecord
from harness.errors import Failure
from harness.fault.link import FaultLink
from harness.fault.schedule import Disturbance
from harness.scenario.model import StrayWrite
from harness.topology import Link

SEEN_WITHIN_S = 2.0  # how long a change is waited for before its fault counts as having met nothing
RECONNECT_WITHIN_S = 15.0
POLL_S = 0.002


class Watch(Protocol):
    """What must be seen to tell whether a fault met anything; the runner looks."""

    def sent(self) -> int:
        """Elements sent by all writers so far."""

    def traffic(self, link: Link) -> int:
        """A replication link: its primary's offset. A client link: bytes of our own clients over it."""

    def link_up(self, link: Link) -> bool:
        """A replication link: what the replica says. A client link: whether a new connection gets through."""

    def breaks(self, link: Link) -> int:
        """How often a connection of our own clients over this link has broken so far; 0 for replication links."""

    def sync_bytes(self, link: Link) -> int:
        """RDB bytes that the replica has received of a full sync under way; 0 where none is."""

    def full_syncs_finished(self, link: Link) -> int:
        """Full syncs of this link that its replica has finished so far."""

    def write_stray(self, stray: StrayWrite) -> None:
        """Append the stray element; raises Failure where the node refuses it."""


class ActiveFault:
    """A disturbance from the moment it is applied. `clock` gives seconds since the first write."""

    def __init__(self, what: Disturbance, target: FaultLink | None, watch: Watch, clock: Callable[[], float]) -> None:
        self.what, self._target, self._watch, self._clock = what, target, watch, clock
        self.applied_s: float | None = None
        self.healed_s: float | None = None
        self.seen_down = False
        self.seen_up_again = False
        self._toxic_name: str | None = None
        self._before = self._after = (0, 0)
        self._rdb_bytes = 0
        self._breaks_before = 0
        self._broke = False
        self._finished_syncs = 0
        self._cut_inside = False
        self._error = ""

    @property
    def active(self) -> bool:
        return self.applied_s is not None and self.healed_s is None

    def apply(self) -> None:
        """Disturb; what the proxy or the node refuses is kept as the reason why nothing was met."""
        self.applied_s = self._clock()
        self._before = self._measure()
        self._breaks_before = self._watch.breaks(self.what.link) if self.what.link else 0
        self._look_for_sync()
        try:
            self._disturb()
        except Failure as error:
            self._error = str(error)
            return
        if self.what.severs and self.what.toxic is None:
            self._await(self._look_down)

    def _disturb(self) -> None:
        if self.what.stray is not None:
            self._watch.write_stray(self.what.stray)
            self.healed_s = self._clock()
            return
        assert self._target is not None
        assert self.what.link is not None
        if self.what.toxic is None:
            self._finished_syncs = self._watch.full_syncs_finished(self.what.link)
            self._target.cut()
        else:
            self._toxic_name = self._target.add(self.what.toxic, self.what.link)

    def look(self) -> None:
        """Called again and again while active: note what would be over by the time of healing."""
        self._look_for_sync()
        if self.what.severs:
            self._look_down()

    def _look_for_sync(self) -> None:
        if self.what.at.event == "full_sync" and self.what.link is not None:
            self._rdb_bytes = max(self._rdb_bytes, self._watch.sync_bytes(self.what.link))

    def _look_down(self) -> bool:
        assert self.what.link is not None
        if not self.seen_down:
            broke = self._watch.breaks(self.what.link) > self._breaks_before
            self.seen_down = broke or not self._watch.link_up(self.what.link)
        return self.seen_down

    def heal(self, *, still_cut: bool = False) -> None:
        """Undo the disturbance, after having waited a moment for what it should meet. still_cut: another cut holds."""
        if not self.active:
            return
        if not self._error:
            self._await_meeting()
        self._after = self._measure()
        self.healed_s = self._clock()
        try:
            self._undo(still_cut)
        except Failure as error:
            self._error = self._error or f"not healed: {error}"
        self.healed_s = self._clock()

    def _await_meeting(self) -> None:
        if self.what.severs:
            self._await(self._look_down)
            self._await(lambda: self._has_broken() or not self._sent_since())
            self._cut_inside = self.what.link is not None and not self.what.link.is_client and (
                self._watch.full_syncs_finished(self.what.link) == self._finished_syncs
            )
        elif self._sent_since():
            self._await(lambda: self._measure()[1] > self._before[1])

    def _has_broken(self) -> bool:
        """Whether a connection of our own clients has broken since; replication links have none."""
        link = self.what.link
        self._broke = self._broke or (link is not None and self._watch.breaks(link) > self._breaks_before)
        return self._broke or link is None or not link.is_client

    def _sent_since(self) -> bool:
        return self._watch.sent() > self._before[0]

    def _undo(self, still_cut: bool) -> None:
        assert self._target is not None
        if self._toxic_name is not None:
            self._target.remove(self._toxic_name)
        elif not still_cut:
            self._target.restore()

    def await_reconnect(self) -> None:
        """For a severing fault on an event: the link must be seen up again."""
        if self.what.severs and self.what.link is not None and self.seen_down:
            link = self.what.link
            self.seen_up_again = self._await(lambda: self._watch.link_up(link), RECONNECT_WITHIN_S)

    def _measure(self) -> tuple[int, int]:
        traffic = self._watch.traffic(self.what.link) if self.what.link is not None else 0
        return self._watch.sent(), traffic

    @staticmethod
    def _await(condition: Callable[[], bool], within_s: float = SEEN_WITHIN_S) -> bool:
        deadline = time.monotonic() + within_s
        while not (true := condition()) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return true

    def record(self) -> FaultRecord:
        """What is to be told of it; complete once healed."""
        values = max(0, self._after[0] - self._before[0])
        traffic = self._rdb_bytes if self.what.at.event == "full_sync" else max(0, self._after[1] - self._before[1])
        why_not = self._why_not(values, traffic)
        return FaultRecord(
            fault=self.what.what,
            link=self.what.place,
            at=str(self.what.at),
            until=str(self.what.until) if self.what.until else "",
            applied_s=self.applied_s,
            healed_s=self.healed_s,
            values=values,
            bytes=traffic,
            link_seen_down=self.seen_down if self.what.severs else None,
            met=not why_not,
            why_not=why_not,
        )

    def _why_not(self, values: int, traffic: int) -> str:
        if self._error:
            return self._error
        if self.applied_s is None:
            return f"{self.what.at} never came"
        if self.what.stray is not None:
            return ""
        if self.what.severs and not self.seen_down:
            return "the link was never seen down"
        return self._nothing_met(values, traffic)

    def _nothing_met(self, values: int, traffic: int) -> str:
        event, link = self.what.at.event, self.what.link
        if event == "full_sync":
            if not traffic:
                return "no RDB bytes were seen on the link"
            return "" if not self.what.severs or self._cut_inside else "the full sync was over before the link was down"
        if event is not None:
            return "" if self.seen_up_again or not self.what.severs else "the link was not seen up again"
        if link is not None and link.is_client and self.what.severs:
            return "" if self._broke else "no connection of our own broke"
        if link is not None and link.is_client:
            return "" if traffic else "none of our own bytes went over the link"
        if not values:
            return "no values were sent while it was active"
        return "" if traffic else "the primary's offset did not grow while it was active"
