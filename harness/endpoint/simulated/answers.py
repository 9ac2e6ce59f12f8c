"""Replies of our own among the server's: each is said in the place of its command, whatever lies between."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from . import frames
from .frames import Error
from .replies import Payload, Place, Replies
from .requests import as_array, bulks
from .shared import Shared, Wire

CROWDED: Final = 256  # replies of our own that may be on their way to a client; it is not read while there are more
_MOST_QUEUED: Final = 10_000  # those in a transaction, which has to be read to its end
Change = Callable[[bytes, int], bytes]  # a whole reply and the protocol in, what stands there instead out


class Answers:
    """in_multi: the client has begun a transaction, which queues answers. silent: it wants no replies at all, as after
    CLIENT REPLY OFF; skipped: the number of the command that gets none; number: that of the present one.
    """

    def __init__(self, shared: Shared, wire: Wire, number: Callable[[], int], crowded: Callable[[], None]) -> None:
        self._wire, self._number, self._crowded = wire, number, crowded
        self._mark_reply = shared.mark_reply
        self.replies = Replies(wire.to_client)
        self.secret: Final = secrets.token_hex(8).encode()
        self._marks = 0
        self._placeholders = False
        self.in_multi = self.silent = False
        self.skipped = -1
        self.to_fetch: list[tuple[Place, list[bytes]]] = []  # places in a transaction, with the question for each

    @property
    def unanswered(self) -> bool:
        """Whether the client wants no reply to this command."""
        return self.silent or self._number() == self.skipped

    def error(self, text: bytes) -> None:
        """Inside of a transaction the server's own refusal spoils it, as the product's would."""
        self.say(frames.write(Error(text)))

    def say(self, payload: Payload) -> None:
        if self.unanswered:
            self._wire.to_server(as_array([self._mark_name()]))
        else:
            self.mark(Place(b"", payload))

    def answer(self, payload: Payload) -> None:
        """A success, which a transaction queues."""
        if not self.in_multi or self.unanswered:
            self.say(payload)
        else:
            self._placeholder(Place(b"", payload, maybe=True))

    def ask_and_change(self, words: list[bytes], change: Change) -> None:
        """Hand a command on, and change its reply."""
        if self.unanswered:
            self.forward(words, len(words))
        elif self.in_multi:
            place = Place(b"", change=change, maybe=True)
            self.to_fetch.append((place, words))
            self._placeholder(place)
        else:
            self.mark(Place(b"", collect=True))
            self.forward(words, len(words))
            self.mark(Place(b"", change=_each_frame(change)))

    def forward(self, words: list[bytes], count: int) -> None:
        """The looked-at words of a command; its others follow by `passed`."""
        self._wire.to_server(b"*%d\r\n" % count + bulks(words))

    def end_multi(self, words: list[bytes]) -> None:
        """EXEC, DISCARD: what was kept for the places in the transaction has no meaning after it."""
        self.forward(words, len(words))
        self.in_multi = False
        if self._placeholders:
            self._placeholders = False
            if not self.silent:
                self.mark(Place(b""))

    def mark(self, place: Place) -> None:
        name = self._mark_name()
        before, after = self._mark_reply
        place.mark = before + name + after
        self.replies.expect(place)
        self._wire.to_server(as_array([name]))
        if self.replies.open >= CROWDED:
            self._crowded()

    def _placeholder(self, place: Place) -> None:
        name = self._mark_name()
        place.mark = frames.write(name)
        self._placeholders = True
        if len(self.replies) >= _MOST_QUEUED:
            self._wire.close(f"more than {_MOST_QUEUED} commands in a transaction that are answered by the endpoint")
            return
        self._wire.to_server(as_array([b"ECHO", name]))
        self.replies.expect(place)

    def _mark_name(self) -> bytes:
        self._marks += 1
        return mark_name(self.secret, self._marks)


def mark_name(secret: bytes, number: int) -> bytes:
    """A command that no server has, nor anybody can guess."""
    return b"X%b%010d" % (secret, number)


def _each_frame(change: Change) -> Change:
    """A push message may have come between; only the reply changes."""

    def change_all(data: bytes, protocol: int) -> bytes:
        return b"".join(frame if frame[:1] == b">" else change(frame, protocol) for frame in frames.frames(data))

    return change_all
