"""What all clients of a simulated endpoint share, and the two sides of one of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .layout import Layout
from .plan import Plan
from .redirects import Redirects
from .rules import Rules
from .scripts import ScriptGuard


@dataclass(frozen=True)
class Shared:
    """mark_reply: how the server answers a command that it does not know, as (before the name, after it). ask: a
    question to the server over the endpoint's own connection. layout: what is shown as a cluster. redirects: makes one
    connection's, where a cluster is behind.
    """

    plan: Plan
    rules: Rules
    scripts: ScriptGuard
    mark_reply: tuple[bytes, bytes]
    ask: Callable[[Sequence[bytes]], Awaitable[bytes]]
    layout: Layout
    redirects: Callable[[], Redirects] | None = None


class Wire(Protocol):
    """The two sides of a session. address: the one that the client reached."""

    address: tuple[str, int]

    def to_server(self, data: bytes | memoryview) -> None: ...

    def to_client(self, data: bytes) -> None: ...

    def close(self, reason: str) -> None:
        """End both sides once what was written has left; a reason other than "" is logged."""

    def finish(self, last_words: bytes, reason: str) -> None:
        """Send nothing more to the server; close with these words for the client once it has answered."""

    def run(self, job: Awaitable[None]) -> None:
        """Let this go on beside us; the session ends where it fails."""
