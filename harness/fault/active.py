"""One fault's life: applied, met by traffic or not, healed. What it met is measured here; when it happens is not.

Nothing here raises for what a proxy or a server does: writers wait while a fault is applied and healed. What went wrong
is kept as the reason why the fault counts as having met nothing, and healing is tried whatever went wrong before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from harness.checker.evidence import FaultRecord
from harness.errors import Failure
from harness.fault.link import FaultLink, Lossy
from harness.fault.schedule import Disturbance
from harness.fault.toxic import LOSS
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.scenario.model import Fault, StrayWrite
from harness.topology import Link

SEEN_WITHIN_S = 2.0  # how long a change is waited for before its fault counts as having met nothing
RECONNECT_WITHIN_S = 15.0


class Change(Protocol):
    """Something that goes on while values are sent.

    loses: the shard whose acknowledged writes it may cost, "" where none; primary: the node that acknowledged them;
    took_over_at: time.monotonic() when another primary was seen there.
    """

    loses: str
    primary: str
    took_over_at: float | None

    def heal(self) -> None:
        """Wait until it has ended, and bring back what it took away; Failure where that goes wrong."""


class Watch(Protocol):
    """What must be seen to tell whether a fault met anything; the runner looks."""

    def sent(self) -> int:
        """Elements sent by all writers so far."""

    def traffic(self, link: Link) -> int:
        """A replication link: its primary's offset. A client link: bytes of our own clients over it."""

    def shard_traffic(self, change: Fault) -> int:
        """Bytes that all writers have sent to the nodes of the shards which this change of a cluster concerns."""

    def link_up(self, link: Link) -> bool:
        """A replication link: what the replica says. A client link: whether a new connection gets through."""

    def breaks(self, link: Link) -> int:
        """How often a connection of our own clients over this link has broken so far; 0 for replication links."""

    def sync_bytes(self, link: Link) -> int:
        """RDB bytes that the replica has received of a full sync under way; 0 where none is."""

    def full_syncs(self, link: Link) -> tuple[int, int]:
        """Full syncs of this link that its replica has begun and finished so far."""

    def write_stray(self, stray: StrayWrite) -> None:
        """Append the stray element; raises Failure where the node refuses it."""

    def reshape(self, fault: Fault) -> Change:
        """Begin to change the cluster's shape."""

    def abandoned(self, link: Link) -> bool:
        """Whether a failover has ended this replication link, at whose other end nobody may be any more."""

    def redirected(self) -> int:
        """Elements whose commands were answered with MOVED or ASK so far."""


class ActiveFault:
    """A disturbance from the moment it is applied. clock: seconds since the first write; unsent: elements to come."""

    def __init__(
        self,
        what: Disturbance,
        target: FaultLink | None,
        watch: Watch,
        clock: Callable[[], float],
        unsent: Callable[[], int] = lambda: 0,
    ) -> None:
        self.what, self._target, self._watch, self._clock, self._unsent = what, target, watch, clock, unsent
        self.applied_s: float | None = None
        self.healed_s: float | None = None
        self.seen_down = False
        self._seen_up = False  # while it was active, and before anything else changed
        self._seen_up_again = False
        self._toxic_name: str | None = None
        self._cut = False
        self._before = self._after = (0, 0)
        self._rdb_bytes = 0
        self._lost = 0  # packets
        self._breaks_before = 0
        self._broke = False
        self._syncs_before = (0, 0)
        self._sync_broke = False
        self._error = self._not_healed = ""
        self._change: Change | None = None
        self._redirected = 0  # before

    @property
    def active(self) -> bool:
        return self.applied_s is not None and self.healed_s is None

    @property
    def to_come(self) -> bool:
        """Not applied, and nothing went wrong before."""
        return self.applied_s is None and not self._error

    def fail(self, why: str) -> None:
        """It counts as having met nothing; the first reason stays."""
        self._error = self._error or why

    @contextmanager
    def _noting_errors(self, before: str = "") -> Iterator[None]:
        try:
            yield
        except Failure as error:
            self.fail(f"{before}{error}")
        except Exception as error:  # noqa: BLE001 - a mistake of ours makes the verdict unknown, and must not hang the writers
            self.fail(f"{before}{type(error).__name__}: {error}")

    # -- applying

    def apply(self) -> None:
        """Disturb, and measure from the moment at which that is confirmed."""
        self.applied_s = self._clock()
        with self._noting_errors():
            if (link := self.what.link) is not None:
                self._breaks_before = self._watch.breaks(link)
                self._look_for_sync(link, first=True)
            self._disturb()
            self._before = self._measure()
            if self._cut:
                self._await(self._look_down, SEEN_WITHIN_S)

    def _disturb(self) -> None:
        if self.what.stray is not None:
            self._watch.write_stray(self.what.stray)
            self.healed_s = self._clock()
            return
        if self.what.reshape is not None:
            self._redirected = self._watch.redirected()
            self._change = self._watch.reshape(self.what.reshape)
            return
        assert self._target is not None
        assert self.what.link is not None
        if self.what.toxic is None:
            self._cut = True
            self._target.cut()
        else:
            self._toxic_name = self._target.add(self.what.toxic, self.what.link)

    # -- while it is active

    def look(self) -> None:
        """Note what shows for a while only; called again and again while active, and before anything is changed."""
        if self.active and not self._error:
            with self._noting_errors():
                self._look()

    def _look(self) -> None:
        link = self.what.link
        if link is None:
            return
        self._look_for_sync(link)
        if self.what.severs:
            self._look_down()
        elif not self._seen_up and self._needs_the_link():
            self._seen_up = self._watch.link_up(link)

    def _needs_the_link(self) -> bool:
        """Whether it disturbs the bytes of a link that may be down for another reason, and then meets none."""
        closes = self.what.toxic is not None and self.what.toxic.kind in ("limit_data", "timeout")
        link, event = self.what.link, self.what.at.event
        return link is not None and not (link.is_client or closes or event or self.what.severs)

    def _look_for_sync(self, link: Link, *, first: bool = False) -> None:
        if self.what.at.event != "full_sync":
            return
        if first:  # before the bytes are: a sync that ends between the two must count as ended
            self._syncs_before = self._watch.full_syncs(link)
        self._rdb_bytes = max(self._rdb_bytes, self._watch.sync_bytes(link))

    def _look_down(self) -> bool:
        assert self.what.link is not None
        if not self.seen_down:
            self.seen_down = self._has_broken() or not self._watch.link_up(self.what.link)
        return self.seen_down

    def _has_broken(self) -> bool:
        """Whether a connection of our own clients has broken since."""
        link = self.what.link
        self._broke = self._broke or (link is not None and self._watch.breaks(link) > self._breaks_before)
        return self._broke

    # -- healing

    def heal(self, *, still_cut: bool = False, patient: bool = True) -> None:
        """Undo the disturbance. still_cut: another cut holds; patient: wait a moment for what it should meet."""
        if not self.active:
            return
        with self._noting_errors():
            if patient and not self._error:
                self._look()
                self._await_meeting()
            self._after = self._measure()
            if self._loses_packets:
                self._look_for_loss()
        with self._noting_errors("not healed: "):
            try:
                self._undo(still_cut)
            except Exception as error:
                self._not_healed = str(error) or type(error).__name__
                raise
        self.healed_s = self._clock()
        if patient and self._closes_when_removed():
            with self._noting_errors():
                self._await(self._has_broken, SEEN_WITHIN_S)

    def _closes_when_removed(self) -> bool:
        """Whether what is to show that it swallowed bytes of our own comes only now: a timeout's end closes."""
        link, toxic = self.what.link, self.what.toxic
        swallows = link is not None and link.is_client and toxic is not None and toxic.kind == "timeout"
        return swallows and self._after[1] == self._before[1] and self._unsent() > 0

    def _await_meeting(self) -> None:
        if self._change is not None:
            return
        of_client = self.what.link is not None and self.what.link.is_client
        if self.what.severs:
            self._await(self._look_down, SEEN_WITHIN_S)
        if self.what.severs and of_client:
            if self._sent_since() or self._unsent():
                self._await(self._has_broken, SEEN_WITHIN_S)
        elif self._sent_since():
            self._await(lambda: self._measure()[1] > self._before[1], SEEN_WITHIN_S)
            if self._loses_packets:
                self._await(self._look_for_loss, SEEN_WITHIN_S)

    @property
    def _loses_packets(self) -> bool:
        return self.what.toxic is not None and self.what.toxic.kind == LOSS

    def _look_for_loss(self) -> bool:
        if isinstance(self._target, Lossy) and self._toxic_name is not None:
            self._lost = self._target.lost(self._toxic_name)
        return self._lost > 0

    def _sent_since(self) -> bool:
        return self._watch.sent() > self._before[0]

    def _undo(self, still_cut: bool) -> None:
        if self._change is not None:
            self._change.heal()
        if self._target is None:
            return
        if self.what.link is not None and self._watch.abandoned(self.what.link):
            self._target.renew()
        elif self._toxic_name is not None:
            self._target.remove(self._toxic_name)
        elif self._cut and not still_cut:
            self._target.restore()

    def await_reconnect(self) -> None:
        """For a severing fault on an event: the link must be seen up again, and its full sync as broken off."""
        link = self.what.link
        if not self.what.severs or link is None or not self.seen_down or self._error:
            return
        with self._noting_errors():
            self._seen_up_again = self._await(lambda: self._watch.link_up(link), RECONNECT_WITHIN_S)
            begun, finished = self._watch.full_syncs(link)
            self._sync_broke = begun - finished >= self._syncs_before[0] - self._syncs_before[1] > 0

    # -- what is to be told

    def _measure(self) -> tuple[int, int]:
        link, change = self.what.link, self.what.reshape
        if link is not None:
            return self._watch.sent(), self._watch.traffic(link)
        return self._watch.sent(), self._watch.shard_traffic(change) if change is not None else 0

    @staticmethod
    def _await(condition: Callable[[], bool], within_s: float) -> bool:
        try:
            return wait_until(condition, deadline_s=within_s, what="it to be seen")
        except WaitedTooLongError:
            return False

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
            packets_lost=self._lost if self._loses_packets else None,
            met=not why_not,
            why_not=why_not,
            not_healed=self._not_healed,
            loses=self._change.loses if self._change is not None else "",
            primary=self._change.primary if self._change is not None else "",
            took_over_s=self._on_our_clock(self._change.took_over_at if self._change is not None else None),
        )

    def _on_our_clock(self, at: float | None) -> float | None:
        return None if at is None else self._clock() - (time.monotonic() - at)

    def _why_not(self, values: int, traffic: int) -> str:
        if self._error:
            return self._error
        if self.applied_s is None:
            return f"{self.what.at} never came"
        if self.what.stray is not None:
            return ""
        if self._change is not None:
            return self._reshape_missed(values, traffic)
        if self.what.severs and not self.seen_down:
            return "the link was never seen down"
        if self.what.at.event is not None:
            return self._event_missed(traffic)
        if self.what.link is not None and self.what.link.is_client:
            return self._client_missed(traffic)
        if not values:
            return "no values were sent while it was active"
        if not traffic:
            return "the primary's offset did not grow while it was active"
        if self._loses_packets and not self._lost:
            return "no packet was lost while it was active"
        return "the link was down all the while" if self._needs_the_link() and not self._seen_up else ""

    def _reshape_missed(self, values: int, traffic: int) -> str:
        if not values:
            return "no values were sent while it was active"
        if not traffic:
            return "nothing was sent to its shard while it was active"
        moves = self.what.reshape is not None and self.what.reshape.move_slots is not None
        if moves and self._watch.redirected() <= self._redirected:
            return "no command was answered with MOVED or ASK"
        return ""

    def _event_missed(self, traffic: int) -> str:
        during_sync = self.what.at.event == "full_sync"
        if during_sync and not traffic:
            return "no RDB bytes were seen on the link"
        if not self.what.severs:
            return ""
        if not self._seen_up_again:
            return "the link was not seen up again"
        return "the full sync was over before the link was down" if during_sync and not self._sync_broke else ""

    def _client_missed(self, traffic: int) -> str:
        if self.what.severs:
            return "" if self._broke else "no connection of our own broke"
        return "" if traffic or self._broke else "none of our own bytes went over the link"
