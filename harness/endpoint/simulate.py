"""Starts a simulated endpoint: the proxy's process, told by its plan, and what it says when it can't."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.endpoint.address import Endpoint
from harness.endpoint.simulated.plan import Plan, Upstream
from harness.errors import HarnessError, SetupError

READY_WITHIN_S = 30.0
_PROGRAM = Path(__file__).with_name("simulated") / "__main__.py"
_SHOWN_LINES = 12
Popen = Callable[..., "subprocess.Popen[bytes]"]


def upstream_of(endpoint: Endpoint) -> Upstream:
    return Upstream(endpoint.host, endpoint.port, endpoint.user, endpoint.password, endpoint.tls, endpoint.ca_file)


class SimulatedEndpoint:
    """A started endpoint. log: the file that its lines about clients go into; None: our own standard error.

    popen: an owner's, so that it ends with us however we end; its process also ends when we close its standard input.
    """

    def __init__(self, plan: Plan, log: Path | None, popen: Popen = subprocess.Popen) -> None:
        self.plan, self._log = plan, log
        streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": None}
        if log is None:
            self._process = popen(_arguments(), **streams)
        else:
            with log.open("ab") as lines:
                self._process = popen(_arguments(), **{**streams, "stderr": lines})

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self._process

    def wait_ready(self) -> int:
        """The port it listens on; SetupError with what it said where it doesn't come up."""
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._process.stdin.write(self.plan.to_json().encode() + b"\n")
        self._process.stdin.flush()
        pipe, line = self._process.stdout.fileno(), b""
        deadline = time.monotonic() + READY_WITHIN_S
        while not line.endswith(b"\n"):
            if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise HarnessError(f"{self._who} was not ready within {READY_WITHIN_S:.0f} s; it said {line!r}")
            if not (more := os.read(pipe, 4096)):
                self._process.wait()
                raise SetupError(f"{self._who} can't be started{self._said()}")
            line += more
        port = int(line.split()[1])
        self.plan = replace(self.plan, port=port)
        return port

    def death(self) -> str | None:
        """How it ended, None while it runs."""
        code = self._process.poll()
        return None if code is None else f"{self._who} ended with code {code}{self._said()}"

    def stop(self) -> None:
        """End it and wait for its end; nothing where it has ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    @property
    def _who(self) -> str:
        return f"the simulated endpoint {self.plan.profile}"

    def _said(self) -> str:
        if self._log is None:
            return ""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
        return ": " + "\n".join(lines) if lines else ""


def _arguments() -> list[str]:
    return [sys.executable, "-I", "-S", str(_PROGRAM)]
