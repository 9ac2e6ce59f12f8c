from __future__ import annotations

import threading

import pytest

from harness.resp import kept as kept_module
from harness.resp.connection import Connection, ConnectionLost
from harness.resp.fence import identify
from harness.resp.kept import READER, KeptConnections


@pytest.fixture
def kept():
    with KeptConnections() as connections:
        yield connections


def writing(server, kept):
    """A connection that wrote, was identified and is kept; and its identity."""
    connection = Connection(server)
    identity = identify(connection)
    kept.keep(connection, identity)
    return connection, identity


def test_what_is_kept_is_given_away_once_as_if_it_were_new(server, kept, monkeypatch):
    monkeypatch.setattr(kept_module, "KEPT_S", 60)
    connection, identity = writing(server, kept)
    assert connection.bytes_sent > 0
    assert kept.take(server, 3.5) == (connection, identity)
    assert (connection.bytes_sent, connection.timeout_s) == (0, 3.5)
    assert kept.take(server, 3.5) is None
    assert connection.command("PING").text == "PONG"
    connection.close()


def test_who_takes_it_is_asked_whether_to_go_on_and_not_who_had_it(server, kept, monkeypatch):
    monkeypatch.setattr(kept_module, "KEPT_S", 60)
    gone = threading.Event()
    connection = Connection(server, interrupted=gone.is_set)
    kept.keep(connection, identify(connection))
    gone.set()
    taken, _ = kept.take(server, 5.0)
    assert taken.command("BLPOP", f"none:{id(kept)}", "0.2") is None  # several looks at who may interrupt
    kept.keep(taken, identify(taken))
    again, _ = kept.take(server, 5.0, lambda: True)
    with pytest.raises(ConnectionLost, match="interrupted"):
        again.command("BLPOP", f"none:{id(kept)}", "5")
    again.close()


def test_a_connection_that_the_server_closed_meanwhile_is_not_given_away(server, kept, monkeypatch):
    monkeypatch.setattr(kept_module, "KEPT_S", 60)
    connection, identity = writing(server, kept)
    with Connection(server) as other:
        assert other.command("CLIENT", "KILL", "ID", identity.client_id) == 1
        connection._transport.wait(30)  # its end has arrived
    assert kept.take(server, 5.0) is None


def test_a_connection_with_a_reply_to_come_is_not_kept(server, kept):
    connection = Connection(server)
    connection.send(connection.pack("PING"))
    connection._transport.wait(30)
    kept.keep(connection, READER)
    assert connection._transport._socket.fileno() == -1
    assert kept.take(server, 5.0, reader=True) is None


def test_a_connection_with_a_reply_that_was_not_taken_whole_is_not_kept(server, kept):
    with Connection(server) as connection:
        connection.send(connection.pack("COMMAND", "COUNT") + connection.pack("PING"))
        connection.take_token()
        connection.peek(7)
        assert not connection.at_rest
        connection.skip(7)
        assert connection.at_rest
    assert not connection.at_rest


def test_a_quiet_connection_may_be_closed_soon_and_is_not_given_away(server, kept, monkeypatch):
    writing(server, kept)
    monkeypatch.setattr(kept_module, "KEPT_S", 0.0)
    assert kept.take(server, 5.0) is None


def test_who_reads_and_who_writes_have_connections_of_their_own(server, kept, monkeypatch):
    monkeypatch.setattr(kept_module, "KEPT_S", 60)
    connection, _ = writing(server, kept)
    with kept.reading(server) as reader:
        assert reader is not connection
    with kept.reading(server) as again:
        assert again is reader
    with kept.reading(server.with_database(3)) as elsewhere:
        assert elsewhere is not reader
    assert kept.take(server, 5.0)[0] is connection
    connection.close()


def test_what_went_wrong_is_not_kept(server, kept, monkeypatch):
    monkeypatch.setattr(kept_module, "KEPT_S", 60)
    with pytest.raises(RuntimeError), kept.reading(server) as reader:
        raise RuntimeError
    with kept.reading(server) as closed:
        assert closed is not reader
        closed.close()
    with kept.reading(server) as another:
        assert another is not closed
