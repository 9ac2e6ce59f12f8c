"""MULTI to EXEC: keys that must share a slot, and what is shown of INFO and its like inside."""

from __future__ import annotations

from .answers import Answers
from .requests import Requests
from .shared import Shared, Wire
from .slots import slot_of

_SHOWN = 128  # bytes of a key in an error


class Transaction:
    """first_key: the one, with its slot, that all others must share a slot with."""

    def __init__(self, shared: Shared, wire: Wire, requests: Requests, answers: Answers) -> None:
        self._shared, self._wire, self._requests, self._answers = shared, wire, requests, answers
        self._first_key: tuple[int, bytes] | None = None

    def begin(self, words: list[bytes], count: int) -> None:
        self._answers.forward(words, count)
        if not self._answers.in_multi and count == 1:
            self._answers.in_multi, self._first_key = True, None

    def discard(self, words: list[bytes], count: int) -> None:
        if count != 1:
            self._answers.forward(words, count)  # the server says what is wrong with it
            return
        self._answers.to_fetch.clear()
        self._answers.end_multi(words)

    def execute(self, words: list[bytes], count: int) -> None:
        if not self._answers.to_fetch:
            self._answers.end_multi(words)
            return
        self._requests.hold()
        self._wire.run(self._fetch_and_execute(words))

    def reset(self) -> None:
        self._answers.in_multi = False
        self._answers.to_fetch.clear()

    def crossslot(self, words: list[bytes]) -> bytes | None:
        """The error line for a command whose keys, or those of its transaction, are in several slots; else None."""
        behaviour, rules = self._shared.plan.behaviour, self._shared.rules
        in_multi = self._answers.in_multi
        if not behaviour.one_slot or (not in_multi and words[0].decode("latin-1").lower() in behaviour.cross_slot):
            return None
        crossing = rules.crossing(words, self._first_key if in_multi else None)
        if crossing is None:
            if in_multi and self._first_key is None and (keys := rules.keys(words)):
                self._first_key = (slot_of(keys[0]), keys[0])
            return None
        return self._crossslot_text(words[0], *crossing)

    def _crossslot_text(self, name: bytes, slot: int, key: bytes, first: bytes) -> bytes:
        behaviour = self._shared.plan.behaviour
        spoils = self._answers.in_multi and behaviour.crossslot_in_multi
        text = (behaviour.crossslot_in_multi if spoils else behaviour.crossslot).format(
            command=name.upper().decode("latin-1"),
            original_slot=slot_of(first),
            wrong_slot=slot,
            first_key=first[:_SHOWN].decode("latin-1"),
            violating_key=key[:_SHOWN].decode("latin-1"),
        )
        return text.encode("latin-1").replace(b"\r", b" ").replace(b"\n", b" ")

    async def _fetch_and_execute(self, words: list[bytes]) -> None:
        """What INFO and its like show in this transaction is asked for right before it."""
        for place, question in self._answers.to_fetch:
            change = place.change
            assert change is not None
            answer = await self._shared.ask(question)
            place.payload = lambda protocol, answer=answer, change=change: change(answer, protocol)
            place.change = None
        self._answers.to_fetch.clear()
        self._answers.end_multi(words)
        self._requests.release()
