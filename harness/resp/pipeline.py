"""Sends ahead of their replies: a window of sends in flight on one connection, and what became of each.

It knows nothing of lists or sorted sets: a workload hands in bytes together with an object that says which reply bytes
would mean success, and that hears of each reply where they differ. When the connection is lost, every whole reply that
had come is used, and what stays open is handed back.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

from harness.resp.connection import Connection
from harness.resp.replies import Reply


class Pending(Protocol):
    """One send, as its replies see it. replies: how many there will be."""

    @property
    def replies(self) -> int: ...

    def expected(self) -> bytes | None:
        """The bytes of all its replies if all went well, None where nobody can tell; asked when they are next."""

    def matched(self) -> None:
        """They were exactly these."""

    def answered(self, index: int, reply: Reply) -> None:
        """They were not, or not all came: the reply to its command `index`, one after another."""


P = TypeVar("P", bound=Pending)
MOST_REPLIES = 100_000  # that may be waited for before the next send: they are kept until somebody takes them


class Pipeline(Generic[P]):
    """At most `window` sends whose replies have not been taken. ConnectionLost where the connection ends."""

    def __init__(self, connection: Connection, window: int) -> None:
        self._connection, self._window = connection, window
        self._open: deque[P] = deque()
        self._answered = 0  # replies of the oldest send that were handed over one by one

    def make_room(self) -> None:
        """Take the replies of the oldest send while the window is full. Before anything is taken up that a connection
        lost meanwhile would leave unsent.
        """
        while len(self._open) >= self._window or sum(pending.replies for pending in self._open) >= MOST_REPLIES:
            self._settle()

    def submit(self, payload: bytes, pending: P) -> None:
        """Send; what is submitted counts as open from here on, whether all of it leaves or not."""
        self.make_room()
        self._open.append(pending)
        self._connection.send(payload)

    def drain(self) -> None:
        """Take all replies that are still to come."""
        while self._open:
            self._settle()

    def salvage(self) -> list[P]:
        """After ConnectionLost: hand over the replies that had come; returns what stays (partly) open, oldest first."""
        for reply in self._connection.replies_left():
            if self._open:
                self._hand_over(self._open[0], reply)
        return list(self._open)

    def _settle(self) -> None:
        oldest = self._open[0]
        expected = None if self._answered else oldest.expected()
        if expected is not None and self._connection.take_if(expected):
            self._open.popleft()
            oldest.matched()
            return
        while self._open and self._open[0] is oldest:
            self._hand_over(oldest, self._connection.take_reply())

    def _hand_over(self, oldest: P, reply: Reply) -> None:
        index, self._answered = self._answered, self._answered + 1
        if self._answered == oldest.replies:
            self._open.popleft()
            self._answered = 0
        oldest.answered(index, reply)
