"""Starts a fault proxy as a process that cannot outlive us: the embedded one, or a toxiproxy-server program.

Neither gets our terminal's Ctrl-C: links must still be healed after it. What they write goes into an unnamed file, so
that nothing is left behind and nothing ever blocks on a full pipe.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

from harness.errors import HarnessError, SetupError

READY_WITHIN_S = 20.0
Popen = Callable[..., "subprocess.Popen[bytes]"]  # subprocess.Popen, or what starts a process that goes with its owner
_LAST_LINES = 5
_EMBEDDED = Path(__file__).with_name("embedded") / "__main__.py"


class RunningProxy(Protocol):
    """A fault proxy that was started for us and that goes with us, wherever it runs. what: how messages call it."""

    what: str

    def why_ended(self) -> str:
        """How it ended and what it said last; "" while it runs."""

    def stop(self) -> None:
        """End it and wait for its end; nothing if it has ended already."""


class ProxyProcess:
    """A fault proxy that we started. what: how messages call it; url: of its REST API, "" if it tells that itself."""

    def __init__(self, what: str, arguments: Sequence[str], url: str = "", popen: Popen = subprocess.Popen) -> None:
        self.what, self._url = what, url
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process; `stop` closes it
        try:
            self._process = popen(
                arguments,
                stdin=subprocess.DEVNULL if url else subprocess.PIPE,
                stdout=self._output if url else subprocess.PIPE,
                stderr=self._output,
                start_new_session=True,
            )
        except OSError as error:
            self._output.close()
            raise SetupError(
                f"{what} cannot be started: {error.strerror or error}; is it an executable program for this machine? "
                "`--fault-proxy embedded` needs no program"
            ) from None

    @property
    def pid(self) -> int:
        return self._process.pid

    def url(self) -> str:
        """Of its REST API; waits for the embedded one to tell it. HarnessError if it ends or says nothing in time."""
        self._url = self._url or f"http://127.0.0.1:{int(self._first_line().split()[1])}"
        return self._url

    def why_ended(self) -> str:
        """How it ended and what it said last; "" while it runs."""
        code = self._process.poll()
        if code is None:
            return ""
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"{self.what} {how}; its last lines:\n{self.last_lines() or '(none)'}"

    def last_lines(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        pipe, line = self._process.stdout.fileno(), b""
        deadline = time.monotonic() + READY_WITHIN_S
        while not line.endswith(b"\n"):
            if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise HarnessError(f"{self.what} was not ready within {READY_WITHIN_S:.0f} s; it said {line!r}")
            if not (more := os.read(pipe, 4096)):
                self._process.wait()
                raise HarnessError(self.why_ended())
            line += more
        return line.decode()

    def stop(self) -> None:
        """End it and wait for its end; nothing if it has ended already."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._output):
            if stream is not None:
                stream.close()


def start_embedded() -> ProxyProcess:
    """Not waited for: it takes about 50 ms. Its life hangs on our end of its standard input."""
    return ProxyProcess("the embedded fault proxy", [sys.executable, "-I", "-S", str(_EMBEDDED), "--port", "0"])


def start_program(path: Path, popen: Popen) -> ProxyProcess:
    """A toxiproxy-server, not yet ready. It doesn't end with us by itself: popen is to see to that."""
    host = _own_loopback_address()
    with socket.create_server((host, 0)) as free:
        port = free.getsockname()[1]
    arguments = [str(path), "-host", host, "-port", str(port)]
    return ProxyProcess(str(path), arguments, f"http://{host}:{port}", popen)


def _own_loopback_address() -> str:
    """One that hardly anybody else uses at the same time, so that nobody takes the port that we found free."""
    if not sys.platform.startswith("linux"):
        return "127.0.0.1"  # the only one there
    return f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
