"""What containers can do that processes can't, and what only containers can get wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from harness.endpoint.view import NodeView
from harness.errors import SetupError
from harness.resp.connection import Connection
from harness.runtime.container import ContainerDeployment, ContainerRuntime, Links
from harness.runtime.container_server import use_ryuk_where_at_hand
from harness.runtime.labels import OWNER
from harness.runtime.owner import Owner
from harness.runtime.readiness import wait_until
from harness.topology import Link, Node, Topology
from tests.support.docker import ENGINE, docker_client, engine_image, toxiproxy_image

pytestmark = pytest.mark.container

PAIR = Topology({"a": Node("a", 6379, password="secret"), "b": Node("b", 10878, replica_of="a")})


@pytest.fixture
def client() -> Iterator[Any]:
    with docker_client() as opened:
        yield opened


@pytest.fixture
def owner() -> Iterator[Owner]:
    with Owner() as opened:
        yield opened


def deployed(client: Any, owner: Owner, *links: Link) -> ContainerDeployment:
    image = engine_image(client)
    chosen = Links(toxiproxy_image(client), "a-run") if links else None
    return ContainerRuntime(client, lambda node: image, "written", owner, chosen).deploy(PAIR, links)


def link_is_up(deployment: ContainerDeployment) -> bool:
    with NodeView(deployment.control("b")) as view:
        return bool(view.replication().link_up)


def test_a_partitioned_node_comes_back_at_the_same_address_with_its_data(client: Any, owner: Owner) -> None:
    with deployed(client, owner) as deployment:
        deployment.attach()
        before = deployment.endpoint("a")
        with Connection(before) as a:
            a.command("SET", "k", "v")
        deployment.partition("a")
        deployment.partition("a")
        deployment.rejoin("a")
        deployment.rejoin("a")
        with Connection(before) as a:
            assert a.command("GET", "k") == b"v"
            a.command("SET", "k", "after")
        wait_until(lambda: link_is_up(deployment), deadline_s=70, what="the link to be up")
        with Connection(deployment.control("b")) as b:
            wait_until(lambda: b.command("GET", "k") == b"after", deadline_s=20, what="the value on b")


def test_reports_name_the_images_with_their_digests(client: Any, owner: Owner) -> None:
    with deployed(client, owner, Link("a", "b")) as deployment:
        facts = deployment.facts("a")
        assert facts.engine == ENGINE
        assert facts.origin == f"image replication-harness/valkey:9.1.2@{engine_image(client).digest}"
        assert deployment.proxy is not None
        assert (deployment.proxy.kind, deployment.proxy.version) == ("toxiproxy", "2.12.0")
        assert deployment.proxy.where == toxiproxy_image(client).origin


def test_a_port_that_docker_has_given_away_is_told(client: Any, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    with deployed(client, owner) as deployment:
        taken = deployment.endpoint("a").host
        monkeypatch.setattr("harness.runtime.container.own_address", lambda ports: taken)
        with pytest.raises(
            SetupError, match=rf"node [ab]: its container can't be started: port \d+ on {taken} is taken"
        ):
            deployed(client, owner)


def test_what_runs_is_the_image_that_was_found_and_its_removal_by_others_is_told(client: Any, owner: Owner) -> None:
    image = replace(engine_image(client), reference="a-name-that-leads-elsewhere:1")
    runtime = ContainerRuntime(client, lambda node: image, "written", owner)
    with runtime.deploy(Topology({"a": Node("a", 6379)})) as deployment:
        (container,) = client.containers.list(filters={"label": f"{OWNER}={owner.marker}"})
        assert container.attrs["Image"] == image.id
        container.remove(force=True)
        assert "was removed by somebody else, with its container" in str(deployment.death("a"))
        assert deployment._container("a").pid() == 0
        assert "Ready to accept connections" in deployment.log("a")
        with pytest.raises(SetupError, match="was removed by somebody else"):
            deployment.pause("a")
        deployment.kill("a")


def test_ryuk_is_done_without_where_its_image_is_missing(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from testcontainers.core.config import testcontainers_config

    monkeypatch.setattr(testcontainers_config, "ryuk_image", "no-such-image:1")
    use_ryuk_where_at_hand(client)
    assert testcontainers_config.ryuk_disabled
