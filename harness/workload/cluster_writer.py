"""Writes keys of a cluster: each over a connection to the node that owns its slot, and follows it when it moves.

A command that was redirected surely did not happen. The writer then takes all replies that are still to come on that
connection, and only after that sends the redirected commands again, in their order and as new commands, so that nothing
is reordered or doubled. What got no answer is never sent again.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

from harness.errors import SetupError
from harness.history import Broken, Ledger, Opened, Stamp
from harness.resp import encode
from harness.resp.connection import CannotConnect, Connection, ConnectionLost, Interrupted
from harness.resp.fence import Identity
from harness.resp.pipeline import Pipeline
from harness.resp.replies import OK, Reply
from harness.workload.base import Marks, NoMarks, Patience, Route
from harness.workload.dialer import Dialer
from harness.workload.numbered import MOST_COMMANDS, Numbered, NumberedSend, TransactionSend, WritePlan
from harness.workload.outcomes import Commands, Outcomes

REFUSED_PAUSE_S = 0.02
STAMP_EVERY_S = 0.01
ASKED_COMMANDS = 1000  # a send, while a slot is on its way
_REDIRECT = re.compile(r"\b(MOVED|ASK) \d+ (\S*):(\d+)")
_AGAIN = re.compile(r"\b(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY|LOADING|MASTERDOWN)\b")
_ASKING = encode.command("ASKING")


class Router(Protocol):
    """Where keys are, and how their nodes are reached."""

    def owner(self, key: bytes) -> str | None:
        """The node that owns this key's slot, as far as is known; None where nobody does."""

    def refresh(self) -> None:
        """Ask the cluster anew."""

    def node_at(self, host: str, port: int) -> str | None:
        """The node under an address that the cluster told."""

    def route(self, node: str) -> Route: ...


class ClusterNumbered(Numbered):
    """The source of one key. node: where it is believed to be; asking: the slot is on its way there.

    turned_away: why its last commands were refused, "" where they were not; refused_since: monotonic seconds, 0.0 where
    something succeeded since; redirections: so many since then; redirected: elements of commands that were answered
    with MOVED or ASK; repeating: what was sent last had been refused before, and may be again, so that nothing newer
    may overtake it.
    """

    def __init__(self, plan: WritePlan, outcomes: Outcomes) -> None:
        super().__init__(plan, outcomes)
        self.node = self.turned_away = ""
        self.asking = False
        self.refused_since = 0.0
        self.lossy = plan.lossy
        self.repeating = False
        self.redirections = self.redirected = 0
        self._again: list[tuple[int, Commands]] = []  # a heap: the oldest come first, however often they were refused
        self._stamped = (0, 0.0)  # elements acknowledged by then, and when
        self._over = 0  # the connection that was used last
        self._sent = 0  # the last element that was

    def stamp(self, clock: Callable[[], float], *, last: bool = False) -> None:
        """Note the time in the ledger, now and then, where anything was acknowledged since."""
        acknowledged, (before, at) = self.outcomes.ledger.acknowledged, self._stamped
        if self.lossy and acknowledged > before and (last or clock() - at >= STAMP_EVERY_S):
            self._stamped = acknowledged, clock()
            self.outcomes.add(Stamp(self._stamped[1], self._sent))

    def take(self, count: int, size: int | None = None) -> list[Commands]:
        parts = super().take(count, size)
        self._sent = parts[-1].last if parts else self._sent
        return parts

    def goes_over(self, connection: int, node: str) -> None:
        """Note in the ledger which node is written to from now on."""
        if self.lossy and connection != self._over:
            self._over = connection
            self.outcomes.add(Opened(connection, node))

    @property
    def finished(self) -> bool:
        return super().finished and not self._again

    def refused(self, connection: int, commands: Commands, error: str) -> None:
        super().refused(connection, commands, error)
        if _REDIRECT.search(error):
            self.redirected += commands.elements
        if _AGAIN.search(error):
            heappush(self._again, (commands.first, commands))
            self.turned_away = error
            self.refused_since = self.refused_since or time.monotonic()

    def succeeded(self, connection: int, part: Commands, size: int) -> None:
        super().succeeded(connection, part, size)
        self.refused_since, self.redirections = 0.0, 0

    def next_send(self, connection: int, allowed: int) -> tuple[bytes, NumberedSend]:
        if self._again:
            self.repeating = True
            return self._repeat(connection)
        if self.asking and self.shape == "multi":
            return self._in_transaction(connection, self.take(self.batch(allowed), 1), fresh=True)
        if self.asking:
            return self._asked(connection, self.take(self.batch(allowed), self.command_size), fresh=True)
        return super().next_send(connection, allowed)

    def _repeat(self, connection: int) -> tuple[bytes, NumberedSend]:
        """The oldest of the refused commands, each as it was: a transaction alone."""
        if self.shape == "multi":
            part = heappop(self._again)[1]
            return self._in_transaction(connection, [Commands(part.first, part.last, 1)], fresh=False)
        parts: list[Commands] = []
        commands, most = 0, ASKED_COMMANDS if self.asking else MOST_COMMANDS
        while self._again and commands < most:
            parts.append(heappop(self._again)[1])
            commands += parts[-1].count
        if self.asking:
            return self._asked(connection, parts, fresh=False)
        send = NumberedSend(self, connection, parts)
        send.fresh = 0
        return self.payload(parts), send

    def _in_transaction(self, connection: int, parts: Sequence[Commands], *, fresh: bool) -> tuple[bytes, NumberedSend]:
        """One that asks first holds for all of its commands."""
        kind = AskingTransactionSend if self.asking else TransactionSend
        send = kind(self, connection, parts)
        send.fresh = send.elements if fresh else 0
        return (_ASKING if self.asking else b"") + self.in_transaction(parts), send

    def _asked(self, connection: int, parts: Sequence[Commands], *, fresh: bool) -> tuple[bytes, NumberedSend]:
        ones = [part.one(index) for part in parts for index in range(part.count)]
        send = AskingSend(self, connection, parts)
        send.fresh = send.elements if fresh else 0
        return b"".join([_ASKING + self.payload([one]) for one in ones]), send


class AskingSend(NumberedSend):
    """Commands each of which says first that it asks for a slot that is on its way."""

    @property
    def replies(self) -> int:
        return 2 * self.commands

    def expected(self) -> None:
        """Replies of two commands in turn are read one by one."""

    def answered(self, index: int, reply: Reply) -> None:
        if index % 2:
            super().answered(index // 2, reply)
        elif reply != OK:
            self.source.answers.undecided(0)  # what the command itself is answered decides


class AskingTransactionSend(TransactionSend):
    """A transaction that says first that it asks for a slot that is on its way."""

    @property
    def replies(self) -> int:
        return super().replies + 1

    def expected(self) -> None:
        """Its replies are read one by one."""

    def answered(self, index: int, reply: Reply) -> None:
        if index:
            super().answered(index - 1, reply)
        elif reply != OK:
            self.source.answers.undecided(0)  # what the transaction itself is answered decides


@dataclass
class _Channel:
    """A connection to one node. number: which of the writer's connections it is."""

    number: int
    route: Route
    connection: Connection
    identity: Identity
    pipeline: Pipeline[NumberedSend]


class ClusterWriter:
    """workload.base.Writer of several keys, each with a ledger of its own."""

    def __init__(
        self,
        plans: Sequence[tuple[WritePlan, Ledger]],
        router: Router,
        marks: Marks | None = None,
        *,
        index: int = 0,
        patience: Patience | None = None,
    ) -> None:
        self._sources = [ClusterNumbered(plan, Outcomes(ledger)) for plan, ledger in plans]
        self._router, self._marks, self._index = router, marks or NoMarks(), index
        self._patience = patience or Patience()
        self._stop = threading.Event()
        self._look_on: Callable[[], None] = lambda: None
        self._dialer = Dialer(self._patience, self._stop, self._stopped)
        self._channels: dict[str, _Channel] = {}
        self._bytes: dict[str, int] = {}  # of connections that are closed, by node
        self._breaks: dict[str, int] = {}
        self._allowed = self._acknowledged = 0
        self._turn = 0
        self.sent = self.connections = 0
        self.first_sent_at = self.last_acknowledged_at = 0.0

    @property
    def ledgers(self) -> Sequence[Ledger]:
        return [source.outcomes.ledger for source in self._sources]

    @property
    def acknowledged(self) -> int:
        return sum(ledger.acknowledged for ledger in self.ledgers)

    def bytes_to(self, node: str) -> int:
        channel = self._channels.get(node)
        return self._bytes.get(node, 0) + (channel.connection.bytes_sent if channel else 0)

    @property
    def redirected(self) -> int:
        return sum(source.redirected for source in self._sources)

    def breaks_at(self, node: str) -> int:
        return self._breaks.get(node, 0)

    def stop(self) -> None:
        self._stop.set()

    def run(self, look_on: Callable[[], None] = lambda: None) -> None:
        """SetupError where a key's node can't be reached, or refuses it, for too long."""
        self._look_on = look_on
        for source in self._sources:
            source.node = self._owner(source)
        try:
            while not self._finished():
                if self._stopped():
                    raise Interrupted("the writer was stopped")
                self._step()
        except Interrupted as interrupted:
            for channel in list(self._channels.values()):
                self._broke(channel, interrupted)
        finally:
            for source in self._sources:
                source.outcomes.flush()
                source.stamp(self._marks.clock, last=True)
            for channel in list(self._channels.values()):
                self._forget(channel)

    def _stopped(self) -> bool:
        self._look_on()
        return self._stop.is_set()

    def _finished(self) -> bool:
        """Whether all is written and answered; what is refused at the very end is to be sent again."""
        if any(not source.finished for source in self._sources):
            return False
        for channel in list(self._channels.values()):
            self._guarded(channel, channel.pipeline.drain)
        return all(source.finished for source in self._sources)

    def _step(self) -> None:
        """One send of the next key that has something to send."""
        source = self._next_source()
        if self._allowed <= 0 and all(each.at_boundary for each in self._sources):
            self._allowed = max(1, self._marks.wait_at(self._index, self.sent))
        if source.turned_away:
            self._redirect(source)
            return
        channel = self._channel(source)
        wait = channel.pipeline.drain if source.repeating else channel.pipeline.make_room
        if not self._guarded(channel, wait) or source.turned_away or source.finished:
            return
        source.repeating = False
        source.goes_over(channel.number, channel.route.node)
        payload, send = source.next_send(channel.number, max(1, self._allowed))
        self._allowed -= send.fresh
        self.sent += send.fresh
        self.first_sent_at = self.first_sent_at or time.monotonic()
        self._guarded(channel, lambda: channel.pipeline.submit(payload, send))

    def _next_source(self) -> ClusterNumbered:
        """Keys take turns; a batch that was begun goes on first."""
        begun = next((source for source in self._sources if not source.at_boundary and not source.finished), None)
        if begun is not None:
            return begun
        while True:
            self._turn = (self._turn + 1) % len(self._sources)
            if not self._sources[self._turn].finished:
                return self._sources[self._turn]

    def _guarded(self, channel: _Channel, action: Callable[[], None]) -> bool:
        """Whether the connection is still there after this."""
        try:
            action()
        except Interrupted:
            raise
        except ConnectionLost as lost:
            self._broke(channel, lost)
            return False
        finally:
            self._note_acknowledgements()
        return True

    def _note_acknowledgements(self) -> None:
        if (acknowledged := self.acknowledged) != self._acknowledged:
            self._acknowledged = acknowledged
            self.last_acknowledged_at = time.monotonic()
            for source in self._sources:
                source.stamp(self._marks.clock)

    # where a key is

    def _redirect(self, source: ClusterNumbered) -> None:
        """Take all replies of the connection on which the key was refused, and find out where it is now."""
        channel = self._channels.get(source.node)
        if channel is not None and not self._guarded(channel, channel.pipeline.drain):
            return
        error, source.turned_away = source.turned_away, ""
        self._bear(source, error)
        if found := _REDIRECT.search(error):
            node = self._router.node_at(found[2], int(found[3]))
            if node is not None:
                source.node, source.asking = node, found[1] == "ASK"
                return
        self._find(source)

    def _bear(self, source: ClusterNumbered, error: str) -> None:
        """A first redirection is followed at once. Nodes that send us to each other, or refuse, get time to agree, but
        not for ever.
        """
        if source.refused_since and time.monotonic() - source.refused_since > self._patience.reconnect_s:
            key, waited = source.key.decode("utf-8", "backslashreplace"), f"{self._patience.reconnect_s:g} s"
            raise SetupError(f"{source.node} has refused {key} for {waited}, {source.redirections} times: {error}")
        source.redirections += 1
        first = source.redirections == 1 and _REDIRECT.search(error)
        if not first and self._stop.wait(REFUSED_PAUSE_S):
            raise Interrupted("the writer was stopped")

    def _find(self, source: ClusterNumbered) -> None:
        """As the cluster tells it now; where it can't be asked, or nobody owns the slot, as before."""
        self._router.refresh()
        source.node, source.asking = self._owner(source) or source.node, False

    def _owner(self, source: ClusterNumbered) -> str:
        """The node that owns the key's slot, as far as is known; "" where it isn't."""
        try:
            return self._router.owner(source.key) or ""
        except SetupError:
            return ""

    def _channel(self, source: ClusterNumbered) -> _Channel:
        if not source.node:
            self._find(source)
        if source.node not in self._channels:
            self._connect(source)
        return self._channels[source.node]

    def _connect(self, source: ClusterNumbered) -> None:
        attempts = 0

        def find() -> Route:
            nonlocal attempts
            attempts += 1
            if attempts > 1:
                self._find(source)
            if not source.node:
                raise CannotConnect(f"nobody owns the slot of {source.key.decode('utf-8', 'backslashreplace')}")
            return self._router.route(source.node)

        route, connection, identity = self._dialer.connect(find)
        if route.node in self._channels:  # the key has moved to a node that we are connected to
            connection.close()
            return
        self.connections += 1
        pipeline: Pipeline[NumberedSend] = Pipeline(connection, source.window)
        self._channels[route.node] = _Channel(self.connections, route, connection, identity, pipeline)

    # connections that break

    def _broke(self, channel: _Channel, lost: ConnectionLost) -> None:
        """First what is open, key by key, then the fence, then how it ended; only then may anything newer be sent."""
        node = channel.route.node
        still_open = channel.pipeline.salvage()
        self._note_acknowledgements()
        self._forget(channel)
        self._breaks[node] = self._breaks.get(node, 0) + (not isinstance(lost, Interrupted))
        opened = {source: self._note_open(channel, sends) for source, sends in _by_source(still_open)}
        if opened:
            self._end(channel, lost, opened)
        for source in self._sources:
            if source.node == node:
                source.node = ""

    def _note_open(self, channel: _Channel, sends: Sequence[NumberedSend]) -> int:
        elements = 0
        for send in sends:
            for commands in send.unanswered():
                send.outcomes.undecided(channel.number, commands, None)
                elements += commands.elements
        sends[0].outcomes.flush()
        return elements

    def _end(self, channel: _Channel, lost: ConnectionLost, opened: dict[Numbered, int]) -> None:
        ended = self._dialer.fence(channel.route, channel.identity, lost)
        for source, elements in opened.items():
            refusing = channel.number in source.outcomes.refusing
            source.outcomes.add(
                Broken(
                    connection=channel.number,
                    fenced=ended.fenced,
                    reason=str(lost) if ended.fenced else f"{lost}; not fenced: {ended.reason}",
                    refusals_possible=channel.route.refusals_possible or refusing,
                )
            )
            source.broke(channel.number, elements, ended.fenced)

    def _forget(self, channel: _Channel) -> None:
        node = channel.route.node
        self._bytes[node] = self.bytes_to(node)
        del self._channels[node]
        channel.connection.close()


def _by_source(sends: Sequence[NumberedSend]) -> Iterator[tuple[Numbered, list[NumberedSend]]]:
    found: dict[Numbered, list[NumberedSend]] = {}
    for send in sends:
        found.setdefault(send.source, []).append(send)
    yield from found.items()
