"""Which commands a server has, by its own list."""

from __future__ import annotations

from harness.errors import HarnessError
from harness.resp.connection import Connection
from harness.resp.replies import ErrorReply


def commands_of(connection: Connection) -> frozenset[str]:
    """The server's commands in lower case, with subcommands from 7.0 on."""
    reply = connection.command("COMMAND", "LIST")
    if isinstance(reply, ErrorReply):  # before 7.0 there is no list of names, but one of descriptions
        reply = connection.command("COMMAND")
        reply = [entry[0] for entry in reply if isinstance(entry, list)] if isinstance(reply, list) else reply
    if not isinstance(reply, list) or not all(isinstance(name, bytes) for name in reply):
        raise HarnessError(f"{connection.endpoint.address} doesn't list its commands: {str(reply)[:200]}")
    return frozenset(name.decode().lower() for name in reply if isinstance(name, bytes))
