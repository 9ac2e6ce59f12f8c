"""Connections of a comparison, opened when first needed, and the keys of a scan, sorted by where they belong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from harness.compare.exchange import RARE, Lane, bytes_until
from harness.compare.pace import Pace
from harness.compare.side import Side
from harness.errors import SetupError
from harness.resp import encode
from harness.resp.connection import Connection
from harness.resp.encode import Keys
from harness.resp.replies import ReplyParser

_PAGE_BYTES = 1 << 20  # of keys, above which the pages get smaller


class Lanes:
    """One connection to each shard of each side, for one database. deciding: primaries only."""

    def __init__(self, a: Side, b: Side, db: int, *, deciding: bool = False) -> None:
        self.a, self.b, self.db = a, b, db
        self._deciding = deciding
        self._stack = ExitStack()
        self._mark = RARE + os.urandom(8).hex().encode()
        self._opened: dict[tuple[str, int], Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def for_key(self, key: bytes) -> Lane:
        return self._lane(self.a.shard_of(key), self.b.shard_of(key))

    def sorted(self, keys: Keys) -> Iterator[tuple[Lane, Keys]]:
        """The keys of one page, by the lane that they belong to."""
        if not self.a.cluster and not self.b.cluster:
            yield self._lane(0, 0), keys
            return
        groups: dict[tuple[int, int], list[bytes]] = {}
        for key in keys:
            groups.setdefault((self.a.shard_of(key), self.b.shard_of(key)), []).append(key)
        for (shard_a, shard_b), group in groups.items():
            yield self._lane(shard_a, shard_b), Keys(group)

    def scan(self, side: Side, shard: int, cursor: str, pattern: str | None, pace: Pace) -> Iterator[tuple[str, Keys]]:
        """Every page of keys: the cursor after it and its keys. The next page is asked for before one is handed out."""
        connection = self._stack.enter_context(side.connect(shard, self.db, deciding=self._deciding))
        match = ("MATCH", pattern) if pattern is not None else ()

        count = pace.page

        def ask(at: str) -> None:
            pace.take(2, count)
            asked = connection.pack("SCAN", at, *match, "COUNT", count)
            connection.send(asked + connection.pack("PING", self._mark))

        ask(cursor)
        while True:
            raw = bytes_until(connection, encode.bulk(self._mark))
            count = max(1, min(pace.page, count * _PAGE_BYTES // max(len(raw), 1), 2 * count))
            page = scanned(raw)
            if isinstance(page, str):
                raise SetupError(f"{side.name}, {connection.endpoint}: SCAN was answered with {page}")
            after, keys = page
            if after != "0":
                ask(after)
            yield after, Keys(dict.fromkeys(keys))
            if after == "0":
                return

    def _lane(self, shard_a: int, shard_b: int) -> Lane:
        return Lane(self._connection(self.a, shard_a), self._connection(self.b, shard_b))

    def _connection(self, side: Side, shard: int) -> Connection:
        if (side.name, shard) not in self._opened:
            connection = side.connect(shard, self.db, deciding=self._deciding)
            self._opened[side.name, shard] = self._stack.enter_context(connection)
        return self._opened[side.name, shard]


def scanned(raw: bytes) -> tuple[str, list[bytes]] | str:
    """The cursor and the keys of a reply to SCAN; what it was instead, if it was something else.

    Where no key holds a line end, splitting finds them all; that it was so shows in the number of pieces.
    """
    pieces = raw.split(b"\r\n")
    if len(pieces) >= 5 and pieces[0] == b"*2" and pieces[3] == b"*%d" % ((len(pieces) - 5) // 2) and len(pieces) % 2:
        return pieces[2].decode("ascii", "replace"), pieces[5::2]
    parser = ReplyParser()
    parser.feed(raw)
    reply = parser.next()
    if isinstance(reply, list) and len(reply) == 2 and isinstance(reply[0], bytes) and isinstance(reply[1], list):
        return reply[0].decode("ascii", "replace"), [key for key in reply[1] if isinstance(key, bytes)]
    return str(reply)[:200]
