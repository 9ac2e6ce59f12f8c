"""Connections that outlive the run that opened them, so that many short runs on one deployment need not connect anew.

Only a connection at rest is kept: every reply has been taken and none is to come. It is given away again only where it
is still so, and was used a moment ago: servers close quiet connections, and whoever writes must not meet that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from harness.endpoint.address import Endpoint
from harness.resp.connection import Connection
from harness.resp.fence import Identity
from harness.resp.transport import never

KEPT_S = 0.25  # servers count the silence that they allow in whole seconds
READER = Identity(missing="this connection only reads")


class KeptConnections:
    """By endpoint, those that read apart from those that write (whose identity is known). For several threads."""

    def __init__(self) -> None:
        self._idle: dict[tuple[Endpoint, bool], list[tuple[Connection, Identity, float]]] = {}

    def take(
        self, endpoint: Endpoint, timeout_s: float, interrupted: Callable[[], bool] = never, *, reader: bool = False
    ) -> tuple[Connection, Identity] | None:
        """One that was kept, as if newly made with these; None where there is none."""
        idle = self._idle.get((endpoint, reader), [])
        while idle:
            connection, identity, since = idle.pop()
            if time.monotonic() - since < KEPT_S and connection.at_rest:
                connection.begin_anew(timeout_s, interrupted)
                return connection, identity
            connection.close()
        return None

    def keep(self, connection: Connection, identity: Identity) -> None:
        """Whoever used it is done with it; closed where it is not at rest."""
        if not connection.at_rest:
            connection.close()
            return
        place = (connection.endpoint, identity is READER)
        self._idle.setdefault(place, []).append((connection, identity, time.monotonic()))

    @contextmanager
    def reading(self, endpoint: Endpoint, timeout_s: float = 10.0) -> Iterator[Connection]:
        """One to read over, kept afterwards unless something goes wrong; whoever leaves replies on it closes it."""
        taken = self.take(endpoint, timeout_s, reader=True)
        connection = taken[0] if taken else Connection(endpoint, timeout_s=timeout_s)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self.keep(connection, READER)

    def close(self) -> None:
        """Close them all."""
        for idle in self._idle.values():
            while idle:
                idle.pop()[0].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
