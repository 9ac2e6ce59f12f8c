"""The workload list_append: the numbers 1..N by RPUSH into one list, in any batch shape.

Here are its payloads and what its replies mean; sending, marks and breaks are the stream writer's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, cycle

from harness.history import Ledger
from harness.resp import encode
from harness.resp.replies import OK, ErrorReply, Reply, is_refusal
from harness.workload.base import Marks, Patience, Route
from harness.workload.lengths import Lengths
from harness.workload.outcomes import Commands, Outcomes, grouped
from harness.workload.stream_writer import Send, StreamWriter

WINDOW = 3  # sends in flight
MOST_COMMANDS = 20_000  # a send of a pipeline
VARIADIC_COMMANDS = 1000  # a send, at most
VARIADIC_ELEMENTS = 10_000  # a send is full with these
SHAPES = ("single", "pipeline", "variadic", "multi")
_BEGIN, _END = encode.command("MULTI"), encode.command("EXEC")


@dataclass(frozen=True)
class AppendPlan:
    """What is written. values: N; shape: one of SHAPES; sizes: elements a batch, after the last the first again."""

    key: bytes
    values: int
    shape: str = "pipeline"
    sizes: tuple[int, ...] = (1000,)

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"a batch shape is one of {', '.join(SHAPES)}, not {self.shape!r}")
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"batch sizes are at least 1, not {self.sizes!r}")


class ListAppendWriter(StreamWriter):
    """Writes a plan into the list; see workload.base.Writer."""

    def __init__(
        self,
        plan: AppendPlan,
        route: Route,
        ledger: Ledger,
        marks: Marks | None = None,
        *,
        index: int = 0,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(ListAppend(plan, Outcomes(ledger)), route, marks, index, patience)


class ListAppend:
    """workload.stream_writer.Source: what is sent next."""

    def __init__(self, plan: AppendPlan, outcomes: Outcomes) -> None:
        self.key, self.outcomes = plan.key, outcomes
        self.window = 1 if plan.shape == "single" else WINDOW
        self.lengths = Lengths()
        self.integers = encode.integer_replies()
        self._plan, self._next = plan, 1
        self._sizes = cycle(plan.sizes)
        self._left = 0  # of a pipelined batch that is too large for one send
        self._commands = encode.one_value_commands(b"RPUSH", plan.key)
        self._bulks = encode.bulk_numbers()
        self._name = encode.bulk(b"RPUSH") + encode.bulk(plan.key)

    @property
    def finished(self) -> bool:
        return self._next > self._plan.values

    @property
    def at_boundary(self) -> bool:
        return self._left == 0

    def broke(self, connection: int, elements: int, fenced: bool) -> None:
        """The rest of a batch begun on that connection goes on as a batch of its own."""
        self.lengths.broke(connection, elements, fenced)

    def next_send(self, connection: int, allowed: int) -> tuple[bytes, Send]:
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
        return min(next(self._sizes), self._plan.values - self._next + 1)

    def _take(self, count: int) -> int:
        first, self._next = self._next, self._next + count
        return first

    def _pipelined(self, connection: int, count: int) -> tuple[bytes, Send]:
        first = self._take(count)
        return self._commands.build(first, count), AppendSend(self, connection, first, (1,) * count)

    def _variadic(self, connection: int, allowed: int) -> tuple[bytes, Send]:
        sizes: list[int] = []
        parts: list[bytes] = []
        start, most = self._next, min(allowed, VARIADIC_ELEMENTS)
        while self._next - start < most and len(sizes) < VARIADIC_COMMANDS and not self.finished:
            size = self._batch()
            parts += (encode.array_header(size + 2), self._name, self._bulks.build(self._take(size), size))
            sizes.append(size)
        return b"".join(parts), AppendSend(self, connection, start, tuple(sizes))

    def _transaction(self, connection: int, size: int) -> tuple[bytes, Send]:
        first = self._take(size)
        payload = b"".join((_BEGIN, self._commands.build(first, size), _END))
        return payload, TransactionSend(self, connection, first, (1,) * size)

    def appended(self, connection: int, commands: Commands, length: int) -> None:
        """These commands were executed, and then the list had this length."""
        if entry := self.lengths.told(connection, commands.first, commands.last, length):
            self.outcomes.add(entry)
        self.outcomes.acknowledged(connection, commands.first, commands.last, commands.size)

    def undecided(self, connection: int, commands: Commands, error: str) -> None:
        """These commands were answered, but not so that anybody knows whether they were executed."""
        self.outcomes.undecided(connection, commands, error)
        self.lengths.undecided(commands.last - commands.first + 1)

    def answered(self, connection: int, commands: Commands, reply: Reply) -> None:
        """This command got this reply."""
        if isinstance(reply, int):
            self.appended(connection, commands, reply)
        elif isinstance(reply, ErrorReply) and is_refusal(reply):
            self.outcomes.refused(connection, commands.first, commands.last, reply.text)
        else:
            self.undecided(connection, commands, _text(reply))


class AppendSend:
    """RPUSH commands of these sizes, from element `first` on."""

    def __init__(self, source: ListAppend, connection: int, first: int, sizes: tuple[int, ...]) -> None:
        self.elements = sum(sizes)
        self._source, self._connection, self._sizes = source, connection, sizes
        self._first = self._next = first  # _next: the first element of the first command that was not answered
        self._answered = 0

    @property
    def replies(self) -> int:
        return len(self._sizes)

    def expected(self) -> bytes:
        length = self._source.lengths.expected
        if self.elements == len(self._sizes):
            return self._source.integers.build(length + 1, self.elements)
        lengths = tuple(accumulate(self._sizes, initial=length))[1:]
        return b":%d\r\n" * len(lengths) % lengths

    def matched(self) -> None:
        whole = self._whole(_common_size(self._sizes))
        self._source.appended(self._connection, whole, self._source.lengths.expected + self.elements)

    def answered(self, index: int, reply: Reply) -> None:
        self._source.answered(self._connection, self._next_command(), reply)

    def unanswered(self) -> Iterator[Commands]:
        return grouped(self._next, self._sizes[self._answered :])

    def _whole(self, size: int) -> Commands:
        return Commands(self._first, self._first + self.elements - 1, size)

    def _next_command(self) -> Commands:
        size = self._sizes[self._answered]
        command = Commands(self._next, self._next + size - 1, size)
        self._next += size
        self._answered += 1
        return command


class TransactionSend(AppendSend):
    """One-element RPUSH commands between MULTI and EXEC: one outcome, unless MULTI itself was not taken."""

    _alone = False  # MULTI was not answered with OK: each command stands for itself
    _objection = ""  # the first error while commands were queued

    @property
    def replies(self) -> int:
        return self.elements + 2

    def expected(self) -> bytes:
        queued = b"+OK\r\n" + b"+QUEUED\r\n" * self.elements + encode.array_header(self.elements)
        return queued + super().expected()

    def matched(self) -> None:
        whole = self._whole(self.elements)
        self._source.appended(self._connection, whole, self._source.lengths.expected + self.elements)

    def answered(self, index: int, reply: Reply) -> None:
        if index == 0:
            self._alone = reply != OK
        elif index > self.elements:
            if not self._alone:
                self._executed(reply)
        elif self._alone:
            super().answered(index, reply)
        elif isinstance(reply, ErrorReply):
            self._objection = self._objection or f" ({reply.text})"

    def unanswered(self) -> Iterator[Commands]:
        return super().unanswered() if self._alone else iter((self._whole(self.elements),))

    def _executed(self, reply: Reply) -> None:
        """EXEC's reply: what it says of each command, or of all of them at once."""
        source, connection, whole = self._source, self._connection, self._whole(self.elements)
        if isinstance(reply, list) and len(reply) == self.elements:
            for one in reply:
                source.answered(connection, self._next_command(), one)
        elif isinstance(reply, list):
            error = f"EXEC was answered with {len(reply)} replies to {self.elements} commands"
            source.undecided(connection, whole, error)
        elif reply is None:
            source.outcomes.refused(connection, whole.first, whole.last, "EXEC was answered with nil")
        elif isinstance(reply, ErrorReply):
            source.answered(connection, whole, ErrorReply(reply.text + self._objection))
        else:
            source.undecided(connection, whole, f"EXEC: {_text(reply)}")


def _common_size(sizes: tuple[int, ...]) -> int:
    """The size of all these commands, the last of which may be shorter; 0 where they differ."""
    size, last = sizes[0], sizes[-1]
    equal = sizes.count(size)
    return size if equal == len(sizes) or (equal == len(sizes) - 1 and last < size) else 0


def _text(reply: Reply) -> str:
    return reply.text if isinstance(reply, ErrorReply) else f"an unexpected reply: {reply!s:.100}"
