"""Small clusters of primaries, each with as many shards as a test asks for."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import redis

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from tests.support.servers import running

_BUS = 10_000  # a cluster's bus listens so far above its port


@contextmanager
def cluster(engine: str, folder: Path, shards: int, *directives: str) -> Iterator[list[Endpoint]]:
    """The primaries of a cluster whose slots are all served."""
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(running(engine, folder / str(number), *_DIRECTIVES, *directives, port=free_port()))
            for number in range(shards)
        ]
        _join(nodes)
        yield nodes


_DIRECTIVES = ("cluster-enabled yes", "cluster-node-timeout 15000")


def free_port() -> int:
    while True:
        port = random.randint(20_000, 30_000)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + _BUS)):
                return port
        except OSError:
            continue


def _join(nodes: list[Endpoint]) -> None:
    bounds = [16_384 * number // len(nodes) for number in range(len(nodes) + 1)]
    for number, node in enumerate(nodes):
        with closing(connect(node)) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
    deadline = time.monotonic() + 30
    for node in nodes:
        with closing(connect(node)) as client:
            while not _is_whole(client, len(nodes)):
                assert time.monotonic() < deadline, client.execute_command("CLUSTER", "INFO")
                time.sleep(0.02)


def _is_whole(client: redis.Redis, shards: int) -> bool:
    slots = client.execute_command("CLUSTER", "SLOTS")
    info: Any = client.execute_command("CLUSTER INFO")
    return len(slots) == shards and str(info["cluster_state"]) in ("ok", "b'ok'")
