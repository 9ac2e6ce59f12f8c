from __future__ import annotations

import socket
import threading
from contextlib import closing
from dataclasses import replace

import pytest
import redis

from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import Scope
from harness.endpoint.client import connect
from harness.errors import HarnessError
from tests.support.resp_proxy import RespProxy
from tests.support.servers import running


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running("valkey-server", tmp_path_factory.mktemp("server")) as endpoint:
        with closing(connect(endpoint)) as client:
            client.config_set("requirepass", "pw")
        yield replace(endpoint, password="pw")


@pytest.fixture
def proxy(server):
    with RespProxy(server) as proxy:
        yield proxy


def scoped(endpoint: Endpoint, db: int = 0) -> Endpoint:
    return replace(endpoint, db=db, scope=Scope("r1", writes=True, writable_claims={(db, b"harness:r1:k")}))


def test_a_connection_introduces_itself_with_nothing_but_its_password_and_database(proxy):
    with closing(connect(replace(proxy.endpoint, db=2))) as client:
        client.ping()
    assert proxy.requests == [[b"AUTH", b"pw"], [b"SELECT", b"2"], [b"PING"]]


def test_a_scope_lets_through_what_it_allows(proxy):
    with closing(connect(scoped(proxy.endpoint, 2))) as client:
        client.rpush("harness:r1:k", 1, 2)
        assert client.lrange("harness:r1:k", 0, -1) == [b"1", b"2"]
        assert client.unlink("harness:r1:k") == 1
    assert [request[0] for request in proxy.requests] == [b"AUTH", b"SELECT", b"RPUSH", b"LRANGE", b"UNLINK"]


def test_what_a_scope_forbids_is_never_sent(proxy):
    with closing(connect(scoped(proxy.endpoint))) as client:
        client.ping()
        for forbidden in (
            client.flushall,
            lambda: client.set("k", 1),
            lambda: client.execute_command("CONFIG SET", "maxmemory", 1),
            lambda: client.client_kill_filter(_id=1),
            lambda: client.monitor().__enter__(),
            lambda: client.pubsub().subscribe("c"),
            lambda: client.eval("return 1", 0),
        ):
            with pytest.raises(HarnessError, match="may not be sent to an endpoint that the harness did not start"):
                forbidden()
    assert {tuple(request) for request in proxy.requests} == {(b"AUTH", b"pw"), (b"PING",)}


@pytest.mark.parametrize("transaction", [True, False])
def test_one_forbidden_command_keeps_a_whole_pipeline_back(proxy, transaction):
    with closing(connect(scoped(proxy.endpoint))) as client, client.pipeline(transaction=transaction) as pipeline:
        pipeline.rpush("harness:r1:k", 1).flushall()
        with pytest.raises(HarnessError, match="FLUSHALL may not be sent"):
            pipeline.execute()
    assert proxy.requests == [[b"AUTH", b"pw"]]


def test_each_command_is_sent_at_most_once():
    """A server that closes after each command sees it once: a hidden retry would write an element twice."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                seen.append(client.recv(1000))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    endpoint = Endpoint("127.0.0.1", listener.getsockname()[1])
    with closing(connect(endpoint)) as client, pytest.raises(redis.ConnectionError):
        client.rpush("k", 1)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)
    assert seen == [b"*3\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$1\r\n1\r\n"]
