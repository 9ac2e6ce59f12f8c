"""Servers that follow each other, as if somebody else had started them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from tests.support.servers import running

# The wheel's server is always there; Redis itself where it is installed.
ENGINES = ("valkey-server", *(["redis-server"] if shutil.which("redis-server") else []))
FAST = ("repl-diskless-sync no", "repl-diskless-sync-delay 0")


@contextmanager
def chain(engine: str, folder: Path, length: int = 2) -> Iterator[list[Endpoint]]:
    """A primary, its replica, that one's replica, … with their links up."""
    with ExitStack() as stack:
        endpoints = [
            stack.enter_context(running(engine, folder / f"{engine}-{number}", *FAST)) for number in range(length)
        ]
        for source, target in pairwise(endpoints):
            follow(target, source)
        yield endpoints


def follow(replica: Endpoint, primary: Endpoint) -> None:
    """Make it follow, and wait until the link is up."""
    with closing(connect(replica)) as client:
        client.replicaof(primary.host, primary.port)  # type: ignore[no-untyped-call]
        deadline = time.monotonic() + 20
        while client.info("replication")["master_link_status"] != "up":  # type: ignore[index]
            assert time.monotonic() < deadline, client.info("replication")
            time.sleep(0.005)


def stop_following(replica: Endpoint) -> None:
    with closing(connect(replica)) as client:
        client.replicaof("no", "one")  # type: ignore[no-untyped-call]


def contents(endpoint: Endpoint) -> dict[tuple[int, bytes], str]:
    """Every key by database, with its type."""
    found: dict[tuple[int, bytes], str] = {}
    with closing(connect(endpoint)) as client:
        databases = [int(name.removeprefix("db")) for name in client.info("keyspace")]  # type: ignore[union-attr]
    for db in databases:
        with closing(connect(endpoint.with_database(db))) as client:
            found |= {(db, key): client.type(key).decode() for key in client.scan_iter()}  # type: ignore[union-attr]
    return found
