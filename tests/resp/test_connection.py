from __future__ import annotations

import socket
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import Scope
from harness.errors import HarnessError, SetupError
from harness.resp import encode
from harness.resp.connection import (
    AccessRefused,
    CannotConnect,
    Connection,
    ConnectionLost,
    Interrupted,
    ReplyTimeout,
)
from harness.resp.replies import ErrorReply, Status
from tests.support.pairs import ENGINES
from tests.support.scripted import ScriptedServer
from tests.support.servers import running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A real server that wants a password."""
    directives = ("requirepass secret", "user reader on >hunter2 ~* +@read +select")
    with running(ENGINES[0], tmp_path_factory.mktemp("guarded"), "databases 4", *directives) as endpoint:
        yield endpoint


def with_(endpoint, **changes):
    return Endpoint(**{"host": endpoint.host, "port": endpoint.port, **changes})


def saying(*sent):
    """A server that says this to each client, whatever it asks, and then waits for it to go."""

    def serve(client):
        for data in sent:
            client.send(data)
        client.until_closed()

    return ScriptedServer(serve)


class TestCommands:
    def test_replies_of_each_kind(self, server):
        with Connection(server) as connection:
            connection.command("DEL", "k", "text")
            assert connection.command("PING") == Status("PONG")
            assert connection.command("RPUSH", "k", 1, b"\x00") == 2
            assert connection.command("LRANGE", "k", 0, -1) == [b"1", b"\x00"]
            assert connection.command("GET", "no such key") is None
            assert connection.command("SET", "text", "é") == Status("OK")
            assert connection.command("GET", "text") == "é".encode()
            reply = connection.command("INCR", "text")
            assert isinstance(reply, ErrorReply)
            assert (reply.code, str(reply)) == ("ERR", "ERR value is not an integer or out of range")

    def test_a_value_of_64_megabytes(self, server):
        value = b"v" * (64 << 20)
        with Connection(server) as connection:
            assert connection.command("SET", "large", value) == Status("OK")
            assert connection.command("GET", "large") == value
            assert connection.command("DEL", "large") == 1
            assert connection.bytes_sent > 64 << 20

    def test_a_database_is_selected(self, server):
        with Connection(with_(server, db=3)) as third, Connection(server) as zeroth:
            third.command("SET", "only in 3", "x")
            assert zeroth.command("EXISTS", "only in 3") == 0
            assert third.command("DEL", "only in 3") == 1


class TestConnecting:
    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        with pytest.raises(CannotConnect, match=f"^cannot connect to 127.0.0.1:{port}: Connection refused$"):
            Connection(Endpoint("127.0.0.1", port))

    def test_a_host_that_does_not_exist(self):
        with pytest.raises(CannotConnect, match=r"^cannot connect to no-such-host\.invalid:1: "):
            Connection(Endpoint("no-such-host.invalid", 1))

    def test_it_is_the_machine_that_is_wrong(self):
        assert issubclass(CannotConnect, SetupError)
        assert issubclass(ConnectionLost, SetupError)

    def test_a_password(self, guarded):
        with Connection(with_(guarded, password="secret", db=3)) as connection:
            assert connection.command("PING") == Status("PONG")

    def test_a_user(self, guarded):
        with Connection(with_(guarded, user="reader", password="hunter2")) as connection:
            assert connection.command("GET", "k") is None
            assert isinstance(connection.command("SET", "k", "v"), ErrorReply)

    def test_a_wrong_password_is_not_shown(self, guarded):
        with pytest.raises(AccessRefused, match="the user or password is refused: WRONGPASS") as raised:
            Connection(with_(guarded, password="not the secret"))
        assert "not the secret" not in str(raised.value)

    def test_a_server_that_repeats_the_password_is_not_quoted_with_it(self):
        with (
            saying(b"-ERR user or password tops3cret is wrong\r\n") as server,
            pytest.raises(AccessRefused, match=r"user or password \*\*\* is wrong"),
        ):
            Connection(with_(server.endpoint, password="tops3cret"))

    def test_no_password_is_found_out_by_the_first_command(self, guarded):
        with Connection(guarded) as connection:
            reply = connection.command("PING")
        assert isinstance(reply, ErrorReply)
        assert reply.code == "NOAUTH"

    def test_a_database_that_does_not_exist(self, guarded):
        with pytest.raises(AccessRefused, match="database 4 is refused: ERR DB index is out of range"):
            Connection(with_(guarded, password="secret", db=4))

    @pytest.mark.parametrize("reply", [b"-LOADING dataset in memory\r\n", b"-ERR max number of clients reached\r\n"])
    def test_what_passes_is_no_refusal(self, reply):
        with (
            saying(reply) as server,
            pytest.raises(CannotConnect) as raised,
        ):
            Connection(with_(server.endpoint, db=1))
        assert not isinstance(raised.value, AccessRefused)

    def test_a_server_that_closes_at_once(self):
        with (
            ScriptedServer(lambda client: None) as server,
            pytest.raises(CannotConnect, match=r"closed the connection|Connection reset by peer|Broken pipe"),
        ):
            Connection(with_(server.endpoint, db=1))


class TestScope:
    def test_a_command_outside_the_scope_is_never_sent(self):
        asked = []

        def serve(client):
            while words := client.request():
                asked.append(words)
                client.send(b"+OK\r\n")

        with (
            ScriptedServer(serve) as server,
            Connection(with_(server.endpoint, scope=Scope("r1", writes=False))) as connection,
        ):
            with pytest.raises(HarnessError, match="FLUSHALL may not be sent"):
                connection.command("FLUSHALL")
            with pytest.raises(HarnessError, match="RPUSH may not be sent"):
                connection.check_payload(encode.command("RPUSH", "harness:r1:k", "1"), b"harness:r1:k")
            connection.command("PING")
        assert asked == [[b"PING"]]


class TestWaiting:
    def test_silence_ends_at_the_deadline(self):
        with (
            saying() as server,
            Connection(server.endpoint, timeout_s=0.2) as connection,
            pytest.raises(ReplyTimeout, match=r"did not answer within 0.2 s"),
        ):
            connection.command("PING")

    def test_the_deadline_counts_from_the_last_byte(self):
        def serve(client):
            client.request()
            for byte in b"$40\r\n" + b"x" * 40 + b"\r\n":
                client.send(bytes([byte]))
                time.sleep(0.02)

        with ScriptedServer(serve) as server, Connection(server.endpoint, timeout_s=0.6) as connection:
            assert connection.command("GET", "k") == b"x" * 40

    def test_an_interruption_from_another_thread(self):
        stop = threading.Event()
        with saying() as server, Connection(server.endpoint, interrupted=stop.is_set) as connection:
            timer = threading.Timer(0.1, stop.set)
            timer.start()
            begun = time.monotonic()
            with pytest.raises(Interrupted):
                connection.command("PING")
            assert time.monotonic() - begun < 5
            timer.join()

    def test_no_deadlock_with_a_server_that_reads_only_while_its_replies_are_read(self):
        """It answers each small command with 4 kB, and takes no new one before its answer is gone."""

        def serve(client):
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            for _ in range(3000):
                client.request()
                client.send(b"$4000\r\n" + b"x" * 4000 + b"\r\n")

        with ScriptedServer(serve) as server, Connection(server.endpoint, timeout_s=20) as connection:
            connection.send(encode.command("GET", "k" * 2000) * 3000)
            for _ in range(3000):
                assert connection.take_reply() == b"x" * 4000

    def test_a_reply_that_is_no_resp(self):
        with (
            saying(b"HTTP/1.1 400 Bad Request\r\n") as server,
            Connection(server.endpoint) as connection,
            pytest.raises(ConnectionLost, match=r"does not speak RESP: no reply begins with b'HTTP/1\.1 400 Bad"),
        ):
            connection.command("PING")

    def test_arrays_without_a_bottom(self):
        with (
            saying(b"*1\r\n" * 100_000) as server,
            Connection(server.endpoint) as connection,
            pytest.raises(ConnectionLost, match="does not speak RESP: arrays nested more than 16 deep"),
        ):
            connection.command("PING")


class TestComparing:
    def test_equal_bytes_are_taken_and_others_are_left(self):
        with saying(b":1\r\n:2\r\n:4\r\n+OK\r\n") as server, Connection(server.endpoint) as connection:
            assert connection.take_if(b":1\r\n:2\r\n")
            assert not connection.take_if(b":3\r\n+OK\r\n")
            assert connection.take_reply() == 4
            assert connection.take_if(b"+OK\r\n")

    def test_a_shorter_reply_is_noticed_without_waiting_for_more_bytes(self):
        with saying(b":1\r\n*0\r\n") as server, Connection(server.endpoint, timeout_s=60) as connection:
            begun = time.monotonic()
            assert not connection.take_if(b":1\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n")
            assert time.monotonic() - begun < 30
            assert connection.take_reply() == 1
            assert connection.take_reply() == []

    def test_an_expectation_larger_than_any_buffer(self):
        large = b"$%d\r\n%b\r\n" % (5 << 20, b"x" * (5 << 20))
        with saying(b"+A\r\n" + large, large + b"+B\r\n") as server, Connection(server.endpoint) as connection:
            assert connection.take_reply() == Status("A")
            assert connection.take_if(large)
            assert connection.take_if(large)
            assert connection.take_reply() == Status("B")

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.sampled_from([b":1\r\n", b"+OK\r\n", b"*1\r\n$3\r\nabc\r\n", b"-ERR x\r\n", b"$-1\r\n"]), max_size=8
        ),
        st.lists(st.booleans(), min_size=8, max_size=8),
        st.integers(0, 80),
        st.booleans(),
    )
    def test_replies_of_a_connection_cut_at_any_byte_are_counted_right(self, replies, right, cut, reset):
        whole = b"".join(replies)

        def serve(client):
            client.request()
            client.send(whole[:cut])
            if reset:
                client.reset()

        taken = 0
        with ScriptedServer(serve) as server, Connection(server.endpoint, timeout_s=5) as connection:
            try:
                connection.send(encode.command("PING"))
                for reply, guess in zip(replies, right, strict=False):
                    if not connection.take_if(reply if guess else b":77777\r\n"):
                        connection.take_reply()
                    taken += 1
            except ConnectionLost:
                taken += len(connection.replies_left())
        ends = [len(b"".join(replies[: count + 1])) for count in range(len(replies))]
        assert taken == sum(end <= cut for end in ends)


def send_for_ever(connection):
    while True:
        connection.send(encode.command("PING"))


class TestAfterTheEnd:
    def test_what_had_come_before_a_reset_is_used(self):
        """The reset is met while sending: the replies that had come before it are still there."""
        gone = threading.Event()

        def serve(client):
            client.send(b":1\r\n:2\r\n:3")
            client.request()
            client.reset()
            gone.set()

        with ScriptedServer(serve) as server, Connection(server.endpoint, timeout_s=10) as connection:
            connection.send(encode.command("PING"))
            gone.wait(10)
            with pytest.raises(ConnectionLost):
                send_for_ever(connection)
            assert connection.replies_left() == [1, 2]

    def test_nothing_after_bytes_that_are_no_reply(self):
        with saying(b":1\r\n:2\r\nhello\r\n:3\r\n") as server, Connection(server.endpoint) as connection:
            assert connection.take_reply() == 1
            connection.take_token()
            with pytest.raises(ConnectionLost):
                connection.take_reply()
            assert connection.replies_left() == []
