"""What every runtime that starts servers has to do, whatever it starts them with."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.view import NodeView
from harness.errors import SetupError
from harness.resp.connection import AccessRefused, CannotConnect, Connection, ConnectionLost, ReplyTimeout
from harness.resp.replication_info import info_fields
from harness.resp.replies import ErrorReply, Reply, Status
from harness.runtime.base import Deployment, Killable, Pausable, Restartable, Runtime
from harness.runtime.labels import OWNER
from harness.runtime.owner import Owner
from harness.runtime.readiness import wait_until
from harness.topology import Node, Topology
from tests.conformance.runtimes import CASES, OPENERS
from tests.support.docker import NOTHING, docker_client, inventory

PAIR = Topology({"a": Node("a", 6379, password="secret"), "b": Node("b", 10878, replica_of="a")})
ALONE = Topology({"a": Node("a", 6379)})


class Started(Deployment, Killable, Pausable, Restartable):
    """A deployment with all the abilities that are tested here."""


@pytest.fixture
def folder_of_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A runtime by name, and an engine."""
    kind, engine = request.param
    return kind, engine


@pytest.fixture
def kind(case: tuple[str, str]) -> str:
    return case[0]


@pytest.fixture
def runtime(case: tuple[str, str], folder_of_temporary_files: Path) -> Iterator[Runtime]:
    """When a test ends, nothing may be left."""
    kind, engine = case
    with Owner() as owner, OPENERS[kind](engine, owner) as opened:
        yield opened
        assert list(folder_of_temporary_files.iterdir()) == []
        if kind == "container":
            with docker_client() as client:
                assert inventory(client, f"{OWNER}={owner.marker}") == NOTHING


def deployed(runtime: Runtime, topology: Topology) -> Started:
    return runtime.deploy(topology)  # type: ignore[return-value]


def ask(endpoint: Endpoint, *words: str | int) -> Reply:
    with Connection(endpoint) as connection:
        return connection.command(*words)


def offset_of(deployment: Deployment, node: str) -> int | None:
    with NodeView(deployment.control(node)) as view:
        return view.replication().processed_offset


def wait_for_value(endpoint: Endpoint, key: str, value: bytes) -> None:
    with Connection(endpoint) as connection:
        wait_until(lambda: connection.command("GET", key) == value, deadline_s=20, what=f"{key} on {endpoint}")


def listens(endpoint: Endpoint) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((endpoint.host, endpoint.port)) == 0


def test_ports_are_exactly_as_written_and_on_loopback_only(runtime: Runtime) -> None:
    with deployed(runtime, PAIR) as deployment:
        assert [deployment.endpoint(node).port for node in ("a", "b")] == [6379, 10878]
        assert all(deployment.endpoint(node).host.startswith("127.") for node in ("a", "b"))
        assert ask(deployment.endpoint("a"), "PING") == Status("PONG")
        assert ask(deployment.entry("b"), "PING") == Status("PONG")


def test_a_password_is_asked_for_where_one_is_written(runtime: Runtime) -> None:
    with deployed(runtime, PAIR) as deployment:
        a = deployment.endpoint("a")
        assert isinstance(ask(Endpoint(a.host, a.port), "GET", "k"), ErrorReply)
        with pytest.raises(AccessRefused):
            Connection(Endpoint(a.host, a.port, password="wrong"))
        b = deployment.endpoint("b")
        assert b.password is None
        assert ask(b, "GET", "k") is None


def test_directives_of_the_scenario_win(runtime: Runtime) -> None:
    directives = (("maxmemory", "104857600"), ("hz", "77"), ("databases", "5"), ("repl-diskless-sync", "yes"))
    with deployed(runtime, Topology({"a": Node("a", 6379, directives=directives)})) as deployment:
        deployment.attach()
        for name, value in directives:
            assert ask(deployment.control("a"), "CONFIG", "GET", name) == [name.encode(), value.encode()]


def test_facts_name_the_engine_and_the_very_process(runtime: Runtime, case: tuple[str, str]) -> None:
    with deployed(runtime, PAIR) as deployment:
        facts = deployment.facts("a")
        reply = ask(deployment.control("a"), "INFO", "server")
        assert isinstance(reply, bytes)
        assert facts.run_id == info_fields(reply.decode())["run_id"]
        assert facts.run_id != deployment.facts("b").run_id
        assert facts.engine == case[1]


def test_before_attaching_nodes_answer_alone(runtime: Runtime) -> None:
    with deployed(runtime, PAIR) as deployment:
        ask(deployment.endpoint("a"), "SET", "k", "before")
        assert ask(deployment.endpoint("b"), "GET", "k") is None

        deployment.attach()

        assert ask(deployment.endpoint("b"), "GET", "k") == b"before"


def test_after_attaching_a_replica_streams_at_once_by_one_full_sync_with_no_key_of_ours(runtime: Runtime) -> None:
    with deployed(runtime, PAIR) as deployment:
        deployment.attach()
        with Connection(deployment.control("a")) as a:
            stats = a.command("INFO", "stats")
            assert isinstance(stats, bytes)
            fields = info_fields(stats.decode())
            assert (fields["sync_full"], fields["sync_partial_ok"]) == ("1", "0")
            a.command("SET", "k", "v")
            assert a.command("WAIT", 1, 10_000) == 1
        assert ask(deployment.endpoint("b"), "GET", "k") == b"v"
        with NodeView(deployment.control("b")) as view:
            assert list(view.every_key()) == [(0, b"k")]
            assert list(view.keys(0)) == [b"k"]
        assert "Full resync" in deployment.log("b")


def test_a_chain(runtime: Runtime) -> None:
    nodes = [Node("a", 6379, password="x"), Node("b", 6380, "a", password="y"), Node("c", 6381, "b", password="z")]
    with deployed(runtime, Topology({node.name: node for node in nodes})) as deployment:
        ask(deployment.endpoint("a"), "SET", "before", "1")
        deployment.attach()
        ask(deployment.endpoint("a"), "SET", "after", "2")
        wait_for_value(deployment.endpoint("c"), "after", b"2")
        assert ask(deployment.endpoint("c"), "GET", "before") == b"1"
        assert offset_of(deployment, "b") is not None


def test_a_fan_out(runtime: Runtime) -> None:
    nodes = [Node("a", 6379)] + [Node(f"b{index}", 7000 + index, replica_of="a") for index in range(3)]
    with deployed(runtime, Topology({node.name: node for node in nodes})) as deployment:
        deployment.attach()
        with Connection(deployment.control("a")) as a:
            a.command("SET", "k", "v")
            assert a.command("WAIT", 3, 10_000) == 3


def test_two_deployments_side_by_side(runtime: Runtime) -> None:
    with deployed(runtime, PAIR) as one, deployed(runtime, PAIR) as other:
        one.attach()
        other.attach()
        ask(one.endpoint("a"), "SET", "k", "one")
        ask(other.endpoint("a"), "SET", "k", "other")
        wait_for_value(one.endpoint("b"), "k", b"one")
        wait_for_value(other.endpoint("b"), "k", b"other")
        other.close()
        assert ask(one.endpoint("a"), "PING") == Status("PONG")


def test_a_killed_node_is_gone_and_its_log_stays(runtime: Runtime) -> None:
    with deployed(runtime, PAIR) as deployment:
        deployment.attach()
        before = deployment.log("b")
        deployment.kill("b")
        with pytest.raises(CannotConnect):
            Connection(deployment.endpoint("b"))
        assert deployment.log("b").startswith(before.rstrip("\n"))
        assert "Ready to accept connections" in before
        deployment.kill("b")


def test_a_restart_keeps_address_password_and_what_was_to_be_saved(runtime: Runtime) -> None:
    saving = Topology({"a": Node("a", 6379, password="secret", directives=(("appendonly", "yes"),))})
    with deployed(runtime, saving) as deployment:
        before, run_id = deployment.endpoint("a"), deployment.facts("a").run_id
        ask(before, "SET", "k", "v")
        deployment.restart("a")
        assert deployment.endpoint("a") == before
        assert deployment.facts("a").run_id != run_id
        assert ask(before, "GET", "k") == b"v"


def test_a_restart_without_persistence_is_empty(runtime: Runtime) -> None:
    with deployed(runtime, PAIR) as deployment:
        ask(deployment.endpoint("a"), "SET", "k", "v")
        deployment.attach()
        deployment.kill("a")
        deployment.restart("a")
        assert ask(deployment.endpoint("a"), "GET", "k") is None


def test_a_restarted_replica_follows_again(runtime: Runtime) -> None:
    with deployed(runtime, PAIR) as deployment:
        deployment.attach()
        deployment.restart("b")
        ask(deployment.endpoint("a"), "SET", "k", "v")
        wait_for_value(deployment.endpoint("b"), "k", b"v")


def test_a_paused_node_keeps_its_connections_and_moves_nothing(runtime: Runtime) -> None:
    with deployed(runtime, PAIR) as deployment:
        deployment.attach()
        deployment.pause("b")
        with pytest.raises((ReplyTimeout, CannotConnect)), Connection(deployment.control("b"), timeout_s=0.3) as b:
            raise AssertionError(b.command("PING"))
        ask(deployment.endpoint("a"), "SET", "k", "v")
        deployment.resume("b")
        wait_for_value(deployment.endpoint("b"), "k", b"v")
        with NodeView(deployment.control("b")) as view:
            assert view.replication().link_up


def test_closing_leaves_nothing_and_can_be_repeated(runtime: Runtime) -> None:
    deployment = deployed(runtime, PAIR)
    deployment.attach()
    with Connection(deployment.control("a")) as connection:
        deployment.pause("b")
        deployment.close()
        with pytest.raises(ConnectionLost):
            connection.command("PING")
    assert not listens(deployment.endpoint("a"))
    assert not listens(deployment.endpoint("b"))
    deployment.close()


def test_a_start_that_fails_half_way_leaves_nothing_and_shows_the_reason(
    runtime: Runtime, folder_of_temporary_files: Path
) -> None:
    directives = (("maxmemory-policy", "nonsense"),)
    nodes = {"a": Node("a", 6379), "b": Node("b", 10878, replica_of="a", directives=directives)}

    with pytest.raises(SetupError, match=r"(?s)node b .*a directive that it doesn't take: maxmemory-policy .?nonsense"):
        runtime.deploy(Topology(nodes))

    assert list(folder_of_temporary_files.iterdir()) == []


def test_a_replica_with_the_wrong_password_is_named_with_its_reason(runtime: Runtime) -> None:
    upstream = "masterauth"  # the servers' own word for it
    nodes = {"a": Node("a", 6379, password="right"), "b": Node("b", 6380, "a", directives=((upstream, "mistaken"),))}
    with deployed(runtime, Topology(nodes)) as deployment:
        with pytest.raises(
            SetupError, match=r"node b can't follow a: its primary refuses (it|its user or password)"
        ) as caught:
            deployment.attach()
        assert "mistaken" not in str(caught.value)
        assert "right" not in str(caught.value)


def test_a_replica_that_dies_while_attaching_is_named_with_its_reason(runtime: Runtime) -> None:
    nodes = {"a": Node("a", 6379), "b": Node("b", 6380, "a", directives=(("databases", "1"),))}
    with deployed(runtime, Topology(nodes)) as deployment:
        with Connection(deployment.endpoint("a")) as a:
            a.command("SELECT", 3)
            a.command("SET", "k", "v")
        with pytest.raises(SetupError, match=r"node b .* ended with exit code 1"):
            deployment.attach()


@pytest.mark.parametrize("count", [2])
def test_capabilities_are_those_of_the_runtime(runtime: Runtime, kind: str, count: int) -> None:
    assert runtime.name == kind
    with deployed(runtime, ALONE) as deployment:
        assert deployment.runtime == kind
        assert deployment.capabilities == runtime.capabilities
        assert {"pause", "kill", "restart", "custom_port", "link_faults", "sync_counts"} <= runtime.capabilities
