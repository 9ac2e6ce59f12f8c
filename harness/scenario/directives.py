"""Server directives that a scenario may not set, because the harness sets them itself: each with what to do instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.scenario.model import NodeSpec
from harness.scenario.scalars import Path

_ADDRESS = "each deployment has an address of its own"
_FOLDER = "the node's files stay in the run's temporary folder"
_REPLICATION = "write replica_of: NODE"
_PASSWORD = "write password: on the node"
_PROCESS = "the harness starts and watches the process itself"
_READS_LOG = "the harness reads the server's log"

OWNED: Mapping[str, str] = {
    "port": "write port: on the node",
    "tls-port": "TLS endpoints are not started by the harness",
    "bind": _ADDRESS,
    "unixsocket": _ADDRESS,
    "unixsocketperm": _ADDRESS,
    "dir": _FOLDER,
    "dbfilename": _FOLDER,
    "aclfile": _FOLDER,
    "include": "write the directives themselves",
    "logfile": _READS_LOG,
    "loglevel": _READS_LOG,
    "syslog-enabled": _READS_LOG,
    "replicaof": _REPLICATION,
    "slaveof": _REPLICATION,
    "requirepass": _PASSWORD,
    "masterauth": "write password: on the primary",
    "masteruser": "write password: on the primary",
    "user": "write profile: on the node, or password:",
    "daemonize": _PROCESS,
    "pidfile": _PROCESS,
    "supervised": _PROCESS,
    "cluster-enabled": "write topology: {cluster: {shards: 3}}",
}
# With these a scenario makes a server refuse writes, so that the commands of a broken connection may have failed.
REFUSING_WRITES = frozenset({"maxmemory", "min-replicas-to-write", "min-slaves-to-write"})
_NEVER_RENAMED = {
    "select": "a replica without SELECT writes other databases' keys into database 0",
    "replconf": "a link without REPLCONF acknowledges nothing",
}


def directive_problems(node: str, spec: NodeSpec) -> Iterator[tuple[Path, str]]:
    """What is wrong with one node's config, as (path, sentence)."""
    seen: dict[str, str] = {}
    for name, value in spec.config.items():
        path: Path = ("topology", "nodes", node, "config", name)
        plain = name.lower()
        if plain in OWNED:
            yield path, f"the harness sets this directive itself: {OWNED[plain]}"
        elif plain in seen:
            yield path, f"the same directive as {seen[plain]!r}; directives' names have no case"
        elif plain == "rename-command" and (reason := _NEVER_RENAMED.get(str(value).split(" ")[0].lower())):
            yield path, f"this command can't be renamed: {reason}"
        elif isinstance(value, float) and not abs(value) < float("inf"):
            yield path, "expected a finite number"
        seen.setdefault(plain, name)


def as_text(value: str | int | float | bool) -> str:
    """A directive's value as a configuration file has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
