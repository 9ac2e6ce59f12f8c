"""Which product an endpoint is, by what it answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.probe import fitting_profiles, probe
from harness.endpoint.profile import profiles
from harness.errors import SetupError
from harness.runtime.identity import identify, product
from tests.endpoint.simulated.endpoints import simulated
from tests.support.managed import enterprise
from tests.support.resp_proxy import RespProxy
from tests.support.servers import running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running("valkey-server", tmp_path_factory.mktemp("server")) as endpoint:
        yield endpoint


def test_a_stock_server(server: Endpoint) -> None:
    found = probe(server)

    assert (found.kind, found.product) == ("stock", "oss")
    assert found.evidence == ("it refuses: none of what was asked",)


@pytest.mark.parametrize("name", ["redis-enterprise", "elasticache-serverless", "memorystore"])
def test_a_simulation_is_never_taken_for_the_real_thing(server: Endpoint, name: str, tmp_path: Path) -> None:
    with simulated(server, name, tmp_path) as endpoint:
        found = probe(endpoint)
        seen = product("redis-enterprise", identify(endpoint))

    assert (found.kind, found.product) == ("simulated", name)
    assert found.evidence == (f"HARNESS answers 'simulated {name}'",)
    assert seen == f"simulated {name}"


@pytest.mark.parametrize("name", ["", "redis-enterprise"])
def test_who_wants_a_password_is_not_judged_without_it(name: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(running("valkey-server", tmp_path, "requirepass secret"))
        known = replace(server, password="secret")
        asked = stack.enter_context(simulated(known, name, tmp_path)) if name else server
        with pytest.raises(SetupError, match="It wants a password"):
            probe(replace(asked, password=None))
        assert probe(replace(asked, password="secret")).kind == ("simulated" if name else "stock")


def test_only_answers_make_a_stock_server(tmp_path: Path) -> None:
    """A server without its primary answers next to nothing: that is no refusal, and no sign of a stock server."""
    options = ("replicaof 127.0.0.1 1", "replica-serve-stale-data no")
    with running("valkey-server", tmp_path, *options) as server:
        found = probe(server)

    assert (found.kind, found.product) == ("unknown", "")
    assert any("tells nothing: MASTERDOWN" in one for one in found.evidence)


def test_the_real_enterprise_family_answers_dping(server: Endpoint) -> None:
    with RespProxy(server, enterprise(real=True)) as proxy:
        found = probe(proxy.endpoint)

    assert (found.kind, found.product) == ("real", "redis-enterprise")
    assert "DPING answers, which only the Redis Enterprise family does" in found.evidence
    assert "in these words: ERR command is not allowed" in found.evidence


def test_whoever_refuses_like_a_product_may_be_that_product() -> None:
    refused = {"CONFIG GET maxmemory": "ERR unknown command 'CONFIG'"}

    assert fitting_profiles(refused) == ("elasticache",)
    assert fitting_profiles({"PUBSUB NUMPAT": "?"}) == ()
    assert "oss" in profiles()
