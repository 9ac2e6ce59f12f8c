"""Everything that a server is sent while a test runs, by its own MONITOR."""

from __future__ import annotations

import re
import secrets
import shlex
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from harness.endpoint.address import Endpoint
from harness.resp.connection import Connection
from harness.resp.replies import OK, Status

_LINE = re.compile(r"[\d.]+ \[(?P<db>\d+) (?P<client>\S+)\] (?P<command>.*)", re.DOTALL)


@dataclass(frozen=True)
class Seen:
    """One command. words: as the server shows them, with its escapes for bytes that can't be printed."""

    db: int
    words: tuple[str, ...]


class Monitor:
    """Records the commands of all clients but the server's own primary (whose port is given, for a replica).

    After the `with` block `commands` is complete, in the order in which the server ran them.
    """

    def __init__(self, endpoint: Endpoint, primary_port: int | None = None) -> None:
        self._endpoint, self._sentinel = endpoint, secrets.token_hex(8)
        self._primary = f":{primary_port}"
        self._connection = Connection(endpoint, timeout_s=60)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.commands: list[Seen] = []

    def __enter__(self) -> Self:
        assert self._connection.command("MONITOR") == OK
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with Connection(self._endpoint) as other:
            other.command("PING", self._sentinel)
        self._thread.join(30)
        assert not self._thread.is_alive(), "MONITOR did not show the last command"
        self._connection.close()

    def _listen(self) -> None:
        while True:
            shown = self._connection.take_reply()
            assert isinstance(shown, Status)
            match = _LINE.fullmatch(shown.text)
            assert match, shown.text
            words = tuple(shlex.split(match["command"]))
            if words == ("PING", self._sentinel):
                return
            if not match["client"].endswith(self._primary):
                self.commands.append(Seen(int(match["db"]), words))
