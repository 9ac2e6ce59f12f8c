from __future__ import annotations

from contextlib import closing

import pytest

from harness.endpoint.client import connect
from tests.support.pairs import ENGINES, chain, follow
from tests.support.servers import running


@pytest.fixture(scope="session", params=ENGINES)
def pair(request, tmp_path_factory):
    """A primary and its replica that somebody else has started; tests leave them as they were."""
    with chain(request.param, tmp_path_factory.mktemp("pair")) as endpoints:
        yield endpoints


@pytest.fixture(scope="session")
def one_pair(tmp_path_factory):
    """The same for what does not depend on the engine; the replica of a test that changes it is put right again."""
    with chain(ENGINES[0], tmp_path_factory.mktemp("one_pair")) as endpoints:
        yield endpoints


@pytest.fixture
def a_and_b(one_pair):
    """A pair that was put right: B read-only and following, both without any key."""
    a, b = one_pair
    yield a, b
    with closing(connect(b)) as client:
        client.config_set("replica-read-only", "yes")
    with closing(connect(a)) as client:
        client.flushall()
    follow(b, a)


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """A server that follows nobody, reachable under two addresses."""
    with running(ENGINES[0], tmp_path_factory.mktemp("stranger"), "bind 127.0.0.1 127.0.0.2") as endpoint:
        yield endpoint
