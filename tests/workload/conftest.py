from __future__ import annotations

import pytest

from tests.support.pairs import ENGINES
from tests.support.servers import running


@pytest.fixture(scope="session", params=ENGINES)
def server(request, tmp_path_factory):
    """The endpoint of a real server, shared by the tests: each uses a key of its own."""
    with running(request.param, tmp_path_factory.mktemp(request.param)) as endpoint:
        yield endpoint
