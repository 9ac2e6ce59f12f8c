"""Whom something in Docker belongs to, as labels that outlive it: which run, and which process of which machine.

A process number alone says little on a Docker host that several machines, containers and boots may share: so the boot
and the namespace of the number stand beside it, and nothing is called dead that can't be looked at from here.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from harness.runtime.watchdog import started

PREFIX = "replication-harness"
OWNER = f"{PREFIX}.owner"  # the marker of the Owner, which its watchdog looks for
RUN = f"{PREFIX}.run"
_BOOT, _NAMESPACE = f"{PREFIX}.boot", f"{PREFIX}.pid-namespace"
MARKER = "[0-9a-f]{32}"
_PID, _STARTED = f"{PREFIX}.pid", f"{PREFIX}.started"


def owner_labels(marker: str, run_id: str) -> dict[str, str]:
    """For everything that this process makes in Docker."""
    boot, namespace = here()
    pid = os.getpid()
    own = {_BOOT: boot, _NAMESPACE: namespace, _PID: str(pid), _STARTED: started(pid)}
    return {OWNER: marker, RUN: run_id, **own}


def here() -> tuple[str, str]:
    """This boot of this machine, and this namespace of process numbers; "" where the system doesn't tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot, os.readlink("/proc/self/ns/pid")
    except OSError:
        return "", ""


def place_name() -> str:
    """The same as one short word."""
    return _short("\0".join(here()))


def new_marker() -> str:
    """A name for what this process makes, from which it can be told whether the process still lives: 32 characters."""
    pid = os.getpid()
    return f"{place_name()}{pid:08x}{_short(started(pid))}{secrets.token_hex(4)}"


def marker_state(marker: str) -> str:
    """As `owner_state`, of a marker."""
    if not re.fullmatch(MARKER, marker) or marker[:8] != place_name():
        return "elsewhere"
    since = started(int(marker[8:16], 16))
    return "alive" if since and _short(since) == marker[16:24] else "dead"


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


def owner_state(labels: Mapping[str, str]) -> str:
    """ "alive", "dead", or "elsewhere" where that can't be told from here."""
    place = (labels.get(_BOOT, ""), labels.get(_NAMESPACE, ""))
    if not all(place) or place != here():
        return "elsewhere"
    alive = started(int(labels.get(_PID, "0"))) == labels.get(_STARTED)
    return "alive" if alive else "dead"


def told_owner(labels: Mapping[str, str]) -> str:
    """The owner in words: "run 1a2b3c4d, process 123"."""
    return f"run {labels.get(RUN, '?')}, process {labels.get(_PID, '?')}"
