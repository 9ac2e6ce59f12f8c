"""What each toxic does to the bytes of one direction of one connection: a queue with a rule for what leaves when.

No sockets and no clock here: whoever drives a stage tells it the time (seconds, monotonic). A piece carries the time
at which it arrived; of all toxics only latency moves that time on, so that a latency behind a bandwidth counts from
the arrival at the proxy, as Toxiproxy does it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

END: Final = None  # in place of bytes: the sender has closed, and nothing follows
Piece = tuple[float, "memoryview | None"]  # (time of arrival, bytes or END)

PIECE_OVERHEAD: Final = 128  # what a queued piece costs in memory beyond its bytes, so that tiny ones count too
PATIENCE_BYTES: Final = 64 * 1024  # held by one direction before its sender is made to wait
DELAY_BYTES: Final = 32 * 1024 * 1024  # the same where bytes are held for their delay, not for want of room


class Stage:
    """One toxic at work on one direction of one connection; of itself it lets everything pass (`noop`).

    active: whether the toxic met this connection when toxicity was drawn; if not, everything passes.
    over: it has given END; nothing comes after that, whatever is still put in.
    """

    kind = "noop"
    fields: Mapping[str, str] = {}  # attribute -> the Go type that Toxiproxy's error messages name

    def __init__(self, attributes: Mapping[str, int], now: float, *, active: bool = True) -> None:
        self._queue: deque[Piece] = deque()
        self.held = 0
        self.active = active
        self.over = False
        self.configure(attributes, now)

    def configure(self, attributes: Mapping[str, int], now: float) -> None:
        """Take over new settings; called once at the start and after every update of the toxic."""

    @property
    def patience(self) -> int:
        """Bytes that may wait here before the sender is made to wait."""
        return PATIENCE_BYTES

    @property
    def spoils_connection(self) -> bool:
        """Whether the connection must end when the toxic is removed, because bytes of it were lost."""
        return False

    def put(self, now: float, piece: Piece) -> None:
        """Something has come out of the stage before this one."""
        if self.over:
            return
        if self.active:
            self._arrive(now, piece)
        else:
            self._append(piece)

    def take(self, now: float) -> Piece | None:
        """What may leave at `now`, in order; None for nothing yet."""
        if self.over:
            return None
        piece = self._leave(now) if self.active else self._pass()
        self.over = piece is not None and piece[1] is END
        return piece

    def due(self, now: float) -> float | None:
        """When `take` is worth the next try, after it has given None; None for not before something happens."""
        return self._next(now) if self.active and not self.over else None

    def drain(self) -> Iterator[Piece]:
        """Everything still queued, in order, as the toxic is removed."""
        while self._queue and not self.over:
            yield self._pop()

    def _arrive(self, now: float, piece: Piece) -> None:
        self._append(piece)

    def _leave(self, now: float) -> Piece | None:
        return self._pass()

    def _next(self, now: float) -> float | None:
        return None

    def _pass(self) -> Piece | None:
        return self._pop() if self._queue else None

    def _append(self, piece: Piece) -> None:
        self._queue.append(piece)
        self.held += _size(piece)

    def _pop(self) -> Piece:
        piece = self._queue.popleft()
        self.held -= _size(piece)
        return piece

    def _cut_head(self, length: int) -> Piece:
        """The first `length` bytes of the head (all of it where it is no longer)."""
        arrived, data = self._queue[0]
        if data is END or len(data) <= length:
            return self._pop()
        self._queue[0] = (arrived, data[length:])
        self.held -= length
        return arrived, data[:length]


def _size(piece: Piece) -> int:
    return PIECE_OVERHEAD + (0 if piece[1] is END else len(piece[1]))


class Latency(Stage):
    """Every piece leaves latency +/- jitter milliseconds after it came, but never before the one ahead of it."""

    kind = "latency"
    fields = {"latency": "int64", "jitter": "int64"}

    def configure(self, attributes: Mapping[str, int], now: float) -> None:
        self._latency, self._jitter = attributes["latency"], attributes["jitter"]
        self._leaves_at: float | None = None  # of the head; drawn when it becomes the head

    @property
    def patience(self) -> int:
        return DELAY_BYTES

    def _leave(self, now: float) -> Piece | None:
        due = self._next(now)
        if due is None or due > now:
            return None
        self._leaves_at = None
        return due, self._pop()[1]

    def _next(self, now: float) -> float | None:
        if not self._queue:
            return None
        arrived, data = self._queue[0]
        if data is END:
            return min(arrived, now)
        if self._leaves_at is None:
            self._leaves_at = arrived + self._delay_ms() / 1000
        return self._leaves_at

    def _delay_ms(self) -> int:
        jitter = random.randrange(-self._jitter, self._jitter) if self._jitter > 0 else 0
        return max(0, self._latency + jitter)


class Bandwidth(Stage):
    """At most `rate` KB/s (1 KB = 1000 bytes) leave; a rate of 0 holds everything back and loses nothing."""

    kind = "bandwidth"
    fields = {"rate": "int64"}
    _UNSPLIT = 32 * 1024

    def configure(self, attributes: Mapping[str, int], now: float) -> None:
        self._rate = attributes["rate"]  # bytes a millisecond
        self._free_at = now  # when the piece that is on the line has left it
        # No more than 100 ms worth at once, and no tinier pieces than a timer can tell apart.
        self._step = min(self._rate * 100, max(self._UNSPLIT, self._rate))

    @property
    def patience(self) -> int:
        return min(DELAY_BYTES, max(PATIENCE_BYTES, self._rate * 50))

    def _arrive(self, now: float, piece: Piece) -> None:
        if not self._queue:
            self._free_at = max(self._free_at, now)
        self._append(piece)

    def _leave(self, now: float) -> Piece | None:
        due = self._next(now)
        if due is None or due > now:
            return None
        self._free_at = due
        return self._cut_head(self._step)

    def _next(self, now: float) -> float | None:
        if not self._queue:
            return None
        data = self._queue[0][1]
        if data is END:
            return self._free_at
        if self._rate <= 0:
            return None
        return self._free_at + min(len(data), self._step) / (self._rate * 1000)


class Slicer(Stage):
    """Pieces are cut into slices of about average_size +/- size_variation bytes, `delay` microseconds apart."""

    kind = "slicer"
    fields = {"average_size": "int", "size_variation": "int", "delay": "int"}

    def configure(self, attributes: Mapping[str, int], now: float) -> None:
        self._unsliced = max(1, attributes["average_size"] + attributes["size_variation"])
        self._variation = attributes["size_variation"]
        self._pause_s = attributes["delay"] / 1_000_000
        self._not_before = now
        self._sizes: list[int] = []  # of the head's slices, the next one last

    def _leave(self, now: float) -> Piece | None:
        if not self._queue or now < self._not_before:
            return None
        data = self._queue[0][1]
        if data is END:
            return self._pop()
        if not self._sizes:
            self._sizes = self._slices(len(data))
        self._not_before = now + self._pause_s
        return self._cut_head(self._sizes.pop())

    def _next(self, now: float) -> float | None:
        return self._not_before if self._queue else None

    def _slices(self, length: int) -> list[int]:
        """Sizes that add up to length: halves, and halves of halves, each cut moved a little by chance."""
        sizes, left = [], [length]
        while left:
            size = left.pop()
            if size <= self._unsliced:
                sizes.append(size)
                continue
            shift = random.randrange(-self._variation, self._variation) if self._variation > 0 else 0
            first = min(size - 1, max(1, size // 2 + shift))
            left += [first, size - first]
        return sizes


class SlowClose(Stage):
    """Bytes pass; the end of the stream leaves `delay` milliseconds late."""

    kind = "slow_close"
    fields = {"delay": "int64"}

    def configure(self, attributes: Mapping[str, int], now: float) -> None:
        self._delay_s = attributes["delay"] / 1000
        self._since = now  # when the end came, or when the delay was changed after that

    def _arrive(self, now: float, piece: Piece) -> None:
        self._since = now
        self._append(piece)

    def _leave(self, now: float) -> Piece | None:
        due = self._next(now)
        return self._pop() if due is not None and due <= now else None

    def _next(self, now: float) -> float | None:
        if not self._queue:
            return None
        return self._since + self._delay_s if self._queue[0][1] is END else now


class Timeout(Stage):
    """Nothing passes, and bytes are lost; after `timeout` milliseconds without any the connection ends (0: never)."""

    kind = "timeout"
    fields = {"timeout": "int64"}

    @property
    def spoils_connection(self) -> bool:
        return True  # also where toxicity spared this connection: Toxiproxy closes it all the same

    def configure(self, attributes: Mapping[str, int], now: float) -> None:
        self._timeout_s = attributes["timeout"] / 1000
        self._since = now

    def _arrive(self, now: float, piece: Piece) -> None:
        self._since = now
        if piece[1] is END:
            self._append(piece)

    def _leave(self, now: float) -> Piece | None:
        if self._queue:
            return self._pop()
        due = self._next(now)
        return (now, END) if due is not None and due <= now else None

    def _next(self, now: float) -> float | None:
        return self._since + self._timeout_s if self._timeout_s > 0 else None


class ResetPeer(Stage):
    """The first thing that comes is lost, and `timeout` milliseconds later the connection ends.

    That this is a reset (RST) is a property of connections opened while the toxic is there: see connection.py.
    """

    kind = "reset_peer"
    fields = {"timeout": "int64"}

    def __init__(self, attributes: Mapping[str, int], now: float, *, active: bool = True) -> None:
        self._ends_at: float | None = None
        super().__init__(attributes, now, active=active)

    @property
    def spoils_connection(self) -> bool:
        return self._ends_at is not None

    def configure(self, attributes: Mapping[str, int], now: float) -> None:
        self._timeout_s = max(0, attributes["timeout"]) / 1000

    def _arrive(self, now: float, piece: Piece) -> None:
        if self._ends_at is None:
            self._ends_at = now + self._timeout_s

    def _leave(self, now: float) -> Piece | None:
        return (now, END) if self._ends_at is not None and self._ends_at <= now else None

    def _next(self, now: float) -> float | None:
        return self._ends_at


class LimitData(Stage):
    """The first `bytes` bytes of each connection pass, then it ends; the count outlives updates of the toxic."""

    kind = "limit_data"
    fields = {"bytes": "int64"}

    def __init__(self, attributes: Mapping[str, int], now: float, *, active: bool = True) -> None:
        self._passed = 0
        super().__init__(attributes, now, active=active)

    def configure(self, attributes: Mapping[str, int], now: float) -> None:
        self._limit = attributes["bytes"]
        self._touched = False  # a limit already used up ends the connection with the next bytes, not before

    def _arrive(self, now: float, piece: Piece) -> None:
        self._touched = True
        self._append(piece)

    def _leave(self, now: float) -> Piece | None:
        if self._touched and self._passed >= self._limit:
            return now, END
        if not self._queue:
            return None
        arrived, data = self._cut_head(self._limit - self._passed)
        self._passed += 0 if data is END else len(data)
        return arrived, data


KINDS: Mapping[str, type[Stage]] = {
    stage.kind: stage for stage in (Bandwidth, Latency, LimitData, Stage, ResetPeer, Slicer, SlowClose, Timeout)
}
