"""Each test runs over the embedded proxy and over the real one: a link through it, with both ends in one hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from harness.fault.toxic import Direction, Toxic
from harness.fault.toxiproxy import FaultProxy, ProxiedLink, open_fault_proxy
from harness.topology import Link
from tests.conformance.fault_proxy.choices import Add, choice
from tests.fault.tcp import Upstream

A_TO_B = Link.parse("a->b")


@pytest.fixture(scope="module", params=["embedded", "toxiproxy"])
def proxy(request: pytest.FixtureRequest) -> Iterator[FaultProxy]:
    with open_fault_proxy(choice(request.param)) as opened:
        yield opened


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as listening:
        yield listening


@pytest.fixture
def link(proxy: FaultProxy, upstream: Upstream) -> Iterator[ProxiedLink]:
    opened = proxy.open_link("a->b", upstream.address, "127.0.0.1")
    yield opened
    opened.close()


@pytest.fixture
def add(link: ProxiedLink) -> Add:
    """add(kind, attributes, back=False, toxicity=1.0): a toxic on what goes to the client, or back to the server."""

    def added(kind: str, attributes: Mapping[str, int], *, back: bool = False, toxicity: float = 1.0) -> str:
        direction = Direction.TO_SOURCE if back else Direction.TO_TARGET
        return link.add(Toxic(kind, attributes, direction, toxicity), A_TO_B)

    return added
