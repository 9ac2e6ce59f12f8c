"""One client of a simulated endpoint: what becomes of each of its commands. No sockets here; two callables write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import frames
from .answers import CROWDED, Answers
from .frames import Error
from .handlers import Handlers
from .login import Login
from .requests import ALL, MAX_CAPTURE, PASS, Requests
from .shared import Shared, Wire
from .transaction import Transaction

_TOO_LARGE: Final = (
    b"ERR this command is larger than what a simulated endpoint looks at (%d MB, for all its clients together)"
    % (MAX_CAPTURE >> 20)
)


class Session:
    """`requests` takes the client's bytes, `replied` the server's."""

    def __init__(self, shared: Shared, wire: Wire) -> None:
        self._shared, self._wire = shared, wire
        self.requests = Requests(self)
        self._answers = Answers(shared, wire, lambda: self.requests.commands, self.requests.pause)
        self.replies = self._answers.replies
        self._transaction = Transaction(shared, wire, self.requests, self._answers)
        self._login = Login(shared, wire, self.requests, self._answers, self._transaction)
        self._handlers = Handlers(shared, wire, self.requests, self._answers)
        self._rest: dict[bytes, Callable[[list[bytes], int], None]] = {
            b"multi": self._transaction.begin,
            b"exec": self._transaction.execute,
            b"discard": self._transaction.discard,
            b"reset": self._login.reset,
        }
        self._transparent = shared.plan.behaviour.changes_nothing
        self._login.locked = not self._transparent
        self.requests.hold()

    def begin(self) -> None:
        """The server is connected."""
        if self._transparent:
            self.requests.release()
        else:
            self._login.probe_access()

    def replied(self, data: bytes) -> None:
        """Bytes of the server."""
        self.replies.feed(data)
        if self.replies.open <= CROWDED // 2:
            self.requests.resume()

    # -- requests.Sink

    def wanted(self, name: bytes) -> int:
        if self._transparent:
            return PASS
        return ALL if self._login.locked else self._shared.rules.wanted(name, in_multi=self._answers.in_multi)

    def further(self, words: list[bytes], count: int) -> int:
        return 0 if self._login.locked else self._shared.rules.further(words)

    def passed(self, data: bytes | memoryview) -> None:
        self._wire.to_server(data)

    def too_large(self, name: bytes) -> None:
        self._answers.error(_TOO_LARGE)

    def broken(self, reason: str) -> None:
        """Perhaps in the middle of a command, where no mark of ours would be understood: the server is told the end,
        and what it still answers comes first.
        """
        text = b"ERR Protocol error: " + reason.encode("latin-1", "replace")
        self._wire.finish(frames.write(Error(text)), f"protocol error: {reason}")

    def command(self, words: list[bytes], count: int) -> bool:
        if self._login.locked:
            self._login.command(words, lambda: self.command(words, count))
            return True
        refusal = self._shared.rules.refusal(words) or self._transaction.crossslot(words)
        if refusal is not None:
            self._answers.error(refusal)
            return False
        name = words[0].lower()
        handler = self._handlers.of(name) or self._rest.get(name) or self._answers.forward
        handler(words, count)
        return True


__all__ = ["Session"]
