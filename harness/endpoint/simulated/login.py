"""Before the login, and after RESET: the server refuses all but a login, so one command at a time is answered."""

from __future__ import annotations

from collections.abc import Callable

from . import frames
from .answers import Answers
from .frames import Error
from .handlers import changed_hello, refuses_protocol
from .replies import Place
from .requests import Requests, as_array
from .shared import Shared, Wire
from .transaction import Transaction


class Login:
    """locked: not logged in, as far as we know."""

    def __init__(
        self, shared: Shared, wire: Wire, requests: Requests, answers: Answers, transaction: Transaction
    ) -> None:
        self._shared, self._wire, self._requests, self._answers = shared, wire, requests, answers
        self._transaction = transaction
        self.locked = True

    def command(self, words: list[bytes], otherwise: Callable[[], object]) -> None:
        """Each is answered before the next is sent, so that we know what was; what needs a login does not reach the
        server without one. otherwise: what to do with the command where we turn out to be logged in.
        """
        name = words[0].lower()
        if self._shared.rules.needs_login(name):
            self._requests.hold()
            self._ask_access(lambda frame: self._instead(frame, otherwise))
            return
        refusal = self._shared.rules.refusal(words) if name not in (b"auth", b"hello") else None
        if name == b"hello" and refuses_protocol(words, self._shared.plan.behaviour):
            refusal = b"NOPROTO unsupported protocol version"
        if refusal is not None:
            self._wire.to_client(frames.write(Error(refusal)))
            return
        self._requests.hold()
        self._answers.replies.await_frame(lambda frame: self._replied(words, frame))
        self._answers.forward(words, len(words))

    def _instead(self, frame: bytes, otherwise: Callable[[], object]) -> None:
        self.locked = frame.startswith(b"-NOAUTH")
        if self.locked:
            self._wire.to_client(frame)
        else:
            otherwise()
        self._requests.release()

    def probe_access(self) -> None:
        """Find out whether the server wants a password."""
        self._ask_access(self._probed)

    def _ask_access(self, then: Callable[[bytes], None]) -> None:
        self._answers.replies.await_frame(then)
        self._wire.to_server(as_array([b"ECHO", self._answers.secret]))

    def reset(self, words: list[bytes], count: int) -> None:
        """It logs out: back to one command at a time, once what was sent before has been answered."""
        answers = self._answers
        if count != 1:
            answers.forward(words, count)  # the server says what is wrong with it
            return
        if answers.unanswered:
            self._wire.close("RESET after CLIENT REPLY OFF or SKIP is not simulated")
            return
        self._requests.hold()
        answers.silent = False
        self._transaction.reset()

        def reached() -> None:
            answers.replies.await_frame(lambda frame: self._replied(words, frame))

        answers.mark(Place(b"", then=reached))
        self.locked = True
        answers.forward(words, count)

    def _replied(self, words: list[bytes], frame: bytes) -> None:
        name, replies = words[0].lower(), self._answers.replies
        if name == b"hello":
            frame = changed_hello(words, replies, self._shared.plan.behaviour)(frame, replies.protocol)
        elif name == b"reset":
            replies.protocol = 2
        self._wire.to_client(frame)
        self.probe_access()

    def _probed(self, frame: bytes) -> None:
        if frame.startswith(b"-ERR max number of clients"):
            self._wire.to_client(frame)
            self._wire.close("")
            return
        self.locked = frame.startswith(b"-NOAUTH")
        self._requests.release()
