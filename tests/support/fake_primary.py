"""What a replica takes for its primary: it continues the replication stream with commands of our choice.

The only way to change what one replica of a cluster holds, and nobody else: it sends its own users' writes away.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from harness.resp import encode

_COMMAND = re.compile(rb"PING|PSYNC|REPLCONF(?!\r\n\$\d+\r\nACK)")


@contextmanager
def fake_primary(address: tuple[str, int], *commands: tuple[str, ...]) -> Iterator[None]:
    """Listens where the replica looks for its primary, and once it has come sends it these commands."""
    payload = b"".join(encode.command(*words) for words in commands)
    with socket.create_server(address) as listener:
        listener.settimeout(0.1)
        ended = threading.Event()
        thread = threading.Thread(target=_serve, args=(listener, payload, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _serve(listener: socket.socket, payload: bytes, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            replica, _ = listener.accept()
        except TimeoutError:
            continue
        with replica:
            replica.settimeout(0.1)
            _talk(replica, payload, ended)


def _talk(replica: socket.socket, payload: bytes, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            asked = replica.recv(65536)
        except TimeoutError:
            continue
        except ConnectionResetError:
            return
        if not asked:
            return
        for command in _COMMAND.findall(asked.upper()):
            replica.sendall(b"+CONTINUE\r\n" + payload if command == b"PSYNC" else b"+OK\r\n")
