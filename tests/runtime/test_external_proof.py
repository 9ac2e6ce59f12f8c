from __future__ import annotations

import os
import signal
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from harness.errors import ExitCode, SetupError
from harness.runtime.external import ExternalRuntime
from harness.runtime.own_keys import KeyNaming
from harness.topology import Node, Topology
from tests.support.managed import enterprise, hiding, refusing
from tests.support.pairs import ENGINES, chain, contents, follow, stop_following
from tests.support.resp_proxy import RespProxy
from tests.support.servers import running

PAIR = Topology({"a": Node("a", 6379), "b": Node("b", 10878, replica_of="a")})
CHAIN = Topology({"a": Node("a", 1), "b": Node("b", 2, replica_of="a"), "c": Node("c", 3, replica_of="b")})
FAN = Topology({"a": Node("a", 1), "b": Node("b", 2, replica_of="a"), "c": Node("c", 3, replica_of="a")})
HIDDEN = hiding(b"run_id")


def attach(topology: Topology, *endpoints: Endpoint, patience_s: float = 10) -> list[str]:
    """Deploy, attach and close; the notes."""
    runtime = ExternalRuntime(dict(zip("abc", endpoints, strict=False)), KeyNaming("r1"), patience_s=patience_s)
    with runtime.deploy(topology) as deployment:
        deployment.attach()
        deployment.attach()
        assert deployment.notes == [note for node in topology.nodes for note in deployment.facts(node).notes]
        return deployment.notes


def refusal(topology: Topology, *endpoints: Endpoint, patience_s: float = 0.3) -> str:
    with pytest.raises(SetupError) as caught:
        attach(topology, *endpoints, patience_s=patience_s)
    assert caught.value.exit_code is ExitCode.MACHINE_LACKS
    return str(caught.value)


def allow_writes(endpoint: Endpoint) -> None:
    with closing(connect(endpoint)) as client:
        client.config_set("replica-read-only", "no")


def test_a_replica_that_follows_is_accepted_and_nothing_is_left(pair):
    a, b = pair
    assert attach(PAIR, a, b) == []
    assert contents(a) == contents(b) == {}


def test_one_that_follows_nobody_is_refused_and_nothing_is_left(a_and_b, stranger):
    a, _ = a_and_b
    said = refusal(PAIR, a, stranger)
    assert (
        f"endpoint b ({stranger}) does not follow a ({a}): a canary was written through a, and b did not show it"
        in said
    )
    assert "b says that it is a primary" in said
    assert contents(a) == contents(stranger) == {}


def test_one_that_follows_somebody_else_is_refused(a_and_b, stranger):
    _, b = a_and_b
    said = refusal(PAIR, stranger, b)
    assert "does not follow" in said
    assert "b says that it is a replica, its link up" in said
    assert contents(stranger) == contents(b) == {}


def test_one_that_no_longer_follows_is_refused(a_and_b):
    a, b = a_and_b
    stop_following(b)
    assert "b says that it is a primary" in refusal(PAIR, a, b)
    assert contents(a) == {}


def test_the_other_database_of_the_replica_is_refused(a_and_b):
    a, b = a_and_b
    said = refusal(PAIR, a, b.with_database(1))
    assert "both addresses name the same database" in said
    assert contents(a) == contents(b) == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_a_server_is_not_its_own_replica_under_any_address(stranger, host):
    said = refusal(PAIR, stranger, replace(stranger, host=host, db=1))
    assert "are one server, or replicate in both directions: a comparison of the two would prove nothing" in said
    assert contents(stranger) == {}


def test_a_server_behind_something_that_hides_who_it_is_is_not_its_own_replica(stranger):
    with RespProxy(stranger, HIDDEN) as proxy:
        assert "are one server" in refusal(PAIR, stranger, proxy.endpoint)
        assert "are one server" in refusal(PAIR, proxy.endpoint, stranger)
    with RespProxy(stranger, HIDDEN) as one, RespProxy(stranger, hiding(b"run_id")) as other:
        assert "are one server" in refusal(PAIR, one.endpoint, other.endpoint)
    assert contents(stranger) == {}


def test_a_run_id_of_noughts_is_a_hidden_one(a_and_b):
    """Managed endpoints may show the same noughts on every server: that is no sign that two are one."""
    a, b = a_and_b

    def noughts(request, ask):
        reply = ask()
        if request[:1] != [b"INFO"]:
            return reply
        return b"\r\n".join(b"run_id:" + b"0" * 40 if b"run_id:" in line else line for line in reply.split(b"\r\n"))

    with RespProxy(a, noughts) as one, RespProxy(b, noughts) as other:
        assert attach(PAIR, one.endpoint, other.endpoint) == []


def test_a_replica_that_hides_who_it_is_and_refuses_writes_is_another_server(a_and_b):
    a, b = a_and_b
    with RespProxy(b, HIDDEN) as proxy:
        assert attach(PAIR, a, proxy.endpoint) == []
    assert contents(a) == contents(b) == {}


def test_one_that_takes_writes_is_proved_by_a_probe_which_is_removed(a_and_b):
    a, b = a_and_b
    allow_writes(b)
    with RespProxy(b, HIDDEN) as proxy:
        assert attach(PAIR, a, proxy.endpoint) == []
        assert [request[:2] for request in proxy.requests if request[0] in (b"SET", b"UNLINK")] == [
            [b"SET", b"harness:r1::probe:b"],
            [b"UNLINK", b"harness:r1::probe:b"],
        ]
    assert contents(a) == contents(b) == {}


def test_a_writable_replica_that_tells_who_it_is_gets_no_probe(a_and_b):
    a, b = a_and_b
    allow_writes(b)
    with RespProxy(b) as proxy:
        attach(PAIR, a, proxy.endpoint)
        assert b"SET" not in {request[0] for request in proxy.requests}


def test_a_refusal_that_is_not_the_replicas_own_proves_nothing(stranger):
    """The same server, for a user who may not write: a probe that is refused for want of permission says nothing."""
    with RespProxy(stranger, refusing(b"SET", b"NOPERM this user has no permissions")) as proxy:
        said = refusal(PAIR, stranger, proxy.endpoint)
    assert "can't be proved to be a server of its own: a run_id is hidden from us" in said
    assert "NOPERM this user has no permissions" in said
    assert contents(stranger) == {}


def test_an_endpoint_that_says_it_is_a_primary_at_offset_nought_is_proved_by_the_canary(a_and_b):
    a, b = a_and_b
    allow_writes(b)
    topology = Topology({"a": Node("a", 1), "b": Node("b", 2, replica_of="a", profile="redis-enterprise")})
    with RespProxy(b, enterprise()) as proxy:
        assert attach(topology, a, proxy.endpoint) == []
        stop_following(b)
        assert "b says that it is a primary" in refusal(topology, a, proxy.endpoint)
    assert contents(a) == contents(b) == {}


def test_a_primary_that_takes_no_writes_is_refused(a_and_b):
    a, b = a_and_b
    said = refusal(PAIR, b, a)
    assert f"endpoint a ({b}) takes no writes: the canary 'harness:r1::canary:follows:a' is refused: READONLY" in said


def test_a_chain_is_proved_from_its_root(tmp_path):
    with chain(ENGINES[0], tmp_path, 3) as (a, b, c):
        assert attach(CHAIN, a, b, c) == []
        allow_writes(b)
        with RespProxy(b, HIDDEN) as hidden_b, RespProxy(c, HIDDEN) as hidden_c:
            assert attach(CHAIN, a, hidden_b.endpoint, hidden_c.endpoint) == []
        stop_following(c)
        assert "endpoint c" in refusal(CHAIN, a, b, c)
        assert contents(a) == contents(b) == contents(c) == {}


def test_two_replicas_that_are_one_server_are_refused(a_and_b):
    a, b = a_and_b
    with RespProxy(b) as proxy:
        assert "endpoints b" in refusal(FAN, a, b, proxy.endpoint)


def test_two_replicas_that_hide_that_they_are_one_server_are_refused_where_that_can_be_told(a_and_b):
    a, b = a_and_b
    with RespProxy(b, HIDDEN) as one, RespProxy(b, HIDDEN) as other:
        assert attach(FAN, a, one.endpoint, other.endpoint) == [
            "b and c hide run_id and refuse writes: they may be one server"
        ]
        allow_writes(b)
        assert "are one server" in refusal(FAN, a, one.endpoint, other.endpoint)
    assert contents(a) == contents(b) == {}


def test_two_replicas_of_one_primary_are_accepted(tmp_path, a_and_b):
    a, b = a_and_b
    with running(ENGINES[0], tmp_path) as c:
        follow(c, a)
        assert attach(FAN, a, b, c) == []
        allow_writes(b)
        allow_writes(c)
        with RespProxy(b, HIDDEN) as hidden_b, RespProxy(c, HIDDEN) as hidden_c:
            assert attach(FAN, a, hidden_b.endpoint, hidden_c.endpoint) == []
        assert contents(a) == contents(b) == contents(c) == {}


@pytest.fixture
def interruptible():
    """Ctrl-C as a terminal gives it, whatever the test runner has made of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("command", [b"SET", b"GET", b"EXISTS"])
def test_nothing_is_left_after_ctrl_c(a_and_b, interruptible, command):
    """Interrupted while B is asked the first time: for a probe, for the canary; or while A is asked for the probe."""
    a, b = a_and_b
    allow_writes(b)
    interrupted = []

    def answer(request, ask):
        if request[0] == command and not interrupted:
            interrupted.append(command)
            interruptible()
        return HIDDEN(request, ask)

    with ExitStack() as stack:
        one, other = (stack.enter_context(RespProxy(endpoint, answer)) for endpoint in (a, b))
        with pytest.raises(KeyboardInterrupt):
            attach(PAIR, one.endpoint, other.endpoint)
        assert interrupted == [command]
        assert contents(a) == contents(b) == {}
