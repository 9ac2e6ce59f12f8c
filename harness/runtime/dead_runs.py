"""What runs have left on this machine: containers, networks, processes, folders, and whether their owner still lives.

A watchdog cleans up after its owner, so something is left only where that was killed too, the machine went down, or
the Docker daemon could not be reached.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.engine.daemon import Client, explanation
from harness.errors import Failure
from harness.runtime.labels import MARKER, OWNER, marker_state, owner_state, told_owner
from harness.runtime.readiness import wait_until
from harness.runtime.watchdog import MARKER_VARIABLE, started

GONE_WITHIN_S = 30.0

_FOLDER = re.compile(rf"replication-harness-({MARKER})-[0-9a-f]+\Z")


@dataclass(frozen=True)
class Remnant:
    """One thing that a run made. state: of its owner: "dead", "alive", or "elsewhere" where that can't be told."""

    what: str
    name: str
    owner: str
    state: str
    remove: Callable[[], None]


def remnants(client: Client | None) -> list[Remnant]:
    """All of them, in the order in which they can be removed. client: None where there is no Docker.

    Each is found before its owner is looked at: an owner is there before what it makes, so none that lives is missed.
    """
    in_docker = list(_in_docker(client)) if client is not None else []
    return [*in_docker, *_processes(), *_folders()]


def _in_docker(client: Client) -> Iterator[Remnant]:
    for container in client.containers.list(all=True, filters={"label": OWNER}, ignore_removed=True):
        owner, state = told_owner(container.labels), owner_state(container.labels)
        yield Remnant("container", container.name, owner, state, partial(_remove_container, container))
    for network in client.networks.list(filters={"label": OWNER}):
        labels = network.attrs.get("Labels") or {}
        owner, state = told_owner(labels), owner_state(labels)
        yield Remnant("network", network.name, owner, state, partial(_remove_network, network))


def remove_all(found: Iterable[Remnant]) -> tuple[str, ...]:
    """Remove them in this order, and all whatever one of them meets; why some could not be removed."""
    failed = []
    for each in found:
        try:
            each.remove()
        except (OSError, Failure) as error:
            failed.append(f"{each.what} {each.name}: {error}")
    return tuple(failed)


def _remove_container(container: Client) -> None:
    """Until it has gone: somebody else may be removing it already."""
    _until_gone(container.name, partial(container.remove, force=True, v=True))


def _remove_network(network: Client) -> None:
    """Until it has gone: a container that is being removed may still be in it."""
    _until_gone(network.name, network.remove)


def _until_gone(name: str, remove: Callable[[], object]) -> None:
    """SetupError with the daemon's words where it stays."""
    import docker.errors
    import requests.exceptions

    said = ""

    def gone() -> bool:
        nonlocal said
        try:
            remove()
        except docker.errors.NotFound:
            return True
        except (docker.errors.APIError, requests.exceptions.RequestException) as error:
            said = explanation(error)
        return False

    wait_until(gone, deadline_s=GONE_WITHIN_S, what=f"{name} to go", describe=lambda: said)


def _remove_folder(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _processes() -> Iterator[Remnant]:
    prefix = f"{MARKER_VARIABLE}=".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        pid, since = int(folder.name), started(int(folder.name))
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            name = (folder / "comm").read_text().strip()
        except OSError:  # another user's process, or one that has just ended
            continue
        for marker in (os.fsdecode(word.removeprefix(prefix)) for word in environment if word.startswith(prefix)):
            remove = partial(_kill, pid, since)
            yield Remnant("process", f"{name} ({pid})", f"owner {marker}", marker_state(marker), remove)


def _kill(pid: int, since: str) -> None:
    """Nothing where it has ended, even if its number has been given to another one."""
    if started(pid) == since:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _folders() -> Iterator[Remnant]:
    for folder in sorted(Path(tempfile.gettempdir()).glob("replication-harness-*")):
        if (found := _FOLDER.match(folder.name)) and _is_ours(folder):
            remove = partial(_remove_folder, folder)
            yield Remnant("folder", str(folder), f"owner {found[1]}", marker_state(found[1]), remove)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid()
    except FileNotFoundError:  # it has just been removed
        return False
