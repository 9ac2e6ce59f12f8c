from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from tests.support.pairs import ENGINES
from tests.support.servers import running

Pair = tuple[Endpoint, Endpoint]


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two servers that know nothing of each other: Redis itself where it is installed."""
    folder = tmp_path_factory.mktemp("compare")
    with running(ENGINES[-1], folder / "a") as a, running(ENGINES[-1], folder / "b") as b:
        yield a, b


@pytest.fixture
def pair(servers: Pair) -> Pair:
    """The two servers, empty."""
    for endpoint in servers:
        with closing(connect(endpoint)) as client:
            client.flushall()
    return servers


@pytest.fixture(scope="package")
def valkeys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two servers that know hash-field TTLs."""
    folder: Path = tmp_path_factory.mktemp("valkeys")
    with running("valkey-server", folder / "a") as a, running("valkey-server", folder / "b") as b:
        yield a, b
