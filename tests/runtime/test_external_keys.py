from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from harness.errors import ExitCode, HarnessError, SetupError, UsageError
from harness.resp.connection import Connection, ConnectionLost
from harness.runtime.canary import canary_key, lag_key, write_canary
from harness.runtime.external import ExternalDeployment, ExternalRuntime
from harness.runtime.own_keys import KeyNaming
from harness.topology import Node, Topology
from tests.support.managed import refusing
from tests.support.pairs import contents, stop_following
from tests.support.resp_proxy import RespProxy

PAIR = Topology({"a": Node("a", 6379), "b": Node("b", 10878, replica_of="a")})
KEY = "harness:r1:numbers:list"


def deploy(a: Endpoint, b: Endpoint, *, exact: bool = False, keep: bool = False) -> ExternalDeployment:
    return ExternalRuntime({"a": a, "b": b}, KeyNaming("r1", exact=exact, keep=keep), patience_s=1).deploy(PAIR)


def push(deployment: ExternalDeployment, name: str, db: int = 0) -> None:
    with Connection(deployment.entry("a").with_database(db)) as connection:
        assert connection.command("RPUSH", name, 1, 2, 3) == 3


def test_a_runs_keys_are_removed_at_the_end_and_nobody_elses(a_and_b):
    a, b = a_and_b
    with closing(connect(a)) as client:
        client.rpush("numbers:list", "theirs")
        client.set("harness:r2:numbers:list", "another run's")
        before = contents(a)
        with deploy(a, b) as deployment:
            name = deployment.keys.claim("a", "numbers:list")
            push(deployment, name)
            with Connection(deployment.control("a")) as connection:
                write_canary(connection.command, canary_key("r1", name))
                write_canary(connection.command, lag_key("r1", name))
            assert contents(a).keys() - before.keys() == {
                (0, KEY.encode()),
                (0, b"harness:r1::canary:{harness:r1:numbers:list}"),
                (0, b"harness:r1::lag:{harness:r1:numbers:list}"),
            }
        assert contents(a) == before
        assert client.lrange("numbers:list", 0, -1) == [b"theirs"]


def test_a_runs_keys_are_removed_after_a_failure(a_and_b):
    a, b = a_and_b
    deployment = deploy(a, b)
    push(deployment, deployment.keys.claim("a", "numbers:list"))
    with (
        pytest.raises(HarnessError, match="FLUSHALL may not be sent"),
        deployment,
        Connection(deployment.entry("a")) as one,
    ):
        one.command("FLUSHALL")
    assert contents(a) == {}


def test_keys_of_several_databases_are_removed_each_in_its_own(a_and_b):
    a, b = a_and_b
    with closing(connect(a.with_database(3))) as client:
        client.set(KEY + ":other", "theirs")
    with deploy(a, b) as deployment:
        for db in (0, 3, 1):
            push(deployment, deployment.keys.claim("a", "numbers:list", db), db)
        assert contents(a).keys() == {(db, KEY.encode()) for db in (0, 1, 3)} | {(3, KEY.encode() + b":other")}
    assert contents(a).keys() == {(3, KEY.encode() + b":other")}


def test_nothing_is_written_without_a_claim(a_and_b):
    with deploy(*a_and_b) as deployment, pytest.raises(HarnessError, match="was not claimed for writing"):
        push(deployment, KEY)


def test_nothing_is_claimed_before_it_is_proved_that_b_follows(a_and_b):
    a, b = a_and_b
    stop_following(b)
    with pytest.raises(SetupError, match=r"endpoint b .* does not follow a"), deploy(a, b) as deployment:
        deployment.keys.claim("a", "numbers:list")
    assert contents(a) == {}


def test_a_claim_is_for_its_own_database(a_and_b):
    with deploy(*a_and_b) as deployment:
        name = deployment.keys.claim("a", "numbers:list", 1)
        with pytest.raises(HarnessError, match="in database 0 was not claimed"):
            push(deployment, name)


def test_exact_keys_refuse_one_that_exists_and_leave_it_alone(a_and_b):
    a, b = a_and_b
    with closing(connect(a)) as client:
        client.rpush("numbers:list", "theirs")
        why = (
            "the key 'numbers:list' already exists in database 0 on a; without --exact-keys a run writes under a prefix"
        )
        with pytest.raises(SetupError, match=why) as caught, deploy(a, b, exact=True) as deployment:
            deployment.keys.claim("a", "numbers:list")
        assert caught.value.exit_code is ExitCode.MACHINE_LACKS
        assert client.lrange("numbers:list", 0, -1) == [b"theirs"]


def test_an_exact_key_that_was_refused_can_not_be_written(a_and_b):
    a, b = a_and_b
    with closing(connect(a)) as client:
        client.rpush("numbers:list", "theirs")
        with deploy(a, b, exact=True) as deployment:
            with pytest.raises(SetupError, match="already exists"):
                deployment.keys.claim("a", "numbers:list")
            with pytest.raises(HarnessError, match="'numbers:list' in database 0 was not claimed"):
                push(deployment, "numbers:list")
        assert client.llen("numbers:list") == 1


def test_an_exact_key_is_written_read_and_removed(a_and_b):
    a, b = a_and_b
    with deploy(a, b, exact=True) as deployment:
        name = deployment.keys.claim("a", "numbers:list")
        push(deployment, name)
        assert name == "numbers:list"
        with Connection(deployment.endpoint("b")) as connection:
            connection.command("LRANGE", name, 0, -1)
            with pytest.raises(HarnessError, match="'other' in database 0 is not a key of this run"):
                connection.command("LRANGE", "other", 0, -1)
        assert contents(a) == {(0, b"numbers:list"): "list"}
    assert contents(a) == {}


def test_an_exact_key_that_only_b_has_is_no_obstacle(a_and_b):
    a, b = a_and_b
    with closing(connect(b)) as client:
        client.config_set("replica-read-only", "no")
        client.rpush("numbers:list", "stray")
        with deploy(a, b, exact=True) as deployment:
            assert deployment.keys.claim("a", "numbers:list") == "numbers:list"
        client.delete("numbers:list")


def test_kept_keys_stay_and_canaries_go(a_and_b):
    a, b = a_and_b
    with deploy(a, b, keep=True) as deployment:
        name = deployment.keys.claim("a", "numbers:list")
        push(deployment, name)
        with Connection(deployment.control("a")) as connection:
            write_canary(connection.command, canary_key("r1", name))
    assert contents(a) == {(0, KEY.encode()): "list"}
    assert deployment.keys.left == []


def test_a_key_that_an_earlier_run_of_the_same_id_left_is_refused(a_and_b):
    a, b = a_and_b
    with closing(connect(a)) as client:
        client.rpush(KEY, 1)
    with (
        pytest.raises(SetupError, match=f"the key '{KEY}' already exists .* choose another --run-id, or remove"),
        deploy(a, b) as deployment,
    ):
        deployment.keys.claim("a", "numbers:list")
    assert contents(a) == {(0, KEY.encode()): "list"}


def test_a_key_must_not_look_like_one_of_the_harness(a_and_b):
    with deploy(*a_and_b) as deployment, pytest.raises(UsageError, match="begins with a colon"):
        deployment.keys.claim("a", ":canary:x")


def test_a_run_id_must_fit_into_a_key():
    with pytest.raises(UsageError, match="a run id is 1 to 64 of"):
        KeyNaming("*")


def test_one_key_can_be_released_early_and_claimed_again(a_and_b):
    a, b = a_and_b
    with deploy(a, b) as deployment:
        kept, released = (deployment.keys.claim("a", key) for key in ("kept", "released"))
        push(deployment, kept)
        push(deployment, released)
        deployment.keys.release("a", released)
        assert contents(a) == {(0, kept.encode()): "list"}
        with pytest.raises(HarnessError, match="was not claimed"):
            push(deployment, released)
        push(deployment, deployment.keys.claim("a", "released"))
    assert contents(a) == {}


def test_what_can_not_be_removed_is_told(a_and_b, caplog):
    a, b = a_and_b
    with RespProxy(a, refusing(b"UNLINK", b"NOPERM no permissions to run the 'unlink' command")) as proxy:
        with deploy(proxy.endpoint, b) as deployment:
            push(deployment, deployment.keys.claim("a", "numbers:list"))
        assert deployment.keys.left == [
            f"'{KEY}' in database 0 on a is left: NOPERM no permissions to run the 'unlink' command"
        ]
    assert contents(a).keys() >= {(0, KEY.encode())}
    assert f"'{KEY}' in database 0 on a is left" in caplog.text
    assert "`harness clean --endpoint URL` finds it" in caplog.text


def test_a_server_that_has_gone_is_told_too(a_and_b):
    a, b = a_and_b
    with RespProxy(a) as proxy:
        deployment = deploy(proxy.endpoint, b)
        deployment.keys.claim("a", "numbers:list")
    deployment.close()
    assert len(deployment.keys.left) == 1
    assert "cannot connect" in deployment.keys.left[0]


def test_writes_that_are_under_way_can_not_come_after_the_removal(a_and_b):
    """The run's own connections are ended by their ids, on the server that gave these, before its keys are removed."""
    a, b = a_and_b
    with closing(connect(a)) as client, deploy(a, b) as deployment:
        name = deployment.keys.claim("a", "numbers:list")
        with Connection(deployment.entry("a")) as writer, Connection(a) as somebody:
            scope = deployment.entry("a").scope
            assert scope is not None
            scope.clients.add(writer.command("CLIENT", "ID"))
            deployment.close()
            with pytest.raises(ConnectionLost):
                writer.command("PING")
            assert str(somebody.command("PING").text) == "PONG"
        assert client.exists(name) == 0


def test_no_connection_is_ended_on_a_server_that_was_replaced(a_and_b):
    """Ids begin anew when a server restarts: the same number is then somebody else's."""
    a, b = a_and_b
    with deploy(a, b) as deployment, Connection(a) as somebody:
        deployment.keys.claim("a", "numbers:list")
        scope = deployment.entry("a").scope
        assert scope is not None
        scope.clients.add(somebody.command("CLIENT", "ID"))
        scope.server = "0123456789"
        deployment.close()
        assert str(somebody.command("PING").text) == "PONG"


def test_no_connection_is_ended_behind_a_product(a_and_b):
    a, b = a_and_b
    topology = Topology({"a": replace(PAIR.nodes["a"], profile="redis-enterprise"), "b": PAIR.nodes["b"]})
    runtime = ExternalRuntime({"a": a, "b": b}, KeyNaming("r1"))
    with runtime.deploy(topology) as deployment, Connection(deployment.control("a")) as connection:
        client = connection.command("CLIENT", "ID")
        assert connection.endpoint.scope is not None
        connection.endpoint.scope.clients.add(client)
        with pytest.raises(HarnessError, match="this endpoint's connections are not to be killed"):
            connection.command("CLIENT", "KILL", "ID", client)
