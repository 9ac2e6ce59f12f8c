"""Commands that are looked at one by one: what each of them shows, or becomes, by the product's rules."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from . import frames, shown
from .answers import Answers, Change
from .commands import integer
from .plan import Behaviour
from .replies import Replies
from .requests import Requests
from .shared import Shared, Wire

OK: Final = b"+OK\r\n"
_NO_DATABASE: Final = b"ERR DB index is out of range"
_NO_REPLY_IN_MULTI: Final = b"ERR CLIENT REPLY inside a transaction is not simulated"
_NO_DUMPS: Final = b"ERR a simulated endpoint can't look into a dump of functions; use FUNCTION LOAD"


class Handlers:
    """One for each session; `of` finds what is to be done with a command, None where it is only handed on."""

    def __init__(self, shared: Shared, wire: Wire, requests: Requests, answers: Answers) -> None:
        self._shared, self._wire, self._requests, self._answers = shared, wire, requests, answers
        self._behaviour = shared.plan.behaviour
        self._table: dict[bytes, Callable[[list[bytes], int], None]] = {
            b"harness": self._mark_question,
            b"info": self._info,
            b"config": self._config,
            b"cluster": self._cluster,
            b"hello": self._hello,
            b"client": self._client,
            b"copy": self._copy,
            b"script": self._script,
            b"function": self._function,
            b"eval": self._eval,
            b"eval_ro": self._eval,
            b"evalsha": self._evalsha,
            b"evalsha_ro": self._evalsha,
        }

    def of(self, name: bytes) -> Callable[[list[bytes], int], None] | None:
        """name: in lower case."""
        if name.decode("latin-1") in self._behaviour.accepted:
            return self._accept
        if name == b"select" and self._behaviour.select:
            return self._select
        return self._table.get(name)

    def _accept(self, words: list[bytes], count: int) -> None:
        self._answers.answer(lambda protocol: OK)

    def _mark_question(self, words: list[bytes], count: int) -> None:
        self._answers.answer(lambda protocol: frames.write(f"simulated {self._shared.plan.profile}".encode()))

    def _select(self, words: list[bytes], count: int) -> None:
        number = integer(words[1]) if len(words) == 2 else None
        if number is None:
            self._answers.forward(words, count)  # the server says what is wrong with it
        elif self._behaviour.select == "no-op" or number == 0:
            self._answers.answer(lambda protocol: OK)
        elif self._has_database(number):
            self._answers.forward(words, count)
        else:
            self._answers.error(_NO_DATABASE)

    def _has_database(self, number: int) -> bool:
        databases = self._behaviour.databases
        return databases is None or 0 <= number < databases

    def _copy(self, words: list[bytes], count: int) -> None:
        pairs = pairwise(words[3:])
        chosen = [integer(after) for word, after in pairs if word.lower() == b"db"]
        if all(number is None or self._has_database(number) for number in chosen):
            self._answers.forward(words, count)
        else:
            self._answers.error(_NO_DATABASE)

    def _info(self, words: list[bytes], count: int) -> None:
        self._answers.ask_and_change(words, self._changed_info)

    def _changed_info(self, frame: bytes, protocol: int) -> bytes:
        if frame[:1] not in b"$=":
            return frame
        text, plan = frames.parse(frame), self._shared.plan
        if not isinstance(text, bytes):
            return frame
        return frames.write_text(shown.info(text, plan.behaviour, self._wire.address[1], plan.profile), protocol)

    def _config(self, words: list[bytes], count: int) -> None:
        subcommand = words[1].lower() if len(words) > 1 else b""
        if self._behaviour.config is None or subcommand not in (b"get", b"set"):
            self._answers.forward(words, count)
        elif subcommand == b"get":
            self._answers.ask_and_change(words, self._changed_config)
        elif objection := shown.config_objection(words[2:], self._behaviour):
            self._answers.error(objection)
        else:
            self._answers.forward(words, count)

    def _changed_config(self, frame: bytes, protocol: int) -> bytes:
        if frame[:1] not in b"*%":
            return frame
        kept = shown.config(frames.parse(frame), self._behaviour)
        return frames.write_map(kept, protocol) if isinstance(kept, list) else frame

    def _cluster(self, words: list[bytes], count: int) -> None:
        layout, wire = self._shared.layout, self._wire
        subcommand = words[1].decode("latin-1").lower() if len(words) > 1 else ""
        if not (self._behaviour.cluster or layout.is_cluster) or subcommand not in shown.CLUSTER_SHOWN:
            self._answers.forward(words, count)
            return
        tls = self._shared.plan.certificate is not None
        self._answers.answer(lambda protocol: shown.cluster(words, protocol, layout, wire.address, tls=tls))

    def _hello(self, words: list[bytes], count: int) -> None:
        answers, behaviour = self._answers, self._behaviour
        if refuses_protocol(words, behaviour):
            answers.error(b"NOPROTO unsupported protocol version")
        elif answers.in_multi:
            answers.error(b"ERR Command not allowed inside a transaction")
        elif answers.unanswered:
            answers.forward(words, count)
            answers.replies.protocol = 3 if words[1:2] == [b"3"] else answers.replies.protocol
        else:
            answers.ask_and_change(words, changed_hello(words, answers.replies, behaviour))

    def _client(self, words: list[bytes], count: int) -> None:
        subcommand = [word.lower() for word in words[1:]]
        if subcommand[:1] == [b"reply"] and self._answers.in_multi:
            self._answers.error(_NO_REPLY_IN_MULTI)
            return
        self._answers.forward(words, count)
        if subcommand == [b"reply", b"on"]:
            self._answers.silent = False
        elif subcommand == [b"reply", b"off"]:
            self._answers.silent = True
        elif subcommand == [b"reply", b"skip"]:
            self._answers.skipped = self._requests.commands + 1

    def _script(self, words: list[bytes], count: int) -> None:
        scripts = self._shared.scripts
        subcommand = words[1].lower() if len(words) > 1 else b""
        if subcommand == b"load" and len(words) == 3:
            self._script_load(words, count)
        elif subcommand == b"exists":
            self._answers.forward([*words[:2], *map(scripts.name, words[2:])], count)
        else:
            self._answers.forward(words, count)

    def _script_load(self, words: list[bytes], count: int) -> None:
        scripts = self._shared.scripts
        shown_reply = frames.write(scripts.shown_name(words[2]))
        changed = [*words[:2], scripts.script(words[2])]
        if self._answers.in_multi:
            self._answers.forward(changed, count)
        else:
            self._answers.ask_and_change(changed, lambda frame, protocol: shown_reply if frame[:1] == b"$" else frame)

    def _eval(self, words: list[bytes], count: int) -> None:
        self._answers.forward([words[0], *map(self._shared.scripts.script, words[1:2]), *words[2:]], count)

    def _evalsha(self, words: list[bytes], count: int) -> None:
        self._answers.forward([words[0], *map(self._shared.scripts.name, words[1:2]), *words[2:]], count)

    def _function(self, words: list[bytes], count: int) -> None:
        if len(words) > 2 and words[1].lower() == b"restore":
            self._answers.error(_NO_DUMPS)
            return
        if len(words) > 2 and words[1].lower() == b"load":
            words = [*words[:-1], self._shared.scripts.library(words[-1])]
        self._answers.forward(words, count)


def refuses_protocol(words: list[bytes], behaviour: Behaviour) -> bool:
    return words[1:2] == [b"3"] and not behaviour.resp3


def changed_hello(words: list[bytes], replies: Replies, behaviour: Behaviour) -> Change:
    def change(frame: bytes, protocol: int) -> bytes:
        if frame[:1] not in b"*%":
            return frame
        if words[1:2] in ([b"2"], [b"3"]):
            replies.protocol = protocol = int(words[1])
        reply = shown.hello(frames.parse(frame), behaviour)
        return frames.write_map(reply, protocol) if isinstance(reply, list) else frame

    return change
