"""What every workload's writer shares: how it meets the nemesis, and what it counts."""

from __future__ import annotations

from typing import Protocol


class Marks(Protocol):
    """The points at which writers stop sending (without draining replies) while the nemesis changes something."""

    def wait_at(self, writer: int, sent: int) -> int:
        """Block while a change at `sent` elements is under way; return how many elements may be sent before the next call.

        A writer rounds what is returned up to a command boundary. Called with sent 0 before the first command.
        """


class NoMarks:
    """Nothing is ever disturbed at a mark."""

    def wait_at(self, writer: int, sent: int) -> int:
        return 1 << 62


class Writer(Protocol):
    """Writes one stream and keeps its ledger. `run` blocks until every element has an outcome or `stop` was called."""

    sent: int
    bytes_sent: int

    def run(self) -> None: ...

    def stop(self) -> None:
        """Make `run` return soon, from any thread."""
