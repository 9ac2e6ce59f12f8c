"""What every workload's writer shares: how it meets the nemesis, what it counts, where it writes and for how long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.endpoint.address import Endpoint
from harness.history import Ledger
from harness.resp.kept import KeptConnections


class Marks(Protocol):
    """The points at which writers stop sending (without draining replies) while the nemesis changes something."""

    def wait_at(self, writer: int, sent: int) -> int:
        """Block while a change at `sent` elements is under way; return how many may be sent before the next call.

        A writer rounds what is returned up to a command boundary. Called with sent 0 before the first command.
        """

    def clock(self) -> float:
        """Seconds since the first write."""


class NoMarks:
    """Nothing is ever disturbed at a mark."""

    def wait_at(self, writer: int, sent: int) -> int:
        return 1 << 62

    def clock(self) -> float:
        return 0.0


class Writer(Protocol):
    """Writes one key or several and keeps their ledgers. `run` blocks until every element has an outcome or `stop` was
    called; it calls `look_on` between sends and while it waits, so that whoever runs it in a thread of its own or not
    can see how far it is, and stop it.

    ledgers: one a key; sent: elements; acknowledged: elements; last_acknowledged_at: monotonic seconds, 0.0 before the
    first acknowledgement.
    """

    @property
    def ledgers(self) -> Sequence[Ledger]: ...

    @property
    def sent(self) -> int: ...

    @property
    def acknowledged(self) -> int: ...

    def bytes_to(self, node: str) -> int:
        """Bytes sent to this node so far."""

    @property
    def redirected(self) -> int:
        """Elements whose commands were answered with MOVED or ASK."""

    def breaks_at(self, node: str) -> int:
        """How many connections to this node broke so far."""

    @property
    def last_acknowledged_at(self) -> float: ...

    def run(self, look_on: Callable[[], None] = ...) -> None: ...

    def stop(self) -> None:
        """Make `run` return soon, from any thread."""


def still_there() -> None:
    """Nobody can tell that the server has ended."""


@dataclass(frozen=True)
class Route:
    """How a writer reaches its node. entry: where it writes, perhaps through a fault proxy; control: directly.

    no_fence: why broken connections can't be fenced there, "" where they can. refusals_possible: something in the
    scenario (maxmemory, ACL, …) can make the server refuse writes. gone: how the server's process has ended, None while
    it runs or where nobody can tell. kept: where a connection is taken from that is open already, and left when done.
    """

    node: str
    entry: Endpoint
    control: Endpoint
    no_fence: str = ""
    refusals_possible: bool = False
    gone: Callable[[], str | None] = still_there
    kept: KeptConnections | None = None


@dataclass(frozen=True)
class Patience:
    """How long a writer waits. reply_s: for the next byte; reconnect_s: for a connection, and for a fence."""

    reply_s: float = 30.0
    reconnect_s: float = 60.0
