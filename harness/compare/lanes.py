"""Connections of a comparison, opened when first needed, and the keys of a scan, sorted by where they belong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from harness.compare.exchange import Lane
from harness.compare.pace import Pace
from harness.compare.side import Side
from harness.errors import SetupError
from harness.resp.connection import Connection

SCAN_COUNT = 1_000


class Lanes:
    """One connection to each shard of each side, for one database. deciding: primaries only."""

    def __init__(self, a: Side, b: Side, db: int, *, deciding: bool = False) -> None:
        self.a, self.b, self.db = a, b, db
        self._deciding = deciding
        self._stack = ExitStack()
        self._opened: dict[tuple[str, int], Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def for_key(self, key: bytes) -> Lane:
        return self._lane(self.a.shard_of(key), self.b.shard_of(key))

    def sorted(self, keys: Sequence[bytes]) -> Iterator[tuple[Lane, Sequence[bytes]]]:
        """The keys of one page, by the lane that they belong to."""
        if not self.a.cluster and not self.b.cluster:
            yield self._lane(0, 0), keys
            return
        groups: dict[tuple[int, int], list[bytes]] = {}
        for key in keys:
            groups.setdefault((self.a.shard_of(key), self.b.shard_of(key)), []).append(key)
        for (shard_a, shard_b), group in groups.items():
            yield self._lane(shard_a, shard_b), group

    def scan(
        self, side: Side, shard: int, cursor: str, pattern: str | None, pace: Pace
    ) -> Iterator[tuple[str, list[bytes]]]:
        """Every page of keys: the cursor after it and its keys. The next page is asked for before one is handed out."""
        connection = self._stack.enter_context(side.connect(shard, self.db, deciding=self._deciding))
        match = ("MATCH", pattern) if pattern is not None else ()

        def ask(at: str) -> None:
            pace.take(1, SCAN_COUNT)
            connection.send(connection.pack("SCAN", at, *match, "COUNT", SCAN_COUNT))

        ask(cursor)
        while True:
            reply = connection.take_reply()
            if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[0], bytes):
                raise SetupError(f"{side.name}, {connection.endpoint}: SCAN was answered with {str(reply)[:200]}")
            after = reply[0].decode()
            if after != "0":
                ask(after)
            names = reply[1] if isinstance(reply[1], list) else []
            yield after, list(dict.fromkeys(name for name in names if isinstance(name, bytes)))
            if after == "0":
                return

    def _lane(self, shard_a: int, shard_b: int) -> Lane:
        return Lane(self._connection(self.a, shard_a), self._connection(self.b, shard_b))

    def _connection(self, side: Side, shard: int) -> Connection:
        if (side.name, shard) not in self._opened:
            connection = side.connect(shard, self.db, deciding=self._deciding)
            self._opened[side.name, shard] = self._stack.enter_context(connection)
        return self._opened[side.name, shard]
