from __future__ import annotations

import threading

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import Scope
from harness.resp.connection import Connection, ConnectionLost
from harness.resp.fence import Fence, Identity, fence, identify
from tests.support.scripted import ScriptedServer


def test_an_old_connection_is_ended_on_the_server(server):
    with Connection(server) as old:
        identity = identify(old)
        assert identity.missing == ""
        assert fence(server, identity, 5) == Fence(True, "CLIENT KILL was answered with 1")
        with pytest.raises(ConnectionLost):
            old.command("PING")


def test_a_connection_that_the_server_has_closed_already(server):
    with Connection(server) as old:
        identity = identify(old)
    with Connection(server) as other:  # its reply comes after the server has seen the end of the old one, or kills it
        other.command("CLIENT", "KILL", "ID", identity.client_id)
    assert fence(server, identity, 5) == Fence(True, "CLIENT KILL was answered with 0")


def test_another_process_has_none_of_the_old_bytes(server):
    identity = Identity(1, "0123456789")
    assert fence(server, identity, 5) == Fence(True, "the server is another process now")


def test_what_can_not_be_identified_can_not_be_fenced(server):
    assert fence(server, Identity(missing="INFO server tells no run_id"), 5) == Fence(
        False, "INFO server tells no run_id"
    )


def test_nobody_answers_on_the_control_way():
    with ScriptedServer(lambda client: None) as gone:
        closed = gone.endpoint
    result = fence(closed, Identity(1, "f00d"), 0.1)
    assert result == Fence(False, f"cannot connect to {closed.address}: Connection refused")


def test_an_interruption_ends_the_waiting():
    with ScriptedServer(lambda client: client.until_closed()) as silent:
        stop = threading.Event()
        timer = threading.Timer(0.1, stop.set)
        timer.start()
        assert not fence(silent.endpoint, Identity(1, "f00d"), 60, stop.is_set).fenced
        timer.join()


@pytest.mark.parametrize(
    ("client_id", "info", "missing"),
    [
        (b"-NOPERM no\r\n", b"$-1\r\n", "CLIENT ID was answered with NOPERM no"),
        (b":5\r\n", b"-NOPERM no\r\n", "INFO server tells no run_id"),
        (b":5\r\n", b"$7\r\nversion\r\n", "INFO server tells no run_id"),
        (b":5\r\n", b"$13\r\nrun_id:000000\r\n", "INFO server tells no run_id"),
    ],
)
def test_who_a_connection_is_may_be_hidden(client_id, info, missing):
    def serve(client):
        client.request()
        client.send(client_id)
        if client.request():
            client.send(info)

    with ScriptedServer(serve) as server, Connection(server.endpoint) as connection:
        assert identify(connection) == Identity(missing=missing)


class TestScope:
    def test_only_connections_of_our_own_are_ended(self, server):
        scope = Scope("r1", writes=True, server="known")
        theirs = Endpoint(server.host, server.port, scope=scope)
        with Connection(theirs) as old:
            identity = identify(old)
            assert scope.clients == {identity.client_id}
            assert fence(theirs, identity, 5).fenced

    def test_none_where_none_may_be(self, server):
        theirs = Endpoint(server.host, server.port, scope=Scope("r1", writes=True))
        with Connection(theirs) as old:
            identity = identify(old)
            assert fence(theirs, identity, 5) == Fence(False, "connections of this endpoint are not to be killed")
            assert str(old.command("PING").text) == "PONG"
