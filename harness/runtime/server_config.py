"""The configuration file of a server that the harness starts: our own lines first, the scenario's directives last.

A file and not arguments: passwords must not show in a process list, and old servers take some directives in a file
only. A primary syncs by way of its disk and with a fast clock (hz), an empty replica without its disk: then the first
sync takes milliseconds on every engine, leaves the servers' counters clean, and streaming has begun when the link is
up. After a primary's diskless sync a replica can wait another second; by way of its own disk, Valkey 9 does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UsageError
from harness.resp.replication_info import credentials_for_primary
from harness.topology import Node

FAST_HZ = 500  # while replicas attach; a primary notices the end of its snapshot once a tick
USUAL_HZ = 10
FORMING_TIMEOUT_MS = 500  # of a cluster's nodes: how fast they hear of each other
NODE_TIMEOUT_MS = 15_000  # nobody is to be thought dead because the machine is busy; failovers are asked for

# What the runtime decides itself, and where a scenario says it instead.
RESERVED = {
    "port": "write the node's port",
    "bind": "a deployment has its own loopback address",
    "dir": "servers work in a folder of the run's own",
    "logfile": "the log is read by the harness",
    "daemonize": "the server has to stay the harness's own process",
    "supervised": "the server has to stay the harness's own process",
    "requirepass": "write the node's password",
    "replicaof": "write the node's replica_of",
    "cluster-enabled": "write topology: {cluster: …}",
    "cluster-announce-ip": "it depends on where the run's servers and proxies are",
    "cluster-announce-port": "it depends on where the run's servers and proxies are",
    "cluster-announce-bus-port": "it depends on where the run's servers and proxies are",
    "include": "write the directives themselves",
}


@dataclass(frozen=True)
class Credentials:
    """As whom a replica, or the harness, logs in; user None: the server's default user."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ServerPlan:
    """All that a server's file is made from.

    upstream: as whom the node follows its primary; follows: that primary's address, once the node has been attached,
    so that it follows again after a restart.
    announced: host, port and bus port that a node of a cluster tells others, once the cluster has formed.
    log_elsewhere: where it logs, if not in its folder.
    """

    node: Node
    host: str
    port: int
    folder: Path
    upstream: Credentials = Credentials()
    follows: tuple[str, int] | None = None
    log_elsewhere: Path | None = None
    announced: tuple[str, int, int] | None = None

    @property
    def log(self) -> Path:
        return self.log_elsewhere or self.folder / "server.log"


def server_config(plan: ServerPlan) -> str:
    """The file's text. UsageError names a directive that is not the scenario's to set, or that leaves its line."""
    own = list(_checked(plan.node))
    set_by_scenario = {name.lower() for name, _ in own}
    lines = [(name, value) for name, value in _ours(plan) if name not in set_by_scenario]
    return "".join(f"{name} {value}\n" for name, value in (*lines, *own))


def sync_leftover(plan: ServerPlan) -> Path | None:
    """The snapshot that a primary makes for its replicas, where its configuration saves nothing itself: a server that
    is started again would load it. The server removes it too, but a second later.
    """
    set_by_scenario = {name.lower(): value for name, value in plan.node.directives}
    if set_by_scenario.keys() & {"save", "appendonly"}:
        return None
    return plan.folder / set_by_scenario.get("dbfilename", "dump.rdb")


def changes_clock(node: Node) -> bool:
    """Whether the scenario leaves the server's clock to us."""
    return not any(name.lower() == "hz" for name, _ in node.directives)


def _ours(plan: ServerPlan) -> Iterator[tuple[str, str]]:
    yield from (("bind", plan.host), ("port", str(plan.port)), ("protected-mode", "no"), ("daemonize", "no"))
    yield from (("dir", quoted(str(plan.folder))), ("logfile", quoted(str(plan.log))), ("loglevel", "notice"))
    yield from (("save", '""'), ("appendonly", "no"), ("rdb-del-sync-files", "yes"))
    yield from (("repl-diskless-sync", "no"), ("repl-diskless-sync-delay", "0"), ("repl-diskless-load", "on-empty-db"))
    yield ("hz", str(FAST_HZ))
    if plan.node.in_cluster:
        timeout_ms = FORMING_TIMEOUT_MS if plan.announced is None else NODE_TIMEOUT_MS
        yield from (("cluster-enabled", "yes"), ("cluster-node-timeout", str(timeout_ms)))
        yield ("cluster-config-file", quoted(str(plan.log.parent / "nodes.conf")))  # what a restart must not forget
        yield from (("cluster-require-full-coverage", "no"), ("cluster-migration-barrier", "999"))
        yield from (("cluster-replica-validity-factor", "0"), ("cluster-replica-no-failover", "yes"))
    if plan.announced is not None:
        for name, value in zip(("ip", "port", "bus-port"), plan.announced, strict=True):
            yield (f"cluster-announce-{name}", str(value))
    if plan.node.password is not None:
        yield ("requirepass", quoted(plan.node.password))
    if plan.upstream.password:
        for name, value in credentials_for_primary(plan.upstream.password, plan.upstream.user):
            yield (name, quoted(value))
    if plan.follows is not None:
        yield ("replicaof", f"{plan.follows[0]} {plan.follows[1]}")


def _checked(node: Node) -> Iterable[tuple[str, str]]:
    for name, value in node.directives:
        if name.lower() in RESERVED:
            raise UsageError(f"node {node.name}: the directive {name!r} can't be set: {RESERVED[name.lower()]}")
        if not name or any(sign.isspace() for sign in name) or any(sign in "\r\n\0" for sign in value):
            raise UsageError(f"node {node.name}: the directive {name!r} has to stand on one line, with no blank in it")
        yield name, value or '""'


def quoted(text: str) -> str:
    """One argument of a configuration line, whatever it contains."""
    signs = (chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in text.encode())
    return f'"{"".join(signs)}"'
