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
from harness.resp.kept import READER, KeptConnections
from harness.resp.replication_info import (
    info_fields,
    parse_replication,
    replication_id_in,
    replication_of,
    sync_bytes_of,
)
from harness.resp.replies import ErrorReply, Reply
from harness.resp.transport import never

_DATABASE = re.compile(r"^db(\d+):keys=\d+", re.MULTILINE)
_MULTI, _EXEC = ("MULTI",), ("EXEC",)
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

    interrupted: asked while it waits; True ends the wait with Interrupted. kept: where an open connection may come
    from, and goes to when the view is left in order.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout_s: float = 10.0,
        interrupted: Callable[[], bool] = never,
        kept: KeptConnections | None = None,
    ) -> None:
        self._endpoint, self._timeout_s, self._interrupted, self._kept = endpoint, timeout_s, interrupted, kept
        self._connection: Connection | None = None
        self._db = endpoint.db  # selected on the connection
        self._lengths: tuple[Sequence[KeyRef] | None, bytes] = None, b""  # asked for last, and how

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None and self._kept is not None and self._connection is not None and self._db == self._endpoint.db:
            self._kept.keep(self._connection, READER)
            self._connection = None
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._db = self._endpoint.db

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            how = (self._endpoint, self._timeout_s, self._interrupted)
            taken = self._kept.take(*how, reader=True) if self._kept is not None else None
            self._connection = taken[0] if taken else Connection(how[0], timeout_s=how[1], interrupted=how[2])
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

    def ask_lengths(self, keys: Sequence[KeyRef]) -> None:
        """Send the questions of `answered_lengths` alone."""
        if self._lengths[0] != keys:
            info = ("INFO", "replication")
            words = [("READONLY",), info, *((key.data_type.length, key.key) for key in keys), info]
            self._lengths = keys, b"".join([self.connection.pack(*each) for each in words])
        self.connection.send(self._lengths[1])

    def answered_lengths(self, keys: Sequence[KeyRef]) -> Sample:
        """Of a cluster's replica, where no transaction may ask for keys of several slots: lengths between two looks at
        its replication; None too where it was on another history by then, or does not answer for the key.
        """
        replies = [self.connection.take_reply() for _ in range(len(keys) + 3)]
        before, after = (self._text(self._checked(replies[index])) for index in (1, -1))
        steady = replication_id_in(before) == replication_id_in(after)
        lengths = tuple(
            reply // key.data_type.unit if steady and isinstance(reply, int) else None
            for key, reply in zip(keys, replies[2:-1], strict=True)
        )
        return Sample(parse_replication(after), lengths, 0)

    def replication(self) -> ReplicationInfo:
        return parse_replication(self.info("replication"))

    def sample(self, keys: Sequence[KeyRef] = ()) -> Sample:
        """Replication state and the keys' lengths as of one moment: one MULTI, where there is more than one to ask."""
        commands: list[tuple[str | bytes, ...]] = []
        asked: list[int] = []  # where in the transaction each length stands
        for key in keys:
            commands += self._select(key.db)
            asked.append(len(commands))
            commands.append((key.data_type.length, key.key))
        commands.append(("INFO", "replication"))
        reply = self._together(commands) if keys else [self._ask(*commands[0])]
        text = self._text(reply[-1])
        fields = info_fields(text)
        lengths = zip(keys, (reply[index] for index in asked), strict=True)
        known = tuple(length // key.data_type.unit if isinstance(length, int) else None for key, length in lengths)
        return Sample(replication_of(fields, text), known, sync_bytes_of(fields))

    def _together(self, commands: Sequence[tuple[str | bytes, ...]]) -> list[Reply]:
        """The replies to these commands in one transaction."""
        connection = self.connection
        connection.send(b"".join([connection.pack(*words) for words in (_MULTI, *commands, _EXEC)]))
        as_usual = connection.take_if(b"+OK\r\n" + b"+QUEUED\r\n" * len(commands))
        replies = [connection.take_reply() for _ in range(1 if as_usual else len(commands) + 2)]
        if any(isinstance(reply, ErrorReply) for reply in replies):
            self.close()  # no SELECT of a transaction that was refused has happened
        reply = [self._checked(reply) for reply in replies][-1]
        if not isinstance(reply, list) or len(reply) != len(commands):
            raise HarnessError(f"{self._endpoint.address} answered EXEC with {reply!r}")
        return reply

    def every_key(self) -> Iterator[tuple[int, bytes]]:
        """The keys of all databases (some perhaps twice), each with its database. Where they are few and all in the
        database that is selected, one round trip tells them.
        """
        here = self._db
        keyspace, page = self.connection.commands(("INFO", "keyspace"), _scan(b"0"))
        databases = [int(db) for db in _DATABASE.findall(self._text(self._checked(keyspace)))]
        yield from ((here, key) for key in self._pages(self._checked(page)))
        for db in databases:
            if db != here:
                yield from ((db, key) for key in self.keys(db))

    def keys(self, db: int) -> Iterator[bytes]:
        """Every key of a database (some perhaps twice), by SCAN."""
        for command in self._select(db):
            self._ask(*command)
        return self._pages(self._ask(*_scan(b"0")))

    def _pages(self, page: Reply) -> Iterator[bytes]:
        """The keys of this reply to SCAN and of all that come after it."""
        while True:
            cursor, keys = page if isinstance(page, list) and len(page) == 2 else (None, None)
            if not isinstance(cursor, bytes) or not isinstance(keys, list):
                raise HarnessError(f"{self._endpoint.address} answered SCAN with {page!r}")
            yield from (key for key in keys if isinstance(key, bytes))
            if cursor == b"0":
                return
            page = self._ask(*_scan(cursor))

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


def _scan(cursor: bytes) -> tuple[str | bytes, ...]:
    return ("SCAN", cursor, "COUNT", "1000")


class NodeViews:
    """A view of each node, opened when it is first asked for and kept until all are closed."""

    def __init__(self, control: Callable[[str], Endpoint], kept: KeptConnections | None = None) -> None:
        self._control, self._kept = control, kept
        self._views: dict[str, NodeView] = {}

    def __getitem__(self, node: str) -> NodeView:
        if node not in self._views:
            self._views[node] = NodeView(self._control(node), kept=self._kept)
        return self._views[node]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        while self._views:
            self._views.popitem()[1].close()
