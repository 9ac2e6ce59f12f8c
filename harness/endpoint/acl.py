"""Keeps a profile's clients from sending what the product refuses, by the access rules of the server's default user.

Replication and the harness are untouched: a replica executes its primary's stream without asking the rules, and the
harness connects as a user of its own. The rules are made against the server's own list of commands, because one unknown
name makes a server refuse them all. What they can't do (the product's exact error text, refusing single parameters)
is named in profiles.yaml.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.resp.connection import Connection
from harness.resp.replies import ErrorReply

ADMIN_USER = "harness-admin"
_OPEN_TO_ALL = frozenset({"auth", "hello", "quit", "reset"})  # servers ask no rules for these


@dataclass(frozen=True)
class Restriction:
    """What the default user is denied. denied: as ACL names; left_open: refused by the product, but this server can't
    deny it, or only together with commands that the product allows.
    """

    denied: tuple[str, ...]
    left_open: tuple[str, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(f"-{name}" for name in self.denied)

    @property
    def note(self) -> str:
        """For the report; "" where everything is denied."""
        if not self.left_open:
            return ""
        of = ", ".join(sorted({name.partition("|")[0] for name in self.left_open}))
        return f"clients may send what the product refuses of these, since this server's access rules can't: {of}"


def restriction(refused: Sequence[str], commands: Collection[str]) -> Restriction:
    """What to deny on a server that has these commands.

    refused: "role", "config|set"; what the server doesn't have needs no rule. commands: lower case, with their
    subcommands ("config|set") where the server can deny these.
    """
    knows_subcommands = any("|" in name for name in commands)
    left_open = {name for name in refused if name in _OPEN_TO_ALL & set(commands)}
    if not knows_subcommands:
        left_open |= {name for name in refused if "|" in name and name.partition("|")[0] in commands}
    denied = tuple(name for name in refused if name in commands and name not in left_open)
    return Restriction(denied, tuple(name for name in refused if name in left_open))


def commands_of(connection: Connection) -> frozenset[str]:
    """The server's commands in lower case, with subcommands from 7.0 on."""
    reply = connection.command("COMMAND", "LIST")
    if isinstance(reply, ErrorReply):  # before 7.0 there is no list of names, but one of descriptions
        reply = connection.command("COMMAND")
        reply = [entry[0] for entry in reply if isinstance(entry, list)] if isinstance(reply, list) else reply
    if not isinstance(reply, list) or not all(isinstance(name, bytes) for name in reply):
        raise HarnessError(f"{connection.endpoint.address} doesn't list its commands: {str(reply)[:200]}")
    return frozenset(name.decode().lower() for name in reply if isinstance(name, bytes))


def restrict_clients(connection: Connection, refused: Sequence[str]) -> Restriction:
    """Deny these commands to the default user of a server; the connection is that of a user of ours with all rights."""
    made = restriction(refused, commands_of(connection))
    reply = connection.command("ACL", "SETUSER", "default", *made.rules)
    if isinstance(reply, ErrorReply):
        raise HarnessError(f"{connection.endpoint.address} doesn't take the access rules of a profile: {reply}")
    return made
