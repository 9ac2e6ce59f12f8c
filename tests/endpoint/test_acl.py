from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.endpoint.acl import Restriction, commands_of, restriction
from harness.endpoint.profile import profile
from harness.engine.binaries import choose, find_engines
from harness.resp.connection import Connection
from harness.resp.replies import ErrorReply, Reply, Status
from harness.runtime.local import LocalDeployment, LocalRuntime
from harness.runtime.owner import Owner
from harness.runtime.readiness import wait_until
from harness.topology import Node, Topology

ENTERPRISE = profile("redis-enterprise")
TOPOLOGY = Topology(
    {
        "a": Node("a", 6379, password="secret"),
        "b": Node("b", 10878, replica_of="a", profile="redis-enterprise"),
        "c": Node("c", 10879, replica_of="b"),
    }
)


def test_only_what_the_server_has_is_denied() -> None:
    made = restriction(("role", "config|set", "stralgo"), {"role", "config", "config|set", "config|get", "get"})

    assert made == Restriction(denied=("role", "config|set"))
    assert made.rules == ("-role", "-config|set")
    assert made.note == ""


def test_a_server_that_knows_no_subcommands_leaves_them_open_and_that_is_said() -> None:
    made = restriction(("role", "config|set", "acl|save", "cluster|meet"), {"role", "config", "acl", "get"})

    assert made == Restriction(denied=("role",), left_open=("config|set", "acl|save"))
    assert made.note == (
        "clients may send what the product refuses of these, since this server's access rules can't: acl, config"
    )


def test_what_servers_ask_no_rules_for_is_left_open() -> None:
    made = restriction(("role", "reset"), {"role", "reset", "config", "config|set"})

    assert made == Restriction(denied=("role",), left_open=("reset",))


@pytest.fixture(scope="module", params=[engine.name for engine in find_engines()])
def deployment(request: pytest.FixtureRequest) -> Iterator[LocalDeployment]:
    engine = choose(request.param)
    with Owner() as owner, LocalRuntime(lambda node: engine, "written", owner).deploy(TOPOLOGY) as deployment:
        deployment.attach()
        yield deployment


def ask(connection: Connection, words: str) -> Reply:
    return connection.command(*words.split(" "))


REFUSED = [
    "REPLICAOF NO ONE",
    "REPLICAOF 127.0.0.1 1",
    "ROLE",
    "CONFIG SET maxmemory 1",
    "CONFIG RESETSTAT",
    "SYNC",
    "PSYNC ? -1",
    "REPLCONF listening-port 1",
    "SHUTDOWN NOSAVE",
    "SAVE",
    "BGSAVE",
    "LASTSAVE",
    "FAILOVER",
    "MIGRATE h 1 k 0 1",
    "MOVE k 1",
    "SWAPDB 0 1",
    "SELECT 1",
    "ACL SETUSER default +@all",
    "ACL LOG",
    "CLIENT PAUSE 1",
    "CLUSTER MEET h 1",
    "CLUSTER INFO",
    "LATENCY RESET",
    "MEMORY PURGE",
    "SCRIPT DEBUG NO",
    "ACL SAVE",
]


@pytest.mark.parametrize("words", REFUSED)
def test_a_client_of_the_simulated_product_may_not(deployment: LocalDeployment, words: str) -> None:
    with Connection(deployment.endpoint("b")) as client:
        reply = ask(client, words)

        assert isinstance(reply, ErrorReply)
        assert reply.code == "NOPERM"


@pytest.mark.parametrize("words", ["DEBUG SLEEP 0", "MODULE LOAD x"])
def test_nor_what_servers_refuse_everybody(deployment: LocalDeployment, words: str) -> None:
    with Connection(deployment.endpoint("b")) as client:
        assert isinstance(ask(client, words), ErrorReply)


ALLOWED = ["PING", "INFO", "INFO replication", "SCAN 0", "CONFIG GET maxmemory", "ACL WHOAMI", "CLIENT ID"]
ALLOWED += ["GET k", "LRANGE l 0 -1", "TYPE k", "TTL k", "DUMP k", "DBSIZE", "MULTI", "EXISTS k", "COMMAND COUNT"]


@pytest.mark.parametrize("words", ALLOWED)
def test_and_may(deployment: LocalDeployment, words: str) -> None:
    with Connection(deployment.endpoint("b")) as client:
        assert not isinstance(ask(client, words), ErrorReply)


def test_every_command_that_the_product_refuses_and_the_server_has_is_denied(deployment: LocalDeployment) -> None:
    """Asked of the server itself, without running anything."""
    with Connection(deployment.control("b")) as admin:
        here = commands_of(admin)
        open_to_clients = [
            name
            for name in ENTERPRISE.refused
            if name in here
            and name != "reset"
            and "|" not in name
            and ask(admin, f"ACL DRYRUN default {name}") == Status("OK")
        ]
    assert open_to_clients == []
    assert {"replicaof", "config|set"} <= here


def test_replication_goes_on_through_it(deployment: LocalDeployment) -> None:
    with Connection(deployment.endpoint("a")) as writer, Connection(deployment.endpoint("b")) as reader:
        for words in ("DEL k", "SET k v", "SELECT 3", "SET in_three v", "SELECT 0", "RPUSH l 1 2 3"):
            assert not isinstance(ask(writer, words), ErrorReply)
        wait_until(lambda: ask(reader, "LRANGE l 0 -1") == [b"1", b"2", b"3"], deadline_s=10, what="the list on b")
        assert ask(reader, "GET k") == b"v"
    with Connection(deployment.endpoint("c")) as reader:
        wait_until(lambda: ask(reader, "LRANGE l 0 -1") == [b"1", b"2", b"3"], deadline_s=10, what="the list on c")
        ask(reader, "SELECT 3")
        assert ask(reader, "GET in_three") == b"v"


def test_the_harness_itself_is_not_restricted(deployment: LocalDeployment) -> None:
    with Connection(deployment.control("b")) as admin:
        for words in ("CONFIG SET maxmemory 0", "ROLE", "SELECT 1", "DBSIZE", "LATENCY RESET"):
            assert not isinstance(ask(admin, words), ErrorReply)


def test_nobody_else_gets_in_as_the_harness(deployment: LocalDeployment) -> None:
    with Connection(deployment.endpoint("b")) as client:
        reply = ask(client, "AUTH harness-admin harness-admin")
        assert isinstance(reply, ErrorReply)
        assert reply.code == "WRONGPASS"


def test_the_restriction_stands_after_a_restart(deployment: LocalDeployment) -> None:
    deployment.restart("b")
    with Connection(deployment.endpoint("b")) as client:
        reply = ask(client, "ROLE")
        assert isinstance(reply, ErrorReply)
        assert reply.code == "NOPERM"
