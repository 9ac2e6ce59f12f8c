"""A server between us and a real one, which changes or refuses what a test tells it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.endpoint.address import Endpoint
from harness.resp import encode
from harness.resp.connection import Connection
from harness.resp.replies import ErrorReply, Reply, Status
from tests.support.scripted import Client, ScriptedServer

# Told the command and a function that asks the real server; what it returns is sent.
Change = Callable[[list[bytes], Callable[[], Reply]], Reply]


@contextmanager
def pretending(real: Endpoint, change: Change) -> Iterator[Endpoint]:
    """The address of the server in between."""
    lock = threading.Lock()

    def serve(client: Client) -> None:
        with Connection(real, timeout_s=30) as behind:
            while words := client.request():
                with lock:
                    reply = change(words, lambda words=words: behind.command(*words))  # type: ignore[misc]
                client.send(sent(reply))

    with ScriptedServer(serve) as server:
        yield server.endpoint


def sent(reply: Reply) -> bytes:
    """A reply's bytes."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, Status):
        return b"+%b\r\n" % reply.text.encode()
    if isinstance(reply, ErrorReply):
        return b"-%b\r\n" % reply.text.encode()
    if isinstance(reply, bytes):
        return encode.bulk(reply)
    return b"*%d\r\n" % len(reply) + b"".join(map(sent, reply))


def without_run_id(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
    """Hides what tells one server from another."""
    reply = ask()
    if words[:2] == [b"INFO", b"server"] and isinstance(reply, bytes):
        return b"\r\n".join(line for line in reply.split(b"\r\n") if not line.startswith(b"run_id:"))
    return reply


def refusing(*names: bytes) -> Change:
    """Refuses these commands, as products do."""

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        if words[0].upper() in names or b" ".join(words[:2]).upper() in names:
            return ErrorReply(f"ERR unknown command '{words[0].decode()}'")
        return ask()

    return change
