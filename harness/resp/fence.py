"""Fencing: making sure that bytes of a broken connection are not executed after newer ones.

The server may still hold such bytes, or a proxy may. Once the server has closed that connection, by our CLIENT KILL or
by itself, whatever comes later on it reaches nobody. That is asked for on a direct connection, by the id that the
server itself gave the old one; its run_id proves that it is the same process that answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.endpoint.address import Endpoint
from harness.resp.connection import AccessRefused, CannotConnect, Connection, ConnectionLost, Interrupted
from harness.resp.replication_info import info_fields
from harness.resp.replies import Reply
from harness.resp.transport import never

_ATTEMPT_S = 2.0
_PAUSE_S = 0.005


@dataclass(frozen=True)
class Identity:
    """What the server calls a connection, asked for before its first write. missing: why it can't be fenced."""

    client_id: int = 0
    run_id: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Fence:
    """Whether the old connection is surely at its end on the server, and how that is known, or why not."""

    fenced: bool
    reason: str


def identify(connection: Connection) -> Identity:
    """Ask who this connection is. ConnectionLost where it ends; a refusal comes back as `missing`."""
    client_id, info = connection.commands(("CLIENT", "ID"), ("INFO", "server"))
    if not isinstance(client_id, int):
        return Identity(missing=f"CLIENT ID was answered with {client_id!s:.100}")
    run_id = _run_id(info)
    if not run_id:
        return Identity(missing="INFO server tells no run_id")
    if connection.endpoint.scope is not None:
        connection.endpoint.scope.clients.add(client_id)
    return Identity(client_id, run_id)


def fence(control: Endpoint, identity: Identity, within_s: float, interrupted: Callable[[], bool] = never) -> Fence:
    """End the old connection on the server; the server is waited for, at most within_s."""
    if identity.missing:
        return Fence(False, identity.missing)
    if control.scope is not None:
        if control.scope.server is None:
            return Fence(False, "connections of this endpoint are not to be killed")
        control.scope.clients.add(identity.client_id)
    deadline = time.monotonic() + within_s
    while True:
        left = deadline - time.monotonic()
        try:
            with Connection(control, timeout_s=max(0.1, min(left, _ATTEMPT_S)), interrupted=interrupted) as connection:
                return _kill(connection, identity)
        except (AccessRefused, Interrupted) as error:
            return Fence(False, str(error))
        except (CannotConnect, ConnectionLost) as error:
            if left <= 0 or interrupted():
                return Fence(False, str(error))
        time.sleep(_PAUSE_S)


def _kill(connection: Connection, identity: Identity) -> Fence:
    run_id = _run_id(connection.command("INFO", "server"))
    if not run_id:
        return Fence(False, "INFO server tells no run_id")
    if run_id != identity.run_id:
        return Fence(True, "the server is another process now")
    answer = connection.command("CLIENT", "KILL", "ID", identity.client_id)
    if isinstance(answer, int) and answer in (0, 1):
        return Fence(True, f"CLIENT KILL was answered with {answer}")
    return Fence(False, f"CLIENT KILL was answered with {answer!s:.100}")


def _run_id(reply: Reply) -> str:
    """ "" where it is hidden; managed endpoints leave it out, or tell nothing but noughts."""
    if not isinstance(reply, bytes):
        return ""
    run_id = info_fields(reply.decode("utf-8", "replace")).get("run_id", "")
    return run_id if run_id.strip("0") else ""
