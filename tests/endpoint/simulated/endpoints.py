"""Simulated endpoints in front of real servers, and a socket that speaks to one without a library in between."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

from harness.endpoint.address import Endpoint
from harness.endpoint.profile import profile
from harness.endpoint.simulate import SimulatedEndpoint, upstream_of
from harness.endpoint.simulated.connection import INTERNAL
from harness.endpoint.simulated.plan import Behaviour, Plan


@contextmanager
def simulated(
    upstream: Endpoint, name: str, folder: Path, *, certificate: str | None = None, **changes: Any
) -> Iterator[Endpoint]:
    """An endpoint with this profile on a free port; changes: of its behaviour. Its log is `endpoint.log`."""
    behaviour: Behaviour = replace(profile(name).behaviour, **changes)
    plan = Plan(name, "127.0.0.1", 0, upstream_of(upstream), behaviour, certificate)
    endpoint = SimulatedEndpoint(plan, folder / "endpoint.log")
    try:
        yield Endpoint("127.0.0.1", endpoint.wait_ready())
        assert endpoint.death() is None, endpoint.death()
        assert INTERNAL not in (log := (folder / "endpoint.log").read_text()), log
    finally:
        endpoint.stop()


class Raw:
    """A client's socket."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.socket = socket.create_connection((endpoint.host, endpoint.port), timeout=20)
        self._file: IO[bytes] = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        return self._file.readline()

    def take(self, size: int) -> bytes:
        return self._file.read(size)

    def rest(self) -> bytes:
        """Everything until the other side closes."""
        return self._file.read()

    def ask(self, data: bytes, reply: bytes) -> None:
        """Send these bytes; exactly this has to come back."""
        self.send(data)
        assert self.take(len(reply)) == reply
