from __future__ import annotations

from contextlib import closing

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from harness.errors import ExitCode, SetupError
from harness.runtime.leftovers import Leftover, leftovers, remove_leftovers
from tests.support.managed import refusing
from tests.support.monitor import Monitor
from tests.support.pairs import contents
from tests.support.resp_proxy import Error, RespProxy


@pytest.fixture
def littered(a_and_b):
    """A server with keys of two killed runs in two databases, and with keys of others."""
    a, _ = a_and_b
    with closing(connect(a)) as client, closing(connect(a.with_database(3))) as third:
        client.rpush("harness:r1:numbers:list", 1, 2, 3)
        client.set("harness:r1::canary:{x}", "v")
        third.rpush("harness:r2:numbers:list", 1)
        for key in (
            "numbers:list",
            "harness",
            "harness:",
            "harness:config",
            "harness::x",
            "my:harness:r1:x",
            "harness:r 1:x",
        ):
            client.set(key, "theirs")
            third.set(key, "theirs")
    return a


def test_what_runs_left_is_found_in_every_database_and_nothing_else_is(littered):
    found = leftovers(littered)
    assert [(left.run_id, left.db, left.key, left.kind, left.elements) for left in found] == [
        ("r1", 0, b"harness:r1::canary:{x}", "string", None),
        ("r1", 0, b"harness:r1:numbers:list", "list", 3),
        ("r2", 3, b"harness:r2:numbers:list", "list", 1),
    ]
    assert {type(left.idle_s) for left in found} == {int}


def test_looking_changes_nothing(littered):
    before = contents(littered)
    leftovers(littered)
    assert contents(littered) == before


def test_exactly_what_was_shown_is_removed(littered):
    before = contents(littered)
    shown = leftovers(littered)
    with closing(connect(littered)) as client:
        client.rpush("harness:r3:later", 1)
    assert remove_leftovers(littered, [shown[2], shown[0]]) == 2
    assert before.keys() - contents(littered).keys() == {
        (3, b"harness:r2:numbers:list"),
        (0, b"harness:r1::canary:{x}"),
    }
    assert remove_leftovers(littered, shown) == 1
    assert (0, b"harness:r3:later") in contents(littered)


def test_thousands_are_found_and_removed(a_and_b):
    a, _ = a_and_b
    with closing(connect(a)) as client, client.pipeline(transaction=False) as pipeline:
        for number in range(3000):
            pipeline.set(f"harness:r1:{number}", 1)
            pipeline.set(f"theirs:{number}", 1)
        pipeline.execute()
    found = leftovers(a)
    assert len(found) == 3000
    assert remove_leftovers(a, found) == 3000
    assert len(contents(a)) == 3000


def test_keys_of_any_bytes_can_be_removed(a_and_b):
    a, _ = a_and_b
    with closing(connect(a)) as client:
        client.set(b"harness:r1:\xff\x00\r\n", 1)
    assert remove_leftovers(a, leftovers(a)) == 1


def test_where_ages_and_databases_are_hidden_the_own_database_is_looked_at(littered):
    def answer(request, ask):
        hidden = request[0] == b"OBJECT" or request == [b"INFO", b"keyspace"]
        return Error(b"ERR command is not allowed") if hidden else ask()

    with RespProxy(littered, answer) as proxy:
        assert [left.key for left in leftovers(proxy.endpoint.with_database(3))] == [b"harness:r2:numbers:list"]
        assert {left.idle_s for left in leftovers(proxy.endpoint)} == {None}


def test_only_reading_and_looking_is_sent_and_keys_are_never_listed_whole(littered):
    with Monitor(littered) as monitor:
        leftovers(littered)
    assert {command.words[0] for command in monitor.commands} <= {
        "PING", "INFO", "SELECT", "SCAN", "OBJECT", "TYPE", "LLEN",
    }  # fmt: skip
    scans = [command.words for command in monitor.commands if command.words[0] == "SCAN"]
    assert all(words[2:] == ("MATCH", "harness:*", "COUNT", "1000") for words in scans)


def test_a_replica_can_not_be_cleaned(a_and_b):
    a, b = a_and_b
    with closing(connect(a)) as client:
        client.rpush("harness:r1:x", 1)
        client.wait(1, 10_000)
    with pytest.raises(SetupError, match="refuses UNLINK: READONLY") as caught:
        remove_leftovers(b, leftovers(b))
    assert caught.value.exit_code is ExitCode.MACHINE_LACKS


def test_an_endpoint_that_refuses_scan_is_said(littered):
    with (
        RespProxy(littered, refusing(b"SCAN", b"NOPERM no")) as proxy,
        pytest.raises(SetupError, match="refuses SCAN: NOPERM no"),
    ):
        leftovers(proxy.endpoint)


def test_an_endpoint_that_can_not_be_reached_is_said_without_a_nodes_name():
    with pytest.raises(SetupError, match=r"endpoint redis://127.0.0.1:1 can't be used: .*Connection refused"):
        leftovers(Endpoint("127.0.0.1", 1))


def test_leftovers_are_listed_by_run():
    early, late = Leftover("r1", 3, b"b", "list"), Leftover("r2", 0, b"a", "list")
    assert sorted([late, early]) == [early, late]
