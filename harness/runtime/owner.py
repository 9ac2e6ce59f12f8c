"""Everything that a run starts belongs to an Owner, so that nothing of it outlives the run, however the run ends.

A normal end cleans up here. An abnormal one (SIGKILL, a crash of the interpreter) is noticed by the watchdog process,
because the pipe that it reads ends with us; `watchdog.py` says what it does then. Folders are reported before they are
made and processes right after they start; what falls between is found by the marker in a process's environment.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.errors import HarnessError
from harness.runtime.labels import new_marker
from harness.runtime.watchdog import DEAF_TO, MARKER_VARIABLE, marked, started

_WATCHDOG = Path(__file__).with_name("watchdog.py")
# Keeps what it is told until its standard input ends, and hands it to the script that cleans up.
_KEEP_THEN_SWEEP = """
trap '' INT TERM HUP QUIT
while IFS= read -r line; do
    told="$told$line
"
done
printf %s "$told" | "$@"
"""


class Owner:
    """Starts processes and makes folders, and removes them when closed; a context manager.

    Usable from several threads. A forked child that inherits one owns nothing: its `close` does nothing.
    """

    def __init__(self) -> None:
        self.marker = new_marker()
        self._lock = threading.Lock()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._folders: list[Path] = []
        self._in_docker: set[str] = set()
        self._made_by = os.getpid()
        self._closed = False
        reading, self._pipe = os.pipe()
        try:
            self._watchdog = _start_watchdog(self.marker, reading)
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(reading)

    def popen(self, args: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        """subprocess.Popen in a session of its own (a terminal's Ctrl-C doesn't reach it), without standard streams
        unless given. Raises OSError where the program can't be started.
        """
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**(options.pop("env", None) or os.environ), MARKER_VARIABLE: self.marker}
        with self._lock:
            self._check_open()
            process = subprocess.Popen(args, **{**streams, **options, "env": environment, "start_new_session": True})
            self._processes[process.pid] = process
            self._tell(f"pid {process.pid} {started(process.pid)}")
        return process

    def folder(self, prefix: str) -> Path:
        """A new folder that only this user can enter, under the system's folder for temporary files."""
        folder = Path(tempfile.gettempdir()).absolute() / f"{prefix}-{self.marker}-{secrets.token_hex(4)}"
        with self._lock:
            self._check_open()
            self._folders.append(folder)
            self._tell(f"folder {folder}")
            folder.mkdir(mode=0o700)
        return folder

    def watch_docker(self, socket: str, label: str, what: str) -> None:
        """Let the watchdog remove what carries this label there ("name=value"), if we are killed or don't get to it.

        what: one of the things that will carry the label, for `docker_is_clean`.
        """
        with self._lock:
            self._check_open()
            self._in_docker.add(what)
            self._tell(f"docker {socket} {label}")

    def docker_is_clean(self, what: str) -> None:
        """Its maker has removed it."""
        self._in_docker.discard(what)

    def condemn(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process of ours and its own children, also where it has ended and they have not. `stop` then
        waits for it: several that are condemned first end side by side.
        """
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
                os.killpg(process.pid, signal.SIGKILL)
        else:
            self._end_orphans(process.pid)

    def _end_orphans(self, group: int) -> None:
        """What a process that ended by itself has left in its group; its number may be another's by now, so that only
        what carries our marker is ended.
        """
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, 0)
            for pid in marked(self.marker, []):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    if os.getpgid(pid) == group:
                        os.kill(pid, signal.SIGKILL)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process of ours and its own children at once, and wait for its end."""
        self.condemn(process)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        with self._lock:
            self._processes.pop(process.pid, None)

    def remove(self, folder: Path) -> None:
        """Remove a folder of ours with all that is in it; nothing where it is gone."""
        shutil.rmtree(folder, ignore_errors=True)
        with self._lock:
            if folder in self._folders and not folder.exists():
                self._folders.remove(folder)

    def close(self, *, interrupted: bool = False) -> None:
        """Stop every process, remove every folder, end the watchdog. A second call does nothing.

        interrupted: a process may have been started that we had no time to note; the watchdog looks for it.
        """
        if self._closed or os.getpid() != self._made_by:
            return
        self._closed = True
        for process in reversed(list(self._processes.values())):
            self.stop(process)
        for folder in list(self._folders):
            self.remove(folder)
        if not (self._folders or self._in_docker or interrupted):
            self._watchdog.kill()
        os.close(self._pipe)
        self._watchdog.wait()  # where it was left to sweep, it gives up by itself

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close(interrupted=kind is not None and not issubclass(kind, Exception))

    def _check_open(self) -> None:
        if self._closed:
            raise HarnessError("something was to be started after its owner had been closed")

    def _tell(self, line: str) -> None:
        try:
            os.write(self._pipe, os.fsencode(line) + b"\n")
        except BrokenPipeError:
            raise HarnessError("the process that cleans up after a killed run has ended unexpectedly") from None


def _start_watchdog(marker: str, reading: int) -> subprocess.Popen[bytes]:
    """Not waited for: what it is told meanwhile stays in the pipe. Deaf to signals from its first moment on, because it
    inherits that they are blocked. It must not carry an outer owner's marker, else that owner's watchdog would end it
    before it has cleaned up.
    """
    environment = {name: value for name, value in os.environ.items() if name != MARKER_VARIABLE}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, DEAF_TO)
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", _KEEP_THEN_SWEEP, "watchdog", sys.executable, "-I", "-S", _WATCHDOG, marker],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
