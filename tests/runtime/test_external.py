from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import replace

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from harness.errors import ExitCode, HarnessError, SetupError, UsageError
from harness.runtime.external import ExternalRuntime, endpoints_from_environment
from harness.runtime.identity import open_endpoint
from harness.runtime.own_keys import KeyNaming
from harness.topology import Link, Node, Topology
from tests.support.managed import enterprise, hiding
from tests.support.pairs import contents
from tests.support.resp_proxy import RespProxy
from tests.support.scripted import ScriptedServer

PAIR = Topology({"a": Node("a", 6379), "b": Node("b", 10878, replica_of="a")})
ENTERPRISE = Topology({"a": Node("a", 6379), "b": Node("b", 10878, replica_of="a", profile="redis-enterprise")})
SECRET = "s3cr3t"


def external(*endpoints: Endpoint, run_id: str = "r1") -> ExternalRuntime:
    return ExternalRuntime(dict(zip("ab", endpoints, strict=False)), KeyNaming(run_id), patience_s=10)


def test_it_declares_no_capability_and_deploys_nothing(pair):
    a, b = pair
    with external(a, b).deploy(PAIR) as deployment:
        assert (deployment.runtime, deployment.capabilities, dict(deployment.proxied)) == ("external", frozenset(), {})
        assert [deployment.entry(node).address for node in "ab"] == [a.address, b.address]
        assert deployment.log("a") == ""
    assert contents(a) == contents(b) == {}


def test_each_endpoint_that_it_hands_out_is_held_to_what_is_allowed(pair):
    with external(*pair).deploy(PAIR) as deployment:
        for endpoint in (deployment.endpoint("a"), deployment.control("a"), deployment.entry("a")):
            with closing(connect(endpoint)) as client, pytest.raises(HarnessError, match="FLUSHALL may not be sent"):
                client.flushall()


def test_facts_are_those_that_the_server_tells(pair):
    with closing(connect(pair[0])) as client:
        told = client.info("server")
    expected = f"valkey-{told['valkey_version']}" if "valkey_version" in told else f"redis-{told['redis_version']}"
    with external(*pair).deploy(PAIR) as deployment:
        facts = deployment.facts("a")
        assert (facts.engine, facts.run_id) == (expected, told["run_id"])
        assert facts.origin == f"external endpoint {pair[0]}"
        assert (deployment.product("a"), deployment.no_fence("a")) == ("oss", "")


def test_an_engine_that_is_not_told_is_unknown(one_pair):
    a, b = one_pair
    with (
        RespProxy(b, hiding(b"redis_version", b"valkey_version", b"run_id")) as proxy,
        external(a, proxy.endpoint).deploy(PAIR) as deployment,
    ):
        assert (deployment.facts("b").engine, deployment.facts("b").run_id) == ("unknown engine", None)
        assert deployment.no_fence("b") == "it hides its run_id"


@pytest.mark.parametrize(("real", "product"), [(False, "simulated redis-enterprise"), (True, "redis-enterprise")])
def test_a_simulation_is_never_reported_as_the_real_product(one_pair, real, product):
    a, b = one_pair
    with RespProxy(b, enterprise(real=real)) as proxy, external(a, proxy.endpoint).deploy(ENTERPRISE) as deployment:
        assert deployment.product("b") == product
        assert deployment.no_fence("b") == f"{product} may keep commands in front of its servers"


def test_a_real_product_is_noticed_where_the_scenario_does_not_name_it(one_pair):
    a, b = one_pair
    with RespProxy(b, enterprise(real=True)) as proxy, external(a, proxy.endpoint).deploy(PAIR) as deployment:
        assert deployment.product("b") == "redis-enterprise (declared as oss)"
        assert "may keep commands" in deployment.no_fence("b")


def test_something_in_between_that_closes_at_unknown_commands_is_borne(one_pair):
    a, b = one_pair

    def closing_at_unknown(request, ask):
        if request[0] in (b"DPING", b"CLIENT"):
            raise EOFError
        return ask()

    with RespProxy(b, closing_at_unknown) as proxy, external(a, proxy.endpoint).deploy(PAIR) as deployment:
        deployment.attach()
        assert deployment.product("b") == "oss"
        assert deployment.no_fence("b") == "it does not tell connections their ids"


def test_a_user_who_needs_no_password_is_logged_in(stranger):
    with closing(connect(stranger)) as client:
        client.acl_setuser("reader", enabled=True, nopass=True, categories=["+@read", "+@connection"], keys=["*"])
        with open_endpoint("a", Endpoint.parse(f"redis://reader:@{stranger.address}")) as connection:
            assert str(connection.command("SET", "k", 1)).startswith("NOPERM")
        client.acl_deluser("reader")


def test_every_node_needs_an_endpoint():
    with pytest.raises(UsageError, match="node b needs an endpoint: give --endpoint b=URL"):
        external(Endpoint("127.0.0.1", 1)).deploy(PAIR)


def test_an_endpoint_needs_a_node():
    runtime = ExternalRuntime({name: Endpoint("127.0.0.1", 1) for name in "abc"}, KeyNaming("r1"))
    with pytest.raises(UsageError, match="--endpoint c=…: the scenario's nodes are a, b"):
        runtime.deploy(PAIR)


def test_no_proxy_can_stand_in_a_link():
    with pytest.raises(HarnessError, match="no proxy can stand in an external link: a->b"):
        external(Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", 2)).deploy(PAIR, [Link("a", "b")])


@pytest.fixture
def locked(stranger):
    """A server that wants a password."""
    with closing(connect(stranger)) as client:
        client.config_set("requirepass", SECRET)
    yield stranger
    with closing(connect(replace(stranger, password=SECRET))) as client:
        client.config_set("requirepass", "")


def refusal(node: str, endpoint: Endpoint, timeout_s: float = 5) -> str:
    with pytest.raises(SetupError) as caught:
        open_endpoint(node, endpoint, timeout_s=timeout_s).close()
    assert caught.value.exit_code is ExitCode.MACHINE_LACKS
    return str(caught.value)


def test_a_wrong_password_is_said_and_not_shown(locked):
    said = refusal("a", replace(locked, password="wr0ng"))
    assert f"endpoint a ({locked}) can't be used" in said
    assert said.endswith("Set HARNESS_ENDPOINT_A_PASSWORD to its password, or use --endpoint a=@FILE")
    assert "wr0ng" not in said
    assert SECRET not in said


def test_a_missing_password_is_said(locked):
    assert "It wants a password: set HARNESS_ENDPOINT_A_PASSWORD" in refusal("a", locked)


def test_a_password_too_many_is_said(stranger):
    said = refusal("a", replace(stranger, password=SECRET))
    assert "It has no password: leave it out of the URL and HARNESS_ENDPOINT_A_PASSWORD" in said
    assert SECRET not in said


def test_nobody_there_is_said():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    said = refusal("a", Endpoint("127.0.0.1", port, password=SECRET))
    assert f"endpoint a (redis://127.0.0.1:{port}) can't be used: " in said
    assert "Connection refused. Is the address right, is the server running" in said


def test_a_host_without_an_address_is_said():
    assert "Is the address right" in refusal("a", Endpoint("nowhere.invalid", 6379))


def test_tls_spoken_to_a_plain_port_is_said(stranger):
    assert "Is it the other kind of port? Try redis://" in refusal("a", replace(stranger, tls=True), timeout_s=0.3)


@pytest.mark.parametrize("alert", [b"", b"\x15\x03\x03\x00\x02\x02\x46"])
def test_plain_words_to_a_tls_port_are_said(alert):
    """A TLS server that gets a plain command closes, most of them after an alert."""

    def tls(client):
        client.socket.recv(1000)
        client.send(alert)

    with ScriptedServer(tls) as server:
        assert "Is it the other kind of port? Try rediss://" in refusal("a", server.endpoint)


def test_a_ca_file_that_is_not_there_is_said(stranger):
    said = refusal("a", replace(stranger, tls=True, ca_file="/nowhere/ca.pem"))
    assert "the CA file /nowhere/ca.pem: No such file" in said


def test_a_database_that_is_not_there_is_said(stranger):
    said = refusal("a", replace(stranger, db=999))
    assert "database 999 is refused" in said
    assert "Choose a database that it has" in said


def test_a_server_that_loads_its_data_is_waited_for():
    answers = iter([b"-LOADING server is loading the dataset in memory\r\n", b"-LOADING again\r\n", b"+PONG\r\n"])

    def loading(client):
        while client.request():
            client.send(next(answers))

    with ScriptedServer(loading) as server:
        open_endpoint("a", server.endpoint).close()


def test_a_server_that_never_ends_loading_is_given_up():
    def loading(client):
        while client.request():
            client.send(b"-LOADING server is loading the dataset in memory\r\n")

    with ScriptedServer(loading) as server, pytest.raises(SetupError, match=r"waited .* s for it to load its data"):
        open_endpoint("a", server.endpoint, timeout_s=0.2)


def test_endpoints_by_environment_have_the_ports_of_the_scenario():
    environ = {"REDIS_SERVER1_IP": "10.0.0.1", "REDIS_SERVER1_PASSWORD": SECRET, "REDIS_SERVER2_IP": "10.0.0.2"}
    found = endpoints_from_environment(PAIR, environ)
    assert found == {"a": Endpoint("10.0.0.1", 6379, password=SECRET), "b": Endpoint("10.0.0.2", 10878)}


def test_endpoints_by_environment_can_say_all(pair):
    environ = {"REDIS_SERVER1_IP": "h", "REDIS_SERVER2_IP": "i", "REDIS_SERVER2_PORT": "7", "REDIS_SERVER2_USER": "me"}
    assert endpoints_from_environment(PAIR, environ)["b"] == Endpoint("i", 7, user="me")


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "node a needs an endpoint: give --endpoint a=URL, or set REDIS_SERVER1_IP"),
        ({"REDIS_SERVER1_IP": "h"}, "node b needs an endpoint: give --endpoint b=URL, or set REDIS_SERVER2_IP"),
        ({"REDIS_SERVER1_IP": "h", "REDIS_SERVER1_PORT": "x"}, "REDIS_SERVER1_PORT is 'x'; a port is a number"),
        ({"REDIS_SERVER1_IP": "h", "REDIS_SERVER1_PORT": "65536"}, "REDIS_SERVER1_PORT is '65536'"),
    ],
)
def test_an_environment_that_says_too_little(environ, why):
    with pytest.raises(UsageError, match=why):
        endpoints_from_environment(PAIR, environ)
