"""What a side lets us use, found out by asking for a key that does not exist."""

from __future__ import annotations

from harness.compare.values import TYPES, refused
from harness.engine.catalogue import version_key
from harness.resp.connection import Connection
from harness.resp.replies import ErrorReply

PROBE_KEY = "harness:probe"  # read only; that it does not exist is all that is asked

_PROBES: dict[str, tuple[str | int, ...]] = {
    "DUMP": (PROBE_KEY,),
    "EXISTS": (PROBE_KEY,),
    "GETRANGE": (PROBE_KEY, 0, 1),
    "HGETALL": (PROBE_KEY,),
    "HLEN": (PROBE_KEY,),
    "HMGET": (PROBE_KEY, "f"),
    "HPTTL": (PROBE_KEY, "FIELDS", 1, "f"),
    "HSCAN": (PROBE_KEY, 0),
    "LLEN": (PROBE_KEY,),
    "LRANGE": (PROBE_KEY, 0, 0),
    "MEMORY USAGE": (PROBE_KEY, "SAMPLES", 1),
    "OBJECT ENCODING": (PROBE_KEY,),
    "PTTL": (PROBE_KEY,),
    "SCARD": (PROBE_KEY,),
    "SISMEMBER": (PROBE_KEY, "m"),
    "SMEMBERS": (PROBE_KEY,),
    "SMISMEMBER": (PROBE_KEY, "m"),
    "SSCAN": (PROBE_KEY, 0),
    "STRLEN": (PROBE_KEY,),
    "TYPE": (PROBE_KEY,),
    "XINFO CONSUMERS": (PROBE_KEY, "g"),
    "XINFO GROUPS": (PROBE_KEY,),
    "XINFO STREAM": (PROBE_KEY,),
    "XLEN": (PROBE_KEY,),
    "XPENDING": (PROBE_KEY, "g", "-", "+", 1),
    "XRANGE": (PROBE_KEY, "-", "+", "COUNT", 1),
    "ZCARD": (PROBE_KEY,),
    "ZRANGE": (PROBE_KEY, 0, 0, "WITHSCORES"),
    "ZSCAN": (PROBE_KEY, 0),
    "ZSCORE": (PROBE_KEY, "m"),
}


def refused_commands(connection: Connection) -> frozenset[str]:
    """Those that the other side does not let us use at all."""
    return frozenset(name for name, rest in _PROBES.items() if refused(connection.command(*name.split(), *rest)))


_FIELD_TTLS_SINCE = {"redis": (7, 4), "valkey": (9,)}


def untold_field_ttls(connection: Connection, name: str, family: str, version: str) -> str:
    """Why this side does not say when fields of hashes expire, although they may; "" where it does, or knows none.

    family, version: "" where they are hidden.
    """
    reply = connection.command("HPTTL", *_PROBES["HPTTL"])
    if not isinstance(reply, ErrorReply) or not refused(reply):
        return ""
    since = _FIELD_TTLS_SINCE.get(family)
    knows = since is not None and bool(version) and version_key(version) >= since
    if "unknown command" in reply.text.lower() and not knows:
        return ""
    return f"{name} refuses HPTTL ({reply.text[:100]}), so that nobody can say when their fields expire"


def unreadable_types(refusals: dict[str, frozenset[str]]) -> dict[str, str]:
    """type: why it can't be compared. refusals: what each side refuses, by its name."""
    found = {}
    for kind, value_type in TYPES.items():
        for side, refusal in refusals.items():
            if lacking := [command for command in value_type.needs if command in refusal]:
                found[kind] = f"values of type {kind}: {side} refuses {', '.join(lacking)}"
    return found
