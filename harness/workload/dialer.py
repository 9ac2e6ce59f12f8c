"""How a writer gets a connection, and makes sure of the end of one that broke."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from harness.errors import SetupError
from harness.resp.connection import AccessRefused, CannotConnect, Connection, ConnectionLost, Interrupted
from harness.resp.fence import Fence, Identity, fence, identify
from harness.workload.base import Patience, Route

FIRST_ATTEMPT_S = 0.5
PAUSE_S = 0.005


class Dialer:
    """stop: set where the writer shall end; stopped: asked wherever something is waited for."""

    def __init__(self, patience: Patience, stop: threading.Event, stopped: Callable[[], bool]) -> None:
        self._patience, self._stop, self._stopped = patience, stop, stopped

    def connect(self, find: Callable[[], Route]) -> tuple[Route, Connection, Identity]:
        """Ask again and again, for a little longer each time that no answer comes. find: tells before each attempt
        which node is meant; CannotConnect where none is.
        """
        deadline, attempt_s, node = time.monotonic() + self._patience.reconnect_s, FIRST_ATTEMPT_S, "any node"
        while True:
            begun = time.monotonic()
            try:
                route = find()
                node = route.node
                return route, *self._attempt(route, max(FIRST_ATTEMPT_S, min(attempt_s, deadline - begun)))
            except (AccessRefused, Interrupted):
                raise
            except (CannotConnect, ConnectionLost) as error:
                if time.monotonic() >= deadline:
                    within = f"within {self._patience.reconnect_s:g} s"
                    raise SetupError(f"the writer found no connection to {node} {within}: {error}") from error
            if time.monotonic() - begun >= attempt_s:
                attempt_s = min(2 * attempt_s, self._patience.reply_s)
            if self._stopped() or self._stop.wait(PAUSE_S):
                raise Interrupted("the writer was stopped")

    def release(self, route: Route, connection: Connection, identity: Identity, *, whole: bool) -> None:
        """Done with a connection; whole: every reply has been taken, and another writer may have it."""
        if whole and route.kept is not None:
            route.kept.keep(connection, identity)
        else:
            connection.close()

    def _attempt(self, route: Route, timeout_s: float) -> tuple[Connection, Identity]:
        if route.kept is not None and (kept := route.kept.take(route.entry, self._patience.reply_s, self._stopped)):
            return kept
        connection = Connection(route.entry, timeout_s=timeout_s, interrupted=self._stopped)
        try:
            identity = Identity(missing=route.no_fence) if route.no_fence else identify(connection)
        except BaseException:
            connection.close()
            raise
        connection.timeout_s = self._patience.reply_s
        return connection, identity

    def fence(self, route: Route, identity: Identity, lost: ConnectionLost) -> Fence:
        """Make sure that nothing of the broken connection is executed any more, or say why that is not known."""
        if isinstance(lost, Interrupted):
            return Fence(False, "nothing more is sent")
        if gone := route.gone():
            return Fence(True, f"its process is gone: {gone}")
        return fence(route.control, identity, self._patience.reconnect_s, self._stopped)
