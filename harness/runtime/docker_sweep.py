"""Removes from Docker what carries a label, by HTTP over the daemon's socket and the standard library alone.

The watchdog runs it after its owner's death, when nothing but Python itself can be relied on; so it is also loaded as
a plain file, beside `watchdog.py`, and imports nothing of this package.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

CALL_S = 3.0
QUIET_S = 1.2  # for as long nothing more may turn up: the daemon finishes what a dead client asked for
GIVE_UP_S = 30.0
_PAUSE_S = 0.1


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CALL_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(CALL_S)
        self.sock.connect(self._path)


class NotToldError(Exception):
    """The daemon is gone, refuses, or gives no answer in time."""


def call(path: str, method: str, url: str) -> Any:
    """The daemon's answer, parsed; None where it has none. NotToldError."""
    connection = _Connection(path)
    try:
        connection.request(method, url)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status >= 400:
            raise NotToldError(f"{answer.status} {body[:200]!r}")
        return json.loads(body) if body else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotToldError(str(error)) from None
    finally:
        connection.close()


def remove_labelled(path: str, label: str, also: Callable[[], bool] = lambda: False) -> None:
    """Remove containers with their volumes, then networks, until none has been seen for a while.

    also: called after each round of it, for what the daemon makes anew while a container still starts; whether it has
    found anything. A daemon that does not answer, or whose removal is under way already, is asked again.
    """
    filters = quote(json.dumps({"label": [label]}))
    give_up = time.monotonic() + GIVE_UP_S
    quiet_since = time.monotonic()
    while time.monotonic() < min(give_up, quiet_since + QUIET_S):
        found = _remove_once(path, filters)
        if also() or found:
            quiet_since = time.monotonic()
        time.sleep(_PAUSE_S)


def _remove_once(path: str, filters: str) -> bool:
    """Whether anything was there, or may have been."""
    try:
        containers = [each["Id"] for each in call(path, "GET", f"/containers/json?all=1&filters={filters}") or ()]
        networks = [each["Id"] for each in call(path, "GET", f"/networks?filters={filters}") or ()]
    except NotToldError:
        return True
    if containers:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda each: _try(path, f"/containers/{each}?force=1&v=1"), containers))
    for each in networks:
        _try(path, f"/networks/{each}")
    return bool(containers or networks)


def _try(path: str, url: str) -> None:
    with contextlib.suppress(NotToldError):  # seen again in the next round, if it is still there
        call(path, "DELETE", url)
