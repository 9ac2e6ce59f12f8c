"""The fakes are verified: where they don't lie they are the real server, and where they do the lie is as named."""

from __future__ import annotations

from contextlib import closing

import pytest
import redis

from harness.endpoint.client import connect
from tests.support import lying_replica
from tests.support.lying_replica import LyingReplica
from tests.support.pairs import ENGINES
from tests.support.resp_proxy import RespProxy
from tests.support.servers import running

KEY = "harness:r1:numbers:list"
TRUE = [b"%d" % number for number in range(1, 8)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(ENGINES[0], tmp_path_factory.mktemp("server")) as endpoint, closing(connect(endpoint)) as client:
        client.rpush(KEY, *TRUE)
        client.rpush("other", *TRUE)
        yield endpoint


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        (lying_replica.drop_tail(2), b"1 2 3 4 5"),
        (lying_replica.drop(2, 3), b"1 2 6 7"),
        (lying_replica.swap(2), b"1 2 4 3 5 6 7"),
        (lying_replica.replace(2, b"99"), b"1 2 99 4 5 6 7"),
        (lying_replica.insert(2, b"99"), b"1 2 99 3 4 5 6 7"),
        (lying_replica.duplicate(2), b"1 2 3 3 4 5 6 7"),
        (lying_replica.nothing, b""),
    ],
)
def test_each_lie_is_told_in_any_chunks(server, lie, told):
    told = told.split()
    with LyingReplica(server, "numbers:list", lie) as liar, closing(connect(liar.endpoint)) as client:
        assert client.lrange(KEY, 0, -1) == told
        assert [part for start in range(0, 9, 2) for part in client.lrange(KEY, start, start + 1)] == told
        assert client.lrange(KEY, -2, -1) == told[-2:]
        assert client.lrange("other", 0, -1) == TRUE
        assert client.llen(KEY) == 7


def test_the_length_can_lie_as_well(server):
    liar = LyingReplica(server, "numbers:list", lying_replica.drop_tail(2), length_lies=True)
    with liar, closing(connect(liar.endpoint)) as client, client.pipeline(transaction=True) as transaction:
        assert client.llen(KEY) == 5
        assert transaction.llen(KEY).llen("other").lrange(KEY, 3, 9).execute() == [5, 7, [b"4", b"5"]]
    liar = LyingReplica(server, "numbers:list", lying_replica.nothing, length_lies=True)
    with liar, closing(connect(liar.endpoint)) as client:
        assert (client.llen(KEY), client.exists(KEY), client.type(KEY)) == (0, 0, b"none")


def test_the_type_can_lie(server):
    with LyingReplica(server, "numbers:list", None) as liar, closing(connect(liar.endpoint)) as client:
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            client.lrange(KEY, 0, -1)
        assert client.llen(KEY) == 7
    liar = LyingReplica(server, "numbers:list", None, length_lies=True)
    with liar, closing(connect(liar.endpoint)) as client, pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.llen(KEY)


def test_a_proxy_that_changes_nothing_is_the_server(server):
    def answers(endpoint):
        with closing(connect(endpoint)) as client, client.pipeline(transaction=True) as transaction:
            transaction.set("k", "v\r\n").get("k").get("none").lrange("other", 0, -1).delete("k").echo("")
            return [client.ping(), transaction.execute(), client.lrange("none", 0, -1), client.echo("\r\n")]

    with RespProxy(server) as proxy:
        assert answers(proxy.endpoint) == answers(server)
        with closing(connect(proxy.endpoint)) as client, pytest.raises(redis.ResponseError, match="unknown command"):
            client.execute_command("NOSUCH")


def test_a_transaction_that_the_server_refuses_is_passed_on(server):
    with RespProxy(server) as proxy, closing(connect(proxy.endpoint)) as client, client.client() as one:
        one.execute_command("MULTI")
        with pytest.raises(redis.ResponseError, match="unknown command"):
            one.execute_command("NOSUCH")
        with pytest.raises(redis.ResponseError, match="Transaction discarded"):
            one.execute_command("EXEC")
        assert one.execute_command("ECHO", "still there") == b"still there"
