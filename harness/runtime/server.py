"""One server process: its files, its start, its end, and why it failed, in words.

It stands apart from the deployment so that everything here is about a single process and nothing about topologies.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from harness.endpoint.address import Endpoint
from harness.engine.binaries import Engine
from harness.errors import SetupError
from harness.resp.connection import AccessRefused, CannotConnect, Connection, ConnectionLost
from harness.resp.replication_info import info_fields
from harness.resp.replies import ErrorReply
from harness.runtime.loopback import holder_of
from harness.runtime.owner import Owner
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.runtime.server_config import ServerPlan, server_config, sync_leftover

START_S = 30.0  # without progress
STOP_S = 5.0
_SHOWN_LINES = 12
_BAD_DIRECTIVE = re.compile(r"(?ms)FATAL CONFIG FILE ERROR.*?^>>> '(?P<line>.*?)'$\s*(?P<reason>.*?)$")
_NO_LISTEN = re.compile(r"Could not create server TCP listening socket \S+: (?P<reason>.*)|Address already in use")


class Server:
    """A server that this process starts. plan may be replaced while it doesn't run. Errors are SetupErrors with the
    log's last lines and the cause; no password stands in them.
    """

    def __init__(self, plan: ServerPlan, engine: Engine, owner: Owner) -> None:
        self.plan, self.engine = plan, engine
        self._owner = owner
        self._process: subprocess.Popen[bytes] | None = None
        self._config = plan.folder / "server.conf"
        self._said = plan.folder / "said"  # what the server says before it knows its log

    @property
    def control(self) -> Endpoint:
        """Where we connect to, as a user with all rights."""
        user, password = None, self.plan.node.password
        if self.plan.admin is not None:
            user, password = self.plan.admin.user, self.plan.admin.password
        return Endpoint(self.plan.host, self.plan.port, user, password)

    def start(self) -> None:
        """Begin; whether it comes up, `await_answer` tells. Starting a second time keeps address, folder and log."""
        self.plan.folder.mkdir(mode=0o700, exist_ok=True)
        _write_private(self._config, server_config(self.plan))
        if leftover := sync_leftover(self.plan):
            leftover.unlink(missing_ok=True)
        with self._said.open("ab") as said:
            try:
                self._process = self._owner.popen(
                    [self.engine.program, self._config], cwd=self.plan.folder, stdout=said, stderr=said
                )
            except OSError as error:
                raise SetupError(
                    f"node {self.plan.node.name}: {self.engine.program} can't be run: {error.strerror}"
                ) from None

    def await_answer(self) -> Connection:
        """Wait until the server answers PING with its data loaded, and return that connection."""
        seen: list[str] = ["no connection"]
        loaded = [0.0]

        def answering() -> Connection | None:
            if cause := self.death():
                raise SetupError(cause)
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
        """The whole story where the process has ended, within wait_s; None while it runs."""
        if self._process is None:
            return f"node {self.plan.node.name} was not started"
        try:
            status = self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return None
        return self._trouble(f"ended {_how(status)}{self._cause()}")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server; SetupError where it has ended."""
        if self._process is None or (cause := self.death()):
            raise SetupError(cause if self._process else f"node {self.plan.node.name} was not started")
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a crash would; nothing where it has ended."""
        if self._process is not None:
            self._owner.stop(self._process)

    def stop(self) -> None:
        """End it in order, so that it can save what it is configured to save; by force after some seconds."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._owner.stop(self._process)
        self.kill()

    def log(self) -> str:
        """Everything that the server said so far."""
        said = [path.read_bytes() for path in (self._said, self.plan.log) if path.exists()]
        return b"".join(said).decode("utf-8", "replace")

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
        who = f"node {self.plan.node.name} ({self.engine.name})"
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
        secrets = [self.plan.node.password, self.plan.upstream.password, self.plan.admin and self.plan.admin.password]
        secrets += [value for name, value in self.plan.node.directives if _is_secret(name)]
        for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


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
