"""One server: its start, its end, and why it failed, in words; and what this means for a process of this machine.

It stands apart from the deployment so that everything here is about a single server and nothing about topologies.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from harness.endpoint.address import Endpoint
from harness.engine.binaries import Engine
from harness.errors import SetupError
from harness.resp.connection import AccessRefused, CannotConnect, Connection, ConnectionLost
from harness.resp.replication_info import info_fields
from harness.resp.replies import ErrorReply
from harness.runtime.loopback import holder_of, refuses
from harness.runtime.owner import Owner
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.runtime.server_config import ServerPlan, server_config, sync_leftover

START_S = 30.0  # without progress
STOP_S = 5.0
_SHOWN_LINES = 12
_BAD_DIRECTIVE = re.compile(r"(?ms)FATAL CONFIG FILE ERROR.*?^>>> '(?P<line>.*?)'$\s*(?P<reason>.*?)$")
_NO_LISTEN = re.compile(r"Could not create server TCP listening socket \S+: (?P<reason>.*)|Address already in use")


class Server(ABC):
    """A server that this process starts, wherever it runs. plan may be replaced while it doesn't run. Errors are
    SetupErrors with the log's last lines and the cause; no password stands in them.
    """

    listens_here = False  # whether it listens on a numeric address of this machine itself

    def __init__(self, plan: ServerPlan, engine: str, origin: str) -> None:
        self.plan, self.engine, self.origin = plan, engine, origin
        self._log_size = 0

    @property
    def control(self) -> Endpoint:
        """Where we connect to, as a user with all rights."""
        return Endpoint(self.plan.host, self.plan.port, password=self.plan.node.password)

    @abstractmethod
    def start(self) -> None:
        """Begin; whether it comes up, `await_answer` tells. Starting a second time keeps address and log."""

    @abstractmethod
    def ended(self, wait_s: float) -> str | None:
        """How it ended, as the end of a sentence, if it does within wait_s; None while it runs."""

    @abstractmethod
    def pause(self) -> None:
        """Freeze it: its connections stay, nothing moves. SetupError where it has ended."""

    @abstractmethod
    def resume(self) -> None:
        """Let it go on; nothing where it was not paused. SetupError where it has ended."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once, as a crash would; nothing where it has ended."""

    @abstractmethod
    def stop(self) -> None:
        """End it in order, so that it can save what it is configured to save; by force after some seconds."""

    @abstractmethod
    def log(self) -> str:
        """Everything that the server said so far, as far as that can be had."""

    def why_no_log(self) -> str:
        """Why its log doesn't tell everything, "" where it does: no log is no proof that nothing happened."""
        try:
            size = self.plan.log.stat().st_size
        except OSError as error:
            return f"its log {self.plan.log} can't be read: {error.strerror}"
        if not size or size < self._log_size:
            return f"its log {self.plan.log} is {'shorter than it was' if size else 'empty'}"
        self._log_size = size
        return ""

    def await_answer(self) -> Connection:
        """Wait until the server answers PING with its data loaded, and return that connection."""
        seen: list[str] = ["no connection"]
        loaded = [0.0]

        def answering() -> Connection | None:
            if cause := self.death():
                raise SetupError(cause)
            if self.listens_here and refuses(self.plan.host, self.plan.port):
                seen[0] = f"nobody listens on {self.control.address} yet"
                return None
            try:
                connection = Connection(self.control, timeout_s=STOP_S)
            except AccessRefused as error:
                raise SetupError(self._trouble(f"doesn't take the password that its own file gives: {error}")) from None
            except CannotConnect as error:
                seen[0] = str(error)
                return None
            return self._loaded(connection, seen, loaded)

        try:
            return wait_until(
                answering,
                deadline_s=START_S,
                what=f"node {self.plan.node.name} to answer",
                describe=lambda: seen[0],
                progress=lambda: loaded[0],
            )
        except WaitedTooLongError as error:
            raise SetupError(self._trouble(f"doesn't answer: {error}")) from None

    def death(self, wait_s: float = 0.0) -> str | None:
        """The whole story where the server has ended, within wait_s; None while it runs."""
        how = self.ended(wait_s)
        return None if how is None else self._trouble(f"{how}{self._cause()}")

    def _loaded(self, connection: Connection, seen: list[str], loaded: list[float]) -> Connection | None:
        """The connection once PING is answered; closed otherwise, with what was seen and how much has been loaded."""
        try:
            reply = connection.command("PING")
            if not isinstance(reply, ErrorReply) or reply.code == "MASTERDOWN":  # a replica without its primary is up
                return connection
            seen[0] = str(reply)
            info = connection.command("INFO", "persistence")
            fields = info_fields(info.decode("utf-8", "replace")) if isinstance(info, bytes) else {}
            loaded[0] = float(fields.get("loading_loaded_bytes", "0"))
        except ConnectionLost as error:
            seen[0] = str(error)
        connection.close()
        return None

    def _trouble(self, what: str) -> str:
        lines = self.log().strip().splitlines()[-_SHOWN_LINES:]
        shown = "".join(f"\n    {line}" for line in lines) or " (empty)"
        who = f"node {self.plan.node.name} ({self.engine})"
        return self._without_passwords(f"{who} {what}\n  its log ends:{shown}")

    def _cause(self) -> str:
        """The cause where the log tells it, as the end of a sentence; else "" ."""
        log = self.log()
        if found := _BAD_DIRECTIVE.search(log):
            return f": a directive that it doesn't take: {found['line']}: {found['reason']}"
        if _NO_LISTEN.search(log):
            by = holder_of(self.plan.host, self.plan.port)
            return f": port {self.plan.port} on {self.plan.host} is taken{f' by {by}' if by else ''}; use --ports any"
        return ""

    def _without_passwords(self, text: str) -> str:
        secrets = [self.plan.node.password, self.plan.upstream.password]
        secrets += [value for name, value in self.plan.node.directives if _is_secret(name)]
        for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


class ProcessServer(Server):
    """A server as a process of this machine."""

    listens_here = True

    def __init__(self, plan: ServerPlan, engine: Engine, owner: Owner) -> None:
        super().__init__(plan, engine.name, engine.origin)
        self._program, self._owner = engine.program, owner
        self._process: subprocess.Popen[bytes] | None = None
        self._config = plan.folder / "server.conf"
        self._said = plan.folder / "said"  # what the server says before it knows its log

    def start(self) -> None:
        self.plan.folder.mkdir(mode=0o700, exist_ok=True)
        _write_private(self._config, server_config(self.plan))
        if leftover := sync_leftover(self.plan):
            leftover.unlink(missing_ok=True)
        with self._said.open("ab") as said:
            try:
                self._process = self._owner.popen(
                    [self._program, self._config], cwd=self.plan.folder, stdout=said, stderr=said
                )
            except OSError as error:
                raise SetupError(
                    f"node {self.plan.node.name}: {self._program} can't be run: {error.strerror}"
                ) from None

    @property
    def pid(self) -> int | None:
        """Of the process, which leads a group of its own; None before the first start."""
        return None if self._process is None else self._process.pid

    def ended(self, wait_s: float) -> str | None:
        if self._process is None:
            return "was not started"
        try:
            status = self._process.wait(wait_s) if wait_s else self._process.poll()
        except subprocess.TimeoutExpired:
            return None
        return None if status is None else f"ended {_how(status)}"

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or (cause := self.death()):
            raise SetupError(cause if self._process else f"node {self.plan.node.name} was not started")
        self._process.send_signal(number)

    def condemn(self) -> None:
        """Send what ends it; `kill` then waits for that."""
        if self._process is not None:
            self._owner.condemn(self._process)

    def kill(self) -> None:
        if self._process is not None:
            self._owner.stop(self._process)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._owner.stop(self._process)
        self.kill()

    def log(self) -> str:
        said = [path.read_bytes() for path in (self._said, self.plan.log) if path.exists()]
        return b"".join(said).decode("utf-8", "replace")


def _how(status: int) -> str:
    if status >= 0:
        return f"with exit code {status}"
    return f"by signal {-status} ({signal.strsignal(-status)})"


def _is_secret(directive: str) -> bool:
    return any(word in directive.lower() for word in ("pass", "auth", "user"))


def _write_private(path: Path, text: str) -> None:
    """A file that only this user can read, from its first moment on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
