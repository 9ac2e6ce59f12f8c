"""Replica Of and online migration: what sets them apart from native replication, on servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

import harness
from harness.api import Deployed
from harness.runtime.readiness import wait_until

SCENARIO = """
version: 1
title: A kind of link
why: It is tried out.
topology:
  nodes:
    a: {role: primary, port: 6379, password: PASSWORD, config: {repl-backlog-size: 16kb}}
    b: {replica_of: a, link: KIND, profile: PROFILE, port: 6380, config: {CONFIG}}
workload: {kind: list_append, key: l, values: 10}
expect: {list: exact}
"""


@contextmanager
def deployed(folder: Path, *, kind: str, profile: str, config: str = "", password: str = "") -> Iterator[Deployed]:
    text = SCENARIO.replace("KIND", kind).replace("PROFILE", profile).replace("CONFIG", config)
    text = (
        text.replace("password: PASSWORD", f'password: "{password}"')
        if password
        else text.replace("password: PASSWORD, ", "")
    )
    file = folder / "link.yaml"
    file.write_text(text)
    with harness.deploy(file) as started:
        yield started


def arrives(client: redis.Redis, key: str, value: bytes | None) -> None:
    wait_until(lambda: client.get(key) == value, deadline_s=60, what=f"{key} to be {value!r}")


def test_a_replica_of_destination(tmp_path: Path) -> None:
    """It logs in at its source, takes writes, loses them with the next full sync, and nobody sees any of it in INFO."""
    with deployed(tmp_path, kind="replica-of", profile="redis-enterprise", password="secret") as started:
        a, b = started.client("a"), started.client("b")
        a.set("k", 1)
        arrives(b, "k", b"1")
        assert b.set("its own", "x")
        b.set("k", "changed here")
        assert (b.info("replication")["role"], b.info("replication")["master_repl_offset"]) == ("master", 0)
        link = started.link("a->b")
        link.cut()
        for _ in range(40):
            a.set("filler", "x" * 5000)  # more than the backlog holds
        link.restore()
        arrives(b, "its own", None)
        assert b.get("k") == b"1"


def test_it_neither_evicts_nor_expires_by_itself(tmp_path: Path) -> None:
    """Its own limit of memory is no reason to drop what its source holds; what is due goes when the source says so."""
    config = "maxmemory: 3mb, maxmemory-policy: allkeys-lru"
    with deployed(tmp_path, kind="replica-of", profile="redis-enterprise", config=config) as started:
        servers: Any = started.deployment
        a, b = started.client("a"), started.client("b")
        for number in range(200):
            a.set(f"big:{number}", "x" * 50_000)
        a.set("due", "x")
        wait_until(lambda: b.dbsize() == 201, deadline_s=60, what="201 keys")
        a.pexpire("due", 3000)
        wait_until(lambda: b.pttl("due") > 0, deadline_s=60, what="the key's time to be known")
        servers.pause("a")
        try:
            wait_until(lambda: b.pttl("due") <= 0, deadline_s=60, what="the time of a key to come")
            assert b.dbsize() == 201
        finally:
            servers.resume("a")
        wait_until(lambda: b.dbsize() == 200, deadline_s=60, what="the source to drop it")


def test_an_online_migration_takes_no_writes(tmp_path: Path) -> None:
    """ElastiCache follows natively: it shows its role, and refuses writes until the migration is completed."""
    with deployed(tmp_path, kind="online-migration", profile="elasticache") as started:
        started.client("a").set("k", 1)
        arrives(started.client("b"), "k", b"1")
        shown = started.client("b").info("replication")
        assert (shown["role"], shown["master_link_status"]) == ("slave", "up")
        with pytest.raises(redis.ReadOnlyError):
            started.client("b").set("k", 2)
