"""rediss endpoints, against a server that speaks TLS in this process."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from harness.checker.evidence import Run
from harness.endpoint.address import Endpoint
from harness.resp import encode
from harness.resp.connection import AccessRefused, CannotConnect, Connection
from harness.resp.key_reader import read_key
from harness.resp.replies import Status
from tests.support.scripted import Client, ScriptedServer

CERTIFICATES = Path(__file__).parent / "certificates"
AUTHORITY = str(CERTIFICATES / "authority.pem")


def encrypted(handler):
    """A scripted server behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem")

    def serve(client):
        try:
            wrapped = context.wrap_socket(client.socket.dup(), server_side=True)
        except (ssl.SSLError, OSError):
            return  # a client that does not trust us
        with wrapped:
            handler(Client(wrapped))

    return ScriptedServer(serve)


def numbers(client):
    """Answers as a node with the list 1..60000 would."""
    body = encode.bulk_numbers()
    while words := client.request():
        if words[0] == b"LLEN":
            client.send(b":60000\r\n")
        elif words[0] == b"LRANGE":
            first = int(words[2]) + 1
            count = max(0, min(60_000, int(words[3]) + 1) - first + 1)
            client.send(encode.array_header(count) + body.build(first, count))
        else:
            client.send(b"+OK\r\n")


def tls(server, **changes):
    return Endpoint("127.0.0.1", server.endpoint.port, tls=True, **changes)


def test_a_list_over_tls():
    with encrypted(numbers) as server:
        endpoint = tls(server, ca_file=AUTHORITY, password="secret", db=3)
        with Connection(endpoint) as connection:
            runs = []
            assert read_key(connection, "k", runs.append).length == 60_000
            assert runs == [Run(1, 60_000)]


def test_large_payloads_go_both_ways():
    def serve(client):
        client.request()
        client.send(b"$5000000\r\n" + b"y" * 5_000_000 + b"\r\n")

    with encrypted(serve) as server, Connection(tls(server, ca_file=AUTHORITY)) as connection:
        assert connection.command("SET", "k", b"x" * 5_000_000) == b"y" * 5_000_000


def test_a_certificate_of_an_unknown_authority():
    with encrypted(numbers) as server, pytest.raises(AccessRefused, match="its certificate is not accepted: "):
        Connection(tls(server))


def test_a_certificate_for_another_name():
    with encrypted(numbers) as server:
        short = Endpoint("127.1", server.endpoint.port, tls=True, ca_file=AUTHORITY)  # another name of 127.0.0.1
        with pytest.raises(AccessRefused, match=r"its certificate is not accepted: .*127\.1"):
            Connection(short)
        named = Endpoint("localhost", server.endpoint.port, tls=True, ca_file=AUTHORITY)
        with Connection(named) as connection:
            assert connection.command("PING") == Status("OK")


def test_a_ca_file_that_is_not_there():
    with encrypted(numbers) as server, pytest.raises(AccessRefused, match=r"the CA file /no/such/file: No such file"):
        Connection(tls(server, ca_file="/no/such/file"))


def test_a_server_that_speaks_no_tls():
    def serve(client):
        client.socket.recv(100)
        client.send(b"-ERR unknown command\r\n")

    with ScriptedServer(serve) as server, pytest.raises(CannotConnect, match=r"no TLS connection: "):
        Connection(tls(server, ca_file=AUTHORITY))


def test_a_server_that_never_answers_the_handshake():
    with (
        ScriptedServer(lambda client: client.until_closed()) as server,
        pytest.raises(CannotConnect, match="no TLS connection: the handshake was not answered"),
    ):
        Connection(tls(server, ca_file=AUTHORITY), timeout_s=0.2)
