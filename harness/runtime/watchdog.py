"""The process that outlives a killed harness: when its standard input ends, it removes what the harness left.

A harness that is killed by SIGKILL can't clean up, so every Owner has one of these beside it, in a session of its own
and deaf to the signals that a terminal sends to a whole group. Until then it is a shell, which costs next to nothing
beside the servers that start at the same moment; only that end makes the shell start this script (``python -I -S
watchdog.py MARKER``). It imports the standard library only, and learns from its standard input, one line each:

    folder PATH          will be created and has to go
    pid NUMBER START     is running; START: when it began, as `started` gives it, so that a reused number is spared
    docker SOCKET LABEL  what carries this label there has to go

A server that was forked but not yet reported is found on Linux by the MARKER in its environment, or because its working
folder is one of ours (servers overwrite their environment when they set their process title).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

MARKER_VARIABLE = "REPLICATION_HARNESS_OWNER"
DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
GIVE_UP_S = 4.5
_PROC = "/proc"


def started(pid: int) -> str:
    """When this process began: an opaque word, "" where there is no such process (any more, but as a zombie)."""
    if os.path.isdir(_PROC + "/self"):
        try:
            with open(f"{_PROC}/{pid}/stat", "rb") as stat:
                state, *fields = stat.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return "" if state in b"ZX" else fields[18].decode()
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "_".join(shown.stdout.split())


def main(marker: str) -> None:
    for number in DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    folders: list[str] = []
    pids: dict[int, str] = {}
    docker: list[tuple[str, str]] = []
    for line in sys.stdin.buffer:
        word, _, rest = os.fsdecode(line.rstrip(b"\n")).partition(" ")
        if word == "folder":
            folders.append(rest)
        elif word == "pid":
            pid, _, start = rest.partition(" ")
            pids[int(pid)] = start
        elif word == "docker":
            path, _, label = rest.rpartition(" ")
            docker.append((path, label))
    if docker:  # before their folders: the daemon makes those anew while a container still starts
        sweep(marker, pids, [])
        _sweep_docker(dict.fromkeys(docker), folders)
    sweep(marker, pids, folders)


def _sweep_docker(what: Iterable[tuple[str, str]], folders: list[str]) -> None:
    """Loaded only here, since most runs have nothing to do with Docker."""
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    remove_labelled = importlib.import_module("docker_sweep").remove_labelled

    def remove_folders() -> bool:
        left = [folder for folder in folders if os.path.lexists(folder)]
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)
        return bool(left)

    for path, label in what:
        remove_labelled(path, label, remove_folders)


def sweep(marker: str, pids: dict[int, str], folders: list[str]) -> None:
    """Kill and remove until nothing is found any more, since what was being started may still be forking."""
    give_up = time.monotonic() + GIVE_UP_S
    quiet = 0
    while quiet < 3 and time.monotonic() < give_up:
        living = {pid for pid, start in pids.items() if start and started(pid) == start}
        living |= set(marked(marker, folders))
        for pid in living:
            _kill(pid)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        left = any(os.path.lexists(folder) for folder in folders)
        quiet = 0 if living or left else quiet + 1
        time.sleep(0.02)


def marked(marker: str, folders: list[str]) -> list[int]:
    """Every process of ours that carries the marker, or works in one of the folders; Linux only."""
    if not os.path.isdir(_PROC + "/self"):
        return []
    wanted = f"{MARKER_VARIABLE}={marker}".encode()
    return [
        int(name)
        for name in os.listdir(_PROC)
        if name.isdigit() and int(name) != os.getpid() and (_carries(name, wanted) or _works_in(name, folders))
    ]


def _carries(pid: str, wanted: bytes) -> bool:
    try:
        with open(f"{_PROC}/{pid}/environ", "rb") as environment:
            return wanted in environment.read().split(b"\0")
    except OSError:  # another user's process, or one that has just ended
        return False


def _works_in(pid: str, folders: list[str]) -> bool:
    try:
        folder = os.readlink(f"{_PROC}/{pid}/cwd").removesuffix(" (deleted)")
    except OSError:  # likewise
        return False
    return any(folder == ours or folder.startswith(ours + "/") for ours in folders)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
