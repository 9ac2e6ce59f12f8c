"""One node, looked at: its replication state, the lengths of our lists, its other keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from harness.endpoint.address import Endpoint
from harness.errors import HarnessError, SetupError
from harness.kinds import KeyRef
from harness.replication import ReplicationInfo
from harness.resp.connection import Connection
from harness.resp.replication_info import parse_replication, sync_bytes
from harness.resp.replies import ErrorReply, Reply
from harness.resp.transport import never

_DATABASE = re.compile(r"^db(\d+):keys=(\d+)", re.MULTILINE)
_NOT_SERVING = frozenset({"LOADING", "MASTERDOWN", "BUSY"})


class NotServingError(SetupError):
    """A node that loads its data, say, tells nothing of keys for now; of replication it does."""


class AskElsewhereError(SetupError):
    """A cluster's node has no such key; its slot is on its way, and another node may have it."""


_KINDS = {**dict.fromkeys(_NOT_SERVING, NotServingError), "ASK": AskElsewhereError}


@dataclass(frozen=True)
class Sample:
    """What a node showed in one transaction. lengths: of the keys asked for, in elements, None where a key's type is
    another one.
    """

    replication: ReplicationInfo
    lengths: tuple[int | None, ...]
    sync_bytes: int


class NodeView:
    """A connection of its own to one node, opened when first needed; not for two threads at once.

    interrupted: asked while it waits; True ends the wait with Interrupted.
    """

    def __init__(self, endpoint: Endpoint, *, timeout_s: float = 10.0, interrupted: Callable[[], bool] = never) -> None:
        self._endpoint, self._timeout_s, self._interrupted = endpoint, timeout_s, interrupted
        self._connection: Connection | None = None
        self._db = endpoint.db  # selected on the connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._db = self._endpoint.db

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self._endpoint, timeout_s=self._timeout_s, interrupted=self._interrupted)
        return self._connection

    def info(self, section: str) -> str:
        """A section of INFO, as text."""
        return self._text(self._ask("INFO", section))

    def ask_info(self, section: str) -> None:
        """Send the question alone; the connection's next reply is the answer."""
        self.connection.send(self.connection.pack("INFO", section))

    def answered_info(self) -> str:
        """The answer to `ask_info`."""
        return self._text(self._checked(self.connection.take_reply()))

    def replication(self) -> ReplicationInfo:
        return parse_replication(self.info("replication"))

    def sample(self, keys: Sequence[KeyRef] = ()) -> Sample:
        """Replication state and the keys' lengths as of one moment: one MULTI."""
        commands: list[tuple[str | bytes, ...]] = [("MULTI",)]
        asked: list[int] = []  # where in the transaction each length stands
        connection = self.connection
        for key in keys:
            commands += self._select(key.db)
            asked.append(len(commands) - 1)
            commands.append((key.data_type.length, key.key))
        commands += [("INFO", "replication"), ("EXEC",)]
        connection.send(b"".join(connection.pack(*words) for words in commands))
        replies = [connection.take_reply() for _ in commands]
        if any(isinstance(reply, ErrorReply) for reply in replies):
            self.close()  # no SELECT of a transaction that was refused has happened
        reply = [self._checked(reply) for reply in replies][-1]
        if not isinstance(reply, list):
            raise HarnessError(f"{self._endpoint.address} answered EXEC with {reply!r}")
        info = reply[-1]
        if not isinstance(info, bytes):
            raise HarnessError(f"{self._endpoint.address} answered INFO with {info!r}")
        text = info.decode("utf-8", "replace")
        lengths = zip(keys, (reply[index] for index in asked), strict=True)
        known = tuple(length // key.data_type.unit if isinstance(length, int) else None for key, length in lengths)
        return Sample(parse_replication(text), known, sync_bytes(text))

    def key_counts(self) -> dict[int, int]:
        """Number of keys by database, for those that hold any."""
        return {int(db): int(keys) for db, keys in _DATABASE.findall(self.info("keyspace"))}

    def keys(self, db: int) -> Iterator[bytes]:
        """Every key of a database (some perhaps twice), by SCAN."""
        for command in self._select(db):
            self._ask(*command)
        cursor: object = b"0"
        while True:
            reply = self._ask("SCAN", cursor if isinstance(cursor, bytes) else b"0", "COUNT", "1000")
            if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
                raise HarnessError(f"{self._endpoint.address} answered SCAN with {reply!r}")
            cursor = reply[0]
            yield from (key for key in reply[1] if isinstance(key, bytes))
            if cursor == b"0":
                return

    def remove(self, key: KeyRef) -> None:
        """UNLINK a key of ours."""
        for command in self._select(key.db):
            self._ask(*command)
        self._ask("UNLINK", key.key)

    def _select(self, db: int) -> list[tuple[str, ...]]:
        """SELECT where the connection is in another database; managed endpoints with one database refuse it."""
        if db == self._db:
            return []
        self._db = db
        return [("SELECT", str(db))]

    def _ask(self, *words: str | bytes) -> Reply:
        return self._checked(self.connection.command(*words))

    def _text(self, reply: Reply) -> str:
        if not isinstance(reply, bytes):
            raise HarnessError(f"{self._endpoint.address} answered INFO with {reply!r}")
        return reply.decode("utf-8", "replace")

    def _checked(self, reply: Reply) -> Reply:
        if isinstance(reply, ErrorReply):
            raise _KINDS.get(reply.code, SetupError)(f"{self._endpoint.address} answered with an error: {reply}")
        return reply


class NodeViews:
    """A view of each node, opened when it is first asked for and kept until all are closed."""

    def __init__(self, control: Callable[[str], Endpoint]) -> None:
        self._control = control
        self._views: dict[str, NodeView] = {}

    def __getitem__(self, node: str) -> NodeView:
        if node not in self._views:
            self._views[node] = NodeView(self._control(node))
        return self._views[node]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        while self._views:
            self._views.popitem()[1].close()
