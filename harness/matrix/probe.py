"""Asks a running server what it has: features by its commands, kinds of sync by its settings."""

from __future__ import annotations

from dataclasses import replace

from harness.engine.binaries import Engine
from harness.matrix.cells import EngineFacts
from harness.matrix.features import FEATURES
from harness.matrix.syncs import SYNCS
from harness.matrix.warm import Pool, Trouble, WarmServer
from harness.resp.replication_info import info_fields


def probe(server: WarmServer) -> EngineFacts:
    """What an engine has. Trouble where it doesn't answer like a server."""
    engine = server.engine
    needed = {feature: FEATURES[feature].needs for feature in FEATURES}
    known = _known(server, sorted({command for commands in needed.values() for command in commands}))
    features = tuple(name for name, commands in needed.items() if known.issuperset(commands))
    lacks = [name for name in FEATURES if name not in features]
    lacks += [sync.name for sync in SYNCS.values() if any(not _has(server, setting) for setting in sync.needs)]
    facts = EngineFacts(engine.name, engine.family, engine.version, engine.origin, features, tuple(lacks))
    return replace(facts, version=_version(server) or engine.version)


def probe_engine(engine: Engine, pool: Pool) -> EngineFacts:
    """The same of a program: starts one server of it, which stays warm."""
    server = pool.lease(engine)
    try:
        return probe(server)
    finally:
        pool.give_back([server])


def _known(server: WarmServer, commands: list[str]) -> set[str]:
    reply = server.ask("COMMAND", "INFO", *commands)
    if not isinstance(reply, list) or len(reply) != len(commands):
        raise Trouble(f"{server.engine.name} answered COMMAND INFO with {reply!r}")
    return {name for name, about in zip(commands, reply, strict=True) if about}


def _has(server: WarmServer, setting: str) -> bool:
    return bool(server.ask("CONFIG", "GET", setting))


def _version(server: WarmServer) -> str | None:
    """What the running server says of itself, which counts more than what its program was called."""
    fields = info_fields(server.info("server"))
    return fields.get(f"{server.engine.family}_version") or (
        fields.get("redis_version") if server.engine.family == "redis" else None
    )
