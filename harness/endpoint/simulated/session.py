"""One client of a simulated endpoint: what becomes of each of its commands. No sockets here; two callables write."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from . import frames, shown
from .frames import Error
from .plan import Plan
from .replies import Payload, Place, Replies
from .requests import ALL, PASS, Requests, as_array, bulks
from .rules import MARK, Rules
from .scripts import ScriptGuard
from .slots import slot_of

MOST_PLACES: Final = 1_000_000
_OK: Final = b"+OK\r\n"
_TOO_LARGE: Final = b"ERR this command is larger than what a simulated endpoint looks at (1 MB)"


@dataclass(frozen=True)
class Shared:
    """What all clients of an endpoint share. mark_reply: how the server answers a command that it does not know, as
    (before the name, after it). ask: a question to the server over the endpoint's own connection.
    """

    plan: Plan
    rules: Rules
    scripts: ScriptGuard
    mark_reply: tuple[bytes, bytes]
    ask: Callable[[Sequence[bytes]], Awaitable[bytes]]


class Wire(Protocol):
    """The two sides of a session."""

    address: tuple[str, int]

    def to_server(self, data: bytes | memoryview) -> None: ...

    def to_client(self, data: bytes) -> None: ...

    def close(self, reason: str) -> None:
        """End both sides once what was written has left; a reason other than "" is logged."""

    def finish(self, last_words: bytes, reason: str) -> None:
        """Send nothing more to the server; close with these words for the client once it has answered."""

    def run(self, job: Awaitable[None]) -> None:
        """Let this go on beside us; the session ends where it fails."""


class Session:
    """`requests` takes the client's bytes, `replies` the server's."""

    def __init__(self, shared: Shared, wire: Wire) -> None:
        self._shared, self._wire = shared, wire
        self.requests = Requests(self)
        self.replies = Replies(wire.to_client)
        self._secret = secrets.token_hex(8).encode()
        self._marks = 0
        self._multi = False
        self._first_key: tuple[int, bytes] | None = None  # of the transaction, with its slot
        self._fetch: list[tuple[Place, list[bytes]]] = []
        self._placeholders = False
        self._silent = False
        self._skipped = -1  # the number of a command that CLIENT REPLY SKIP keeps unanswered
        self._transparent = shared.plan.behaviour.changes_nothing
        self._locked = not self._transparent  # not logged in, as far as we know: one command at a time is answered
        self.requests.hold()

    def begin(self) -> None:
        """The server is connected: find out whether it wants a password."""
        if self._transparent:
            self.requests.release()
        else:
            self._probe_access()

    # -- requests.Sink

    def wanted(self, name: bytes) -> int:
        if self._transparent:
            return PASS
        return ALL if self._locked else self._shared.rules.wanted(name, in_multi=self._multi)

    def passed(self, data: bytes | memoryview) -> None:
        self._wire.to_server(data)

    def too_large(self, name: bytes) -> None:
        self._error(_TOO_LARGE)

    def broken(self, reason: str) -> None:
        """Perhaps in the middle of a command, where no mark of ours would be understood: the server is told the end,
        and what it still answers comes first.
        """
        text = b"ERR Protocol error: " + reason.encode("latin-1", "replace")
        self._wire.finish(frames.write(Error(text)), f"protocol error: {reason}")

    def command(self, words: list[bytes], count: int) -> bool:
        if self._locked:
            self._command_before_login(words)
            return True
        refusal = self._shared.rules.refusal(words) or self._crossslot(words)
        if refusal is not None:
            self._error(refusal)
        else:
            self._handle(words, count)
        return refusal is None

    # -- commands that are looked at

    def _handle(self, words: list[bytes], count: int) -> None:
        name = words[0].lower()
        behaviour = self._shared.plan.behaviour
        if name.decode("latin-1") in behaviour.accepted:
            self._answer(lambda protocol: _OK)
        elif name == b"select" and behaviour.select:
            self._select(words)
        elif (handler := _HANDLERS.get(name)) is not None:
            handler(self, words, count)
        else:
            self._forward(words, count)

    def _mark_question(self, words: list[bytes], count: int) -> None:
        self._answer(lambda protocol: frames.write(f"simulated {self._shared.plan.profile}".encode()))

    def _select(self, words: list[bytes]) -> None:
        select = self._shared.plan.behaviour.select
        if len(words) != 2 or not words[1].lstrip(b"-").isdigit():
            self._forward(words, len(words))  # the server says what is wrong with it
        elif select == "no-op" or words[1] == b"0":
            self._answer(lambda protocol: _OK)
        elif 0 <= int(words[1]) < int(select):
            self._forward(words, len(words))
        else:
            self._error(b"ERR DB index is out of range")

    def _info(self, words: list[bytes], count: int) -> None:
        self._ask_and_change(words, self._changed_info)

    def _changed_info(self, frame: bytes, protocol: int) -> bytes:
        if frame[:1] not in b"$=":
            return frame
        text, plan = frames.parse(frame), self._shared.plan
        if not isinstance(text, bytes):
            return frame
        return frames.write_text(shown.info(text, plan.behaviour, self._wire.address[1], plan.profile), protocol)

    def _config(self, words: list[bytes], count: int) -> None:
        behaviour = self._shared.plan.behaviour
        subcommand = words[1].lower() if len(words) > 1 else b""
        if behaviour.config is None or subcommand not in (b"get", b"set"):
            self._forward(words, count)
        elif subcommand == b"get":
            self._ask_and_change(words, self._changed_config)
        elif objection := shown.config_objection(words[2:], behaviour):
            self._error(objection)
        else:
            self._forward(words, count)

    def _changed_config(self, frame: bytes, protocol: int) -> bytes:
        if frame[:1] not in b"*%":
            return frame
        kept = shown.config(frames.parse(frame), self._shared.plan.behaviour)
        return frames.write_map(kept, protocol) if isinstance(kept, list) else frame

    def _cluster(self, words: list[bytes], count: int) -> None:
        plan = self._shared.plan
        subcommand = words[1].decode("latin-1").lower() if len(words) > 1 else ""
        if not plan.behaviour.cluster or subcommand not in shown.CLUSTER_SHOWN:
            self._forward(words, count)
            return
        address, tls = self._wire.address, plan.certificate is not None
        self._answer(lambda protocol: shown.cluster(words, protocol, address, tls=tls))

    def _hello(self, words: list[bytes], count: int) -> None:
        if self._refuses_protocol(words):
            self._error(b"NOPROTO unsupported protocol version")
        elif self._multi:
            self._error(b"ERR Command not allowed inside a transaction")
        elif self._unanswered:
            self._forward(words, count)
            self.replies.protocol = 3 if words[1:2] == [b"3"] else self.replies.protocol
        else:
            self._ask_and_change(words, self._changed_hello(words))

    def _refuses_protocol(self, words: list[bytes]) -> bool:
        return words[1:2] == [b"3"] and not self._shared.plan.behaviour.resp3

    def _changed_hello(self, words: list[bytes]) -> Callable[[bytes, int], bytes]:
        def change(frame: bytes, protocol: int) -> bytes:
            if frame[:1] not in b"*%":
                return frame
            if words[1:2] in ([b"2"], [b"3"]):
                self.replies.protocol = protocol = int(words[1])
            reply = shown.hello(frames.parse(frame), self._shared.plan.behaviour)
            return frames.write_map(reply, protocol) if isinstance(reply, list) else frame

        return change

    def _client(self, words: list[bytes], count: int) -> None:
        subcommand = [word.lower() for word in words[1:3]]
        self._forward(words, count)
        if subcommand == [b"reply", b"on"]:
            self._silent = False
        elif subcommand == [b"reply", b"off"]:
            self._silent = True
        elif subcommand == [b"reply", b"skip"]:
            self._skipped = self.requests.commands + 1

    def _script(self, words: list[bytes], count: int) -> None:
        scripts = self._shared.scripts
        subcommand = words[1].lower() if len(words) > 1 else b""
        if subcommand == b"load" and len(words) == 3:
            shown_reply = frames.write(scripts.shown_name(words[2]))
            changed = [*words[:2], scripts.script(words[2])]
            if self._multi:
                self._forward(changed, count)
            else:
                self._ask_and_change(changed, lambda frame, protocol: shown_reply if frame[:1] == b"$" else frame)
        elif subcommand == b"exists":
            self._forward([*words[:2], *map(scripts.name, words[2:])], count)
        else:
            self._forward(words, count)

    def _eval(self, words: list[bytes], count: int) -> None:
        self._forward([words[0], *map(self._shared.scripts.script, words[1:2]), *words[2:]], count)

    def _evalsha(self, words: list[bytes], count: int) -> None:
        self._forward([words[0], *map(self._shared.scripts.name, words[1:2]), *words[2:]], count)

    def _function(self, words: list[bytes], count: int) -> None:
        if len(words) > 2 and words[1].lower() == b"load":
            words = [*words[:-1], self._shared.scripts.library(words[-1])]
        self._forward(words, count)

    # -- transactions

    def _begin_multi(self, words: list[bytes], count: int) -> None:
        self._forward(words, count)
        if not self._multi:
            self._multi, self._first_key = True, None

    def _discard(self, words: list[bytes], count: int) -> None:
        self._fetch.clear()
        self._end_multi(words)

    def _exec(self, words: list[bytes], count: int) -> None:
        if not self._fetch:
            self._end_multi(words)
            return
        self.requests.hold()
        self._wire.run(self._fetch_and_exec(words))

    async def _fetch_and_exec(self, words: list[bytes]) -> None:
        """What INFO and its like show in this transaction is asked for right before it."""
        for place, question in self._fetch:
            change = place.change
            assert change is not None
            answer = await self._shared.ask(question)
            place.payload = lambda protocol, answer=answer, change=change: change(answer, protocol)
            place.change = None
        self._fetch.clear()
        self._end_multi(words)
        self.requests.release()

    def _end_multi(self, words: list[bytes]) -> None:
        self._forward(words, len(words))
        self._multi = False
        if self._placeholders:
            self._placeholders = False
            if not self._silent:
                self._mark(Place(b""))

    def _crossslot(self, words: list[bytes]) -> bytes | None:
        """The error line for a command whose keys, or those of its transaction, are in several slots; else None."""
        behaviour, rules = self._shared.plan.behaviour, self._shared.rules
        if not behaviour.one_slot or (not self._multi and words[0].decode("latin-1").lower() in behaviour.cross_slot):
            return None
        crossing = rules.crossing(words, self._first_key if self._multi else None)
        if crossing is None:
            if self._multi and self._first_key is None and (keys := rules.keys(words)):
                self._first_key = (slot_of(keys[0]), keys[0])
            return None
        slot, key, first = crossing
        template = behaviour.crossslot_in_multi if self._multi and behaviour.crossslot_in_multi else behaviour.crossslot
        text = template.format(
            command=words[0].upper().decode("latin-1"),
            original_slot=slot_of(first),
            wrong_slot=slot,
            first_key=first[:128].decode("latin-1"),
            violating_key=key[:128].decode("latin-1"),
        )
        return text.encode("latin-1").replace(b"\r", b" ").replace(b"\n", b" ")

    # -- replies of our own, each in its place

    def _error(self, text: bytes) -> None:
        """Inside of a transaction the server's own refusal spoils it, as the product's would."""
        self._say(lambda protocol: frames.write(Error(text)))

    def _say(self, payload: Payload) -> None:
        if self._unanswered:
            self._wire.to_server(as_array([self._mark_name()]))
        else:
            self._mark(Place(b"", payload))

    def _answer(self, payload: Payload) -> None:
        """A success, which a transaction queues."""
        if not self._multi or self._unanswered:
            self._say(payload)
        else:
            self._placeholder(Place(b"", payload, maybe=True))

    def _ask_and_change(self, words: list[bytes], change: Callable[[bytes, int], bytes]) -> None:
        """Hand a command on, and change its reply."""
        if self._unanswered:
            self._forward(words, len(words))
        elif self._multi:
            place = Place(b"", change=change, maybe=True)
            self._fetch.append((place, words))
            self._placeholder(place)
        else:
            self._mark(Place(b"", collect=True))
            self._forward(words, len(words))
            self._mark(Place(b"", change=_each_frame(change)))

    def _placeholder(self, place: Place) -> None:
        name = self._mark_name()
        place.mark = frames.write(name)
        self._placeholders = True
        self._wire.to_server(as_array([b"ECHO", name]))
        self.replies.expect(place)

    def _mark(self, place: Place) -> None:
        name = self._mark_name()
        before, after = self._shared.mark_reply
        place.mark = before + name + after
        if len(self.replies) >= MOST_PLACES:
            self._wire.close("too many commands without a reply read")
            return
        self.replies.expect(place)
        self._wire.to_server(as_array([name]))

    def _mark_name(self) -> bytes:
        self._marks += 1
        return mark_name(self._secret, self._marks)

    def _forward(self, words: list[bytes], count: int) -> None:
        """The looked-at words of a command; its others follow by `passed`."""
        self._wire.to_server(b"*%d\r\n" % count + bulks(words))

    @property
    def _unanswered(self) -> bool:
        """Whether the client wants no reply to this command."""
        return self._silent or self.requests.commands == self._skipped

    # -- before the login

    def _command_before_login(self, words: list[bytes]) -> None:
        """The server refuses all but a login; each is answered before the next is sent, so that we know what was."""
        name = words[0].lower()
        refusal = self._shared.rules.refusal(words) if name == b"reset" else None
        if name == b"hello" and self._refuses_protocol(words):
            refusal = b"NOPROTO unsupported protocol version"
        if refusal is not None:
            self._wire.to_client(frames.write(Error(refusal)))
            return
        self.requests.hold()
        self.replies.await_frame(lambda frame: self._reply_before_login(words, frame))
        self._forward(words, len(words))

    def _reply_before_login(self, words: list[bytes], frame: bytes) -> None:
        name = words[0].lower()
        if name == b"hello":
            frame = self._changed_hello(words)(frame, self.replies.protocol)
        elif name == b"reset":
            self.replies.protocol = 2
        self._wire.to_client(frame)
        if frame.startswith(b"-"):
            self.requests.release()
        else:
            self._probe_access()

    def _probe_access(self) -> None:
        self.replies.await_frame(self._access_probed)
        self._wire.to_server(as_array([b"ECHO", self._secret]))

    def _access_probed(self, frame: bytes) -> None:
        if frame.startswith(b"-ERR max number of clients"):
            self._wire.to_client(frame)
            self._wire.close("")
            return
        self._locked = frame.startswith(b"-NOAUTH")
        self.requests.release()

    def _reset(self, words: list[bytes], count: int) -> None:
        """It logs out: back to one command at a time, once what was sent before has been answered."""
        if self._unanswered:
            self._wire.close("RESET after CLIENT REPLY OFF or SKIP is not simulated")
            return
        self.requests.hold()
        self._multi = self._silent = False
        self._fetch.clear()

        def reached() -> None:
            self.replies.await_frame(lambda frame: self._reply_before_login(words, frame))

        self._mark(Place(b"", then=reached))
        self._locked = True
        self._forward(words, count)


def mark_name(secret: bytes, number: int) -> bytes:
    """A command that no server has, nor anybody can guess."""
    return b"X%b%010d" % (secret, number)


def _each_frame(change: Callable[[bytes, int], bytes]) -> Callable[[bytes, int], bytes]:
    """A push message may have come between; only the reply changes."""

    def change_all(data: bytes, protocol: int) -> bytes:
        return b"".join(frame if frame[:1] == b">" else change(frame, protocol) for frame in frames.frames(data))

    return change_all


_Handler = Callable[[Session, list[bytes], int], None]
_HANDLERS: dict[bytes, _Handler] = {
    MARK.encode(): Session._mark_question,
    b"info": Session._info,
    b"config": Session._config,
    b"cluster": Session._cluster,
    b"hello": Session._hello,
    b"client": Session._client,
    b"script": Session._script,
    b"function": Session._function,
    b"eval": Session._eval,
    b"eval_ro": Session._eval,
    b"evalsha": Session._evalsha,
    b"evalsha_ro": Session._evalsha,
    b"multi": Session._begin_multi,
    b"exec": Session._exec,
    b"discard": Session._discard,
    b"reset": Session._reset,
}

__all__ = ["Session", "Shared", "Wire", "mark_name"]
