"""A link that leads through a fault proxy, as runtimes, the nemesis and the Python API see it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from harness.fault.toxic import Toxic
from harness.topology import Link


class FaultLink(Protocol):
    """Every call returns when the proxy has confirmed the change, and may come from any thread."""

    @property
    def listen(self) -> tuple[str, int]:
        """Host and port at which the proxy takes connections."""

    def add(self, toxic: Toxic, link: Link) -> str:
        """Add a toxic; returns its name."""

    def remove(self, toxic_name: str) -> None: ...

    def cut(self) -> None:
        """Take the link down: connections are closed, new ones refused."""

    def restore(self) -> None:
        """Let connections in again, at the same port."""

    def renew(self) -> None:
        """Close its connections and begin anew without any toxic, at the same address."""

    def clear(self) -> None:
        """Remove every toxic and end a cut."""

    def close(self) -> None:
        """Remove the proxy and close its connections."""


@runtime_checkable
class Lossy(Protocol):
    """A link on which packets can be made to vanish."""

    def lost(self, toxic_name: str) -> int:
        """How many packets this loss has met so far."""
