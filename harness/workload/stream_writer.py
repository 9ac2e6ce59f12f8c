"""Writes a stream of elements over one connection after another, whatever the workload.

It owns what all workloads share: the window of sends, the marks at which the nemesis works, and what happens when a
connection breaks. Nothing is sent twice: after a break the next connection goes on with elements never sent before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from harness.history import Broken, Ledger
from harness.resp.connection import Connection, ConnectionLost, Interrupted
from harness.resp.fence import Identity
from harness.resp.pipeline import Pending, Pipeline
from harness.workload.base import Marks, NoMarks, Patience, Route
from harness.workload.dialer import Dialer
from harness.workload.outcomes import Commands, Outcomes

_FIRST_ATTEMPT_S = 0.5
_PAUSE_S = 0.005


def _not_looking() -> None:
    """Nobody looks on."""


class Send(Pending, Protocol):
    """Whole commands on their way, and how they end. elements: how many they hold."""

    elements: int

    def unanswered(self) -> Iterator[Commands]:
        """The commands that no reply came to, in order."""


class Source(Protocol):
    """What is written. key: as it is on the server; window: sends in flight; outcomes: where they end."""

    key: bytes
    window: int
    outcomes: Outcomes

    @property
    def finished(self) -> bool: ...

    @property
    def at_boundary(self) -> bool:
        """Whether no batch is half sent: only then may the stream stop at a mark."""

    def next_send(self, connection: int, allowed: int) -> tuple[bytes, Send]:
        """The next bytes for this connection: at most `allowed` elements, rounded up to a whole command."""

    def broke(self, connection: int, elements: int, fenced: bool) -> None:
        """This connection ended with so many elements open."""


class StreamWriter:
    """workload.base.Writer for any Source. index: which of the run's writers this is, for its marks."""

    def __init__(
        self, source: Source, route: Route, marks: Marks | None = None, index: int = 0, patience: Patience | None = None
    ) -> None:
        self._source, self._route, self._index = source, route, index
        self._marks = marks or NoMarks()
        self._allowed = 0
        self._stop = threading.Event()
        self._dialer = Dialer(patience or Patience(), self._stop, self._stopped)
        self._look_on: Callable[[], None] = _not_looking
        self._connection: Connection | None = None  # the last one; its bytes_sent goes on from the one before
        self._acknowledged = 0
        self.sent = self.breaks = self.connections = 0
        self.first_sent_at = self.last_acknowledged_at = 0.0

    @property
    def node(self) -> str:
        return self._route.node

    @property
    def ledger(self) -> Ledger:
        return self._source.outcomes.ledger

    @property
    def ledgers(self) -> Sequence[Ledger]:
        return [self.ledger]

    @property
    def acknowledged(self) -> int:
        return self.ledger.acknowledged

    def bytes_to(self, node: str) -> int:
        return self.bytes_sent if node == self.node else 0

    @property
    def redirected(self) -> int:
        """One node takes everything."""
        return 0

    def breaks_at(self, node: str) -> int:
        return self.breaks if node == self.node else 0

    @property
    def bytes_sent(self) -> int:
        connection = self._connection
        return 0 if connection is None else connection.bytes_sent

    def stop(self) -> None:
        self._stop.set()

    def run(self, look_on: Callable[[], None] = _not_looking) -> None:
        """SetupError where no connection comes about in time: what was never sent is then not in the ledger."""
        self._look_on = look_on
        try:
            while not (self._source.finished or self._stopped()):
                self._write_over_one_connection()
        except Interrupted:
            return  # while it was connecting, with nothing open
        finally:
            self._source.outcomes.flush()

    def _stopped(self) -> bool:
        """Asked wherever it waits, and between sends."""
        self._look_on()
        return self._stop.is_set()

    def _write_over_one_connection(self) -> None:
        _, connection, identity = self._dialer.connect(lambda: self._route)
        pipeline: Pipeline[Send] = Pipeline(connection, self._source.window)
        whole = False
        try:
            connection.bytes_sent += self.bytes_sent
            self._connection = connection
            self.connections += 1
            try:
                self._feed(connection, pipeline)
                whole = True
                return
            except ConnectionLost as error:
                lost = error
            still_open = pipeline.salvage()
            self._note_acknowledgements()
        finally:
            self._dialer.release(self._route, connection, identity, whole=whole)
        self.breaks += not isinstance(lost, Interrupted)
        if still_open:
            self._record_break(still_open, identity, lost)

    def _feed(self, connection: Connection, pipeline: Pipeline[Send]) -> None:
        source = self._source
        while not source.finished:
            if self._stopped():
                raise Interrupted("the writer was stopped")
            if self._allowed <= 0 and source.at_boundary:
                self._allowed = max(1, self._marks.wait_at(self._index, self.sent))
            pipeline.make_room()
            payload, send = source.next_send(self.connections, self._allowed)
            connection.check_payload(payload, source.key)
            self._allowed -= send.elements
            self.sent += send.elements
            self.first_sent_at = self.first_sent_at or time.monotonic()
            pipeline.submit(payload, send)
            del payload  # a large one must not stay while the next one is made
            self._note_acknowledgements()
        pipeline.drain()
        self._note_acknowledgements()

    def _note_acknowledgements(self) -> None:
        if self.ledger.acknowledged != self._acknowledged:
            self._acknowledged = self.ledger.acknowledged
            self.last_acknowledged_at = time.monotonic()

    def _record_break(self, still_open: list[Send], identity: Identity, lost: ConnectionLost) -> None:
        """First what is open, then the fence, then how it ended; only then may anything newer be sent."""
        outcomes, elements = self._source.outcomes, 0
        for send in still_open:
            for commands in send.unanswered():
                outcomes.undecided(self.connections, commands, None)
                elements += commands.last - commands.first + 1
        outcomes.flush()
        ended = self._dialer.fence(self._route, identity, lost)
        outcomes.add(
            Broken(
                connection=self.connections,
                fenced=ended.fenced,
                reason=str(lost) if ended.fenced else f"{lost}; not fenced: {ended.reason}",
                refusals_possible=self._route.refusals_possible or self.connections in outcomes.refusing,
            )
        )
        self._source.broke(self.connections, elements, ended.fenced)
