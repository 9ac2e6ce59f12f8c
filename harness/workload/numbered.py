"""Numbered elements written to one key, whatever its type, in any batch shape.

Here is what is sent next and what its replies mean; sending, marks and breaks are the stream writer's, the commands'
bytes the dialect's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from harness.history import Ledger
from harness.kinds import KINDS
from harness.resp import encode
from harness.resp.replies import OK, ErrorReply, Reply, is_refusal
from harness.values import Values
from harness.workload.answers import answers_of
from harness.workload.base import Marks, Patience, Route
from harness.workload.dialect import DIALECTS, USUAL, Style
from harness.workload.outcomes import Commands, Outcomes
from harness.workload.stream_writer import StreamWriter

WINDOW = 3  # sends in flight
MOST_COMMANDS = 20_000  # a send of a pipeline
VARIADIC_COMMANDS = 1000  # a send, at most
VARIADIC_ELEMENTS = 10_000  # a send is full with these
FIRST_ELEMENTS = 1000  # the first one; then as many as were sent before: a server works while more is being made
SHAPES = ("single", "pipeline", "variadic", "multi")
_BEGIN, _END = encode.command("MULTI"), encode.command("EXEC")


@dataclass(frozen=True)
class WritePlan:
    """What is written. values: how many, or which; shape: one of SHAPES; sizes: elements a batch, after the last the
    first again. shared: whether others write the same key at the same time; lossy: whether a fault may take back what
    was acknowledged, so that lengths say nothing, and the ledger is stamped with times.
    """

    key: bytes
    values: int | Values
    shape: str = "pipeline"
    sizes: tuple[int, ...] = (1000,)
    kind: str = "list_append"
    style: Style = USUAL
    shared: bool = False
    lossy: bool = False

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"a batch shape is one of {', '.join(SHAPES)}, not {self.shape!r}")
        if self.shape == "variadic" and not KINDS[self.kind].variadic:
            raise ValueError(f"{KINDS[self.kind].article} takes one element a command")
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"batch sizes are at least 1, not {self.sizes!r}")

    @property
    def numbers(self) -> Values:
        return self.values if isinstance(self.values, Values) else Values(self.values)


class NumberedWriter(StreamWriter):
    """Writes a plan; see workload.base.Writer."""

    def __init__(
        self,
        plan: WritePlan,
        route: Route,
        ledger: Ledger,
        marks: Marks | None = None,
        *,
        index: int = 0,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(Numbered(plan, Outcomes(ledger)), route, marks, index, patience)


class Numbered:
    """workload.stream_writer.Source: what is sent next."""

    def __init__(self, plan: WritePlan, outcomes: Outcomes) -> None:
        self.key, self.outcomes = plan.key, outcomes
        self.window = 1 if plan.shape == "single" else WINDOW
        self.answers = answers_of(plan.kind, outcomes, shared=plan.shared or plan.lossy)
        self._plan, self._numbers = plan, plan.numbers
        self._next = 0  # the index of the next number
        self._sizes = cycle(plan.sizes)
        self._left = 0  # of a pipelined batch that is too large for one send
        self._dialect = DIALECTS[plan.kind](plan.key, plan.style)

    @property
    def finished(self) -> bool:
        return self._next >= self._numbers.count

    @property
    def at_boundary(self) -> bool:
        return self._left == 0

    def broke(self, connection: int, elements: int, fenced: bool) -> None:
        """The rest of a batch begun on that connection goes on as a batch of its own."""
        self.answers.broke(connection, elements, fenced)

    def next_send(self, connection: int, allowed: int) -> tuple[bytes, NumberedSend]:
        if self._plan.shape == "single":
            return self._pipelined(connection, 1)
        if self._plan.shape == "variadic":
            return self._variadic(connection, allowed)
        if self._plan.shape == "multi":
            return self._transaction(connection, self._batch())
        self._left = self._left or self._batch()
        size = min(self._left, MOST_COMMANDS)
        self._left -= size
        return self._pipelined(connection, size)

    def _batch(self) -> int:
        return min(next(self._sizes), self._numbers.count - self._next)

    def batch(self, most: int) -> int:
        """The size of the next batch, which is taken up with it, or of the rest of one that was begun."""
        size = min(self._left or self._batch(), most)
        self._left = 0
        return size

    @property
    def shape(self) -> str:
        return self._plan.shape

    @property
    def command_size(self) -> int | None:
        """Elements a command; None where a stretch of a batch is one command."""
        return None if self._plan.shape == "variadic" else 1

    def take(self, count: int, size: int | None = None) -> list[Commands]:
        """The next numbers, in commands of `size` (None: all of a stretch in one)."""
        runs = list(self._numbers.runs(self._next, count))
        self._next += count
        return [Commands(first, first + length - 1, size or length) for first, length in runs]

    def _pipelined(self, connection: int, count: int) -> tuple[bytes, NumberedSend]:
        parts = self.take(count, 1)
        return self.payload(parts), NumberedSend(self, connection, parts)

    def payload(self, parts: Sequence[Commands]) -> bytes:
        """The bytes of these commands."""
        return b"".join([self._part(part) for part in parts])

    def _part(self, part: Commands) -> bytes:
        if part.size == 1:
            return self._dialect.singles(part.first, part.elements)
        ones = (part.one(index) for index in range(part.count))
        return b"".join([self._dialect.together(one.first, one.elements) for one in ones])

    def in_transaction(self, parts: Sequence[Commands]) -> bytes:
        return b"".join((_BEGIN, *(self._part(part) for part in parts), _END))

    def _variadic(self, connection: int, allowed: int) -> tuple[bytes, NumberedSend]:
        parts: list[Commands] = []
        start, most = self._next, min(allowed, max(FIRST_ELEMENTS, min(self._next, VARIADIC_ELEMENTS)))
        while self._next - start < most and len(parts) < VARIADIC_COMMANDS and not self.finished:
            parts += self.take(self._batch())
        payload = b"".join([self._dialect.together(part.first, part.elements) for part in parts])
        return payload, NumberedSend(self, connection, _joined(parts))

    def _transaction(self, connection: int, size: int) -> tuple[bytes, NumberedSend]:
        parts = self.take(size, 1)
        return self.in_transaction(parts), TransactionSend(self, connection, parts)

    def succeeded(self, connection: int, part: Commands, size: int) -> None:
        """size: elements a command (0: of several sizes)."""
        self.outcomes.acknowledged(connection, part.first, part.last, size)

    def undecided(self, connection: int, commands: Commands, error: str) -> None:
        """These commands were answered, but not so that anybody knows whether they were executed."""
        self.outcomes.undecided(connection, commands, error)
        self.answers.undecided(commands.elements)

    def refused(self, connection: int, commands: Commands, error: str) -> None:
        """These commands surely did not happen."""
        self.outcomes.refused(connection, commands.first, commands.last, error)

    def answered(self, connection: int, command: Commands, reply: Reply) -> None:
        """This one command got this reply."""
        if isinstance(reply, ErrorReply) and is_refusal(reply):
            self.refused(connection, command, reply.text)
        elif self.answers.success(connection, command, reply):
            self.succeeded(connection, command, command.size)
        else:
            self.undecided(connection, command, _text(reply))


class NumberedSend:
    """Commands on their way, in stretches of consecutive numbers."""

    def __init__(self, source: Numbered, connection: int, parts: Sequence[Commands]) -> None:
        self.source, self.outcomes = source, source.outcomes
        self.elements = sum(part.elements for part in parts)
        self.fresh = self.elements  # those that were never sent before
        self.commands = sum(part.count for part in parts)
        self._connection, self._parts = connection, parts
        self._part = self._index = 0  # the first command that was not answered

    @property
    def replies(self) -> int:
        return self.commands

    def expected(self) -> bytes | None:
        return self.source.answers.expected(self._parts)

    def matched(self) -> None:
        for part in self._parts:
            self.source.answers.matched(self._connection, part)
            self.source.succeeded(self._connection, part, part.size)

    def answered(self, index: int, reply: Reply) -> None:
        self.source.answered(self._connection, self._next_command(), reply)

    def unanswered(self) -> Iterator[Commands]:
        for number, part in enumerate(self._parts[self._part :]):
            if (rest := part if number else part.rest(self._index)).elements:
                yield rest

    def _next_command(self) -> Commands:
        part = self._parts[self._part]
        command = part.one(self._index)
        self._index += 1
        if self._index == part.count:
            self._part, self._index = self._part + 1, 0
        return command


class TransactionSend(NumberedSend):
    """One-element commands between MULTI and EXEC: one outcome, unless MULTI itself was not taken."""

    _alone = False  # MULTI was not answered with OK: each command stands for itself
    _objection = ""  # the first error while commands were queued

    @property
    def replies(self) -> int:
        return self.commands + 2

    def expected(self) -> bytes | None:
        executed = super().expected()
        queued = b"+OK\r\n" + b"+QUEUED\r\n" * self.commands + encode.array_header(self.commands)
        return None if executed is None else queued + executed

    def matched(self) -> None:
        for part in self._parts:
            self.source.answers.matched(self._connection, part)
            self.source.succeeded(self._connection, part, part.elements)

    def answered(self, index: int, reply: Reply) -> None:
        if index == 0:
            self._alone = reply != OK
        elif index > self.commands:
            if not self._alone:
                self._executed(reply)
        elif self._alone:
            super().answered(index, reply)
        elif isinstance(reply, ErrorReply):
            self._objection = self._objection or f" ({reply.text})"

    def unanswered(self) -> Iterator[Commands]:
        return super().unanswered() if self._alone else self._whole()

    def _whole(self) -> Iterator[Commands]:
        """All of it; where the numbers are not consecutive, stretch by stretch."""
        return (Commands(part.first, part.last, part.elements) for part in self._parts)

    def _executed(self, reply: Reply) -> None:
        """EXEC's reply: what it says of each command, or of all of them at once."""
        source, connection = self.source, self._connection
        if isinstance(reply, list) and len(reply) == self.commands:
            for one in reply:
                source.answered(connection, self._next_command(), one)
            return
        for whole in self._whole():
            if isinstance(reply, list):
                error = f"EXEC was answered with {len(reply)} replies to {self.commands} commands"
                source.undecided(connection, whole, error)
            elif reply is None:
                source.refused(connection, whole, "EXEC was answered with nil")
            elif isinstance(reply, ErrorReply):
                source.answered(connection, whole, ErrorReply(reply.text + self._objection))
            else:
                source.undecided(connection, whole, f"EXEC: {_text(reply)}")


def _joined(parts: Sequence[Commands]) -> list[Commands]:
    """The same commands in as few stretches as say where each command begins."""
    joined: list[Commands] = []
    for part in parts:
        before = joined[-1] if joined else None
        fits = before is not None and before.last + 1 == part.first and part.size <= before.size
        if before is not None and fits and before.elements % before.size == 0:
            joined[-1] = Commands(before.first, part.last, before.size)
        else:
            joined.append(part)
    return joined


def _text(reply: Reply) -> str:
    return reply.text if isinstance(reply, ErrorReply) else f"an unexpected reply: {reply!s:.100}"
