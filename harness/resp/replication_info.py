"""INFO replication as typed values, and the few commands of replication itself.

The only module in which the servers' own words for the two roles occur: elsewhere a node is a primary or a replica.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from harness.errors import HarnessError
from harness.replication import ReplicationInfo
from harness.topology import Role

_ROLES = {"master": Role.PRIMARY, "slave": Role.REPLICA, "primary": Role.PRIMARY, "replica": Role.REPLICA}

_HISTORY = re.compile(r"^master_replid:([^\r\n]*)", re.MULTILINE)
_FIELD = re.compile(r"^([^#:\r\n][^:\r\n]*):([^\r\n]*)", re.MULTILINE)
# As COMMANDSTATS names them.
REPLICATION_COMMANDS = ("psync", "replconf", "replicaof", "slaveof", "sync")

# Any client's way to send one command: `Connection.command`, or redis-py's `execute_command`.
Send = Callable[..., object]


def info_fields(text: str) -> dict[str, str]:
    """The fields of any INFO section by name."""
    return dict(_FIELD.findall(text))


def parse_replication(text: str) -> ReplicationInfo:
    """INFO replication's text; HarnessError where it names no role.

    Managed endpoints leave fields out: ids are then "", offsets 0.
    """
    return replication_of(info_fields(text), text)


def replication_of(fields: Mapping[str, str], text: str) -> ReplicationInfo:
    """The same from its fields; text: where they come from."""
    role = _ROLES.get(fields.get("role", ""))
    if role is None:
        raise HarnessError(f"INFO replication names no role that is known: {text[:200]!r}")
    is_replica = role is Role.REPLICA
    return ReplicationInfo(
        role=role,
        replication_id=fields.get("master_replid", ""),
        second_replication_id=fields.get("master_replid2", ""),
        offset=_number(fields, "master_repl_offset", 0),
        second_offset=_number(fields, "second_repl_offset", -1),
        processed_offset=_number(fields, "slave_repl_offset", 0) if is_replica else None,
        read_offset=_read_offset(fields) if is_replica else None,
        link_up=fields.get("master_link_status") == "up" if is_replica else None,
        sync_in_progress=fields.get("master_sync_in_progress", "0") == "1",
        connected_replicas=_number(fields, "connected_slaves", 0),
    )


def replication_id_in(text: str) -> str:
    """The history that a node is on, by INFO replication; "" where it does not say."""
    found = _HISTORY.search(text)
    return found[1].strip() if found else ""


def role_in(reply: object) -> str:
    """The role that ROLE was answered with, "primary" or "replica"; "" where it was answered with something else."""
    word = reply[0] if isinstance(reply, list) and reply else None
    return str(_ROLES.get(word.decode("utf-8", "replace"), "")) if isinstance(word, bytes) else ""


def sync_bytes(text: str) -> int:
    """Bytes of a full sync that this replica has read so far, by INFO replication; 0 while it is in none."""
    return sync_bytes_of(info_fields(text))


def sync_bytes_of(fields: Mapping[str, str]) -> int:
    """The same from its fields."""
    return max(0, _number(fields, "master_sync_read_bytes", 0))


def replica_addresses(text: str) -> tuple[tuple[str, int], ...]:
    """Host and port of the replicas that a primary counts as online, by INFO replication."""
    found = re.findall(r"^slave\d+:ip=([^,]+),port=(\d+),state=online", text, re.MULTILINE)
    return tuple((host, int(port)) for host, port in found)


def takes_own_writes(text: str) -> bool:
    """Whether a replica, by INFO replication, takes writes of clients (or does not say that it takes none)."""
    return info_fields(text).get("slave_read_only", "") != "1"


def replica_buffer_limit(setting: str) -> int | None:
    """The hard limit in bytes of a replica's output buffer, by CONFIG's client-output-buffer-limit; None if hidden."""
    match = re.search(r"\b(?:slave|replica) (\d+) ", setting)
    return int(match[1]) if match else None


def replicate_from(send: Send, host: str, port: int) -> None:
    """Make this node a replica; HarnessError where it refuses."""
    _expect_ok(send("REPLICAOF", host, port), f"REPLICAOF {host} {port}")


def stop_replicating(send: Send) -> None:
    """Make this node a primary that keeps its data; HarnessError where it refuses."""
    _expect_ok(send("REPLICAOF", "NO", "ONE"), "REPLICAOF NO ONE")


def drop_replication_connection(send: Send) -> int:
    """Close this replica's connection to its primary: it comes back by a partial resync. How many there were."""
    return _count(send("CLIENT", "KILL", "TYPE", "master"))


def drop_replica_connections(send: Send) -> int:
    """Close this primary's connections to its replicas. How many there were."""
    return _count(send("CLIENT", "KILL", "TYPE", "replica"))


def credentials_for_primary(password: str, user: str | None = None) -> tuple[tuple[str, str], ...]:
    """Configuration directives, name and value, with which a replica logs in at its primary."""
    return ((("masteruser", user),) if user else ()) + (("masterauth", password),)


def _read_offset(fields: Mapping[str, str]) -> int | None:
    return _number(fields, "slave_read_repl_offset", 0) if "slave_read_repl_offset" in fields else None


def _number(fields: Mapping[str, str], name: str, default: int) -> int:
    value = fields.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError:
        raise HarnessError(f"INFO replication: {name} is {value!r}, a number was expected") from None


def _expect_ok(reply: object, what: str) -> None:
    """Connections answer with a Status, redis-py with b"OK", "OK" or True."""
    text = str(getattr(reply, "text", reply.decode() if isinstance(reply, bytes) else reply))
    if text not in ("OK", "True") and not text.startswith("OK "):
        raise HarnessError(f"{what} was answered with {text!r}")


def _count(reply: object) -> int:
    if not isinstance(reply, int):
        raise HarnessError(f"CLIENT KILL was answered with {reply!r}")
    return reply
