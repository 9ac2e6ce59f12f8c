"""What a server answers to the commands of each type of key: which bytes mean success, and what a success tells.

A list's and a string's answers tell the length, which shows what became of commands without an answer; the others tell
only that the command worked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from harness.history import LengthJump
from harness.kinds import KINDS
from harness.resp import encode
from harness.resp.replies import Reply
from harness.workload.lengths import Lengths
from harness.workload.outcomes import Commands, Outcomes


class Answers(Protocol):
    """Of one key; elements are told in the order in which their commands were sent."""

    def expected(self, parts: Sequence[Commands]) -> bytes | None:
        """The bytes of all replies to these commands if all go well; None where they can't be known."""

    def matched(self, connection: int, part: Commands) -> None:
        """The replies were these."""

    def success(self, connection: int, commands: Commands, reply: Reply) -> bool:
        """Whether this reply to one command is a success."""

    def broke(self, connection: int, elements: int, fenced: bool) -> None:
        """This connection ended with so many elements of this key open."""

    def undecided(self, elements: int) -> None:
        """A command of this many elements was answered by an error that decides nothing."""


class _Plain:
    """Answers that tell nothing of commands without one."""

    def matched(self, connection: int, part: Commands) -> None:
        """Nothing more is learnt."""

    def broke(self, connection: int, elements: int, fenced: bool) -> None:
        """Nothing will tell how many were executed."""

    def undecided(self, elements: int) -> None:
        """Nothing will tell whether it was executed."""


class LengthAnswers:
    """RPUSH, LPUSH, APPEND: the length after the command. unit: what one element adds to it."""

    def __init__(self, outcomes: Outcomes, unit: int) -> None:
        self.lengths = Lengths()
        self._outcomes, self._unit = outcomes, unit
        self._integers = encode.integer_replies()

    def expected(self, parts: Sequence[Commands]) -> bytes:
        length, replies = self.lengths.expected, []
        for part in parts:
            replies.append(self._of(part, length))
            length += part.elements
        return b"".join(replies)

    def _of(self, part: Commands, length: int) -> bytes:
        if part.size == 1 and self._unit == 1:
            return self._integers.build(length + 1, part.elements)
        lengths = tuple(self._unit * after for after in accumulate(part.sizes(), initial=length))[1:]
        return b":%d\r\n" * len(lengths) % lengths

    def matched(self, connection: int, part: Commands) -> None:
        self._told(connection, part, self.lengths.expected + part.elements)

    def success(self, connection: int, commands: Commands, reply: Reply) -> bool:
        if not isinstance(reply, int):
            return False
        self._told(connection, commands, reply // self._unit)
        return True

    def _told(self, connection: int, commands: Commands, length: int) -> None:
        if entry := self.lengths.told(connection, commands.first, commands.last, length):
            self._outcomes.add(entry)

    def broke(self, connection: int, elements: int, fenced: bool) -> None:
        self.lengths.broke(connection, elements, fenced)

    def undecided(self, elements: int) -> None:
        self.lengths.undecided(elements)


MOST_JUMPS = 100  # that are told of one key


class CountAnswers(_Plain):
    """SADD, HSET, ZADD: how many elements were new. All are, since each is sent by one command that can have worked."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes, self._jumps = outcomes, 0

    def expected(self, parts: Sequence[Commands]) -> bytes:
        return b"".join([self._of(part) for part in parts])

    def _of(self, part: Commands) -> bytes:
        whole, rest = divmod(part.elements, part.size)
        return b":%d\r\n" % part.size * whole + (b":%d\r\n" % rest if rest else b"")

    def success(self, connection: int, commands: Commands, reply: Reply) -> bool:
        if not isinstance(reply, int):
            return False
        if reply != commands.elements and self._jumps < MOST_JUMPS:
            self._jumps += 1
            self._outcomes.add(LengthJump(connection, commands.last, commands.elements, reply))
        return True


class IdAnswers(_Plain):
    """XADD: the entry's id."""

    def __init__(self) -> None:
        self._ids = encode.Numbers(lambda width: b"$%d\r\n" % (width + 2), b"-1\r\n")

    def expected(self, parts: Sequence[Commands]) -> bytes:
        return b"".join([self._ids.build(part.first, part.elements) for part in parts])

    def success(self, connection: int, commands: Commands, reply: Reply) -> bool:
        return reply == b"%d-1" % commands.last


class SharedLengthAnswers(_Plain):
    """RPUSH, LPUSH, APPEND where other producers write the same key: any length."""

    def expected(self, parts: Sequence[Commands]) -> None:
        return None

    def success(self, connection: int, commands: Commands, reply: Reply) -> bool:
        return isinstance(reply, int)


def answers_of(kind: str, outcomes: Outcomes, *, shared: bool) -> Answers:
    """shared: whether lengths say nothing of what was sent, as where others write the same key."""
    data_type = KINDS[kind]
    if data_type.name == "stream":
        return IdAnswers()
    if not data_type.ordered:
        return CountAnswers(outcomes)
    return SharedLengthAnswers() if shared else LengthAnswers(outcomes, data_type.unit)
