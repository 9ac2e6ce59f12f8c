"""A replica that lies about one list when it is read: a proxy in front of a real one, which stays as it is.

The lie is told about the whole list, so that a reader gets one coherent wrong list whatever chunks it asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from tests.support.resp_proxy import Error, Reply, RespProxy, Simple

WRONGTYPE = Error(b"WRONGTYPE Operation against a key holding the wrong kind of value")
Lie = Callable[[list[bytes]], list[bytes]]


def drop_tail(count: int) -> Lie:
    """The last `count` elements are missing."""
    return lambda elements: elements[: max(0, len(elements) - count)]


def drop(index: int, count: int = 1) -> Lie:
    """`count` elements from `index` are missing, later ones are there."""
    return lambda elements: elements[:index] + elements[index + count :]


def swap(index: int) -> Lie:
    """The neighbours at `index` and `index` + 1 have changed places."""
    return lambda elements: [*elements[:index], elements[index + 1], elements[index], *elements[index + 2 :]]


def replace(index: int, element: bytes) -> Lie:
    """Another element stands at `index`."""
    return lambda elements: [*elements[:index], element, *elements[index + 1 :]]


def insert(index: int, element: bytes) -> Lie:
    """An element that nobody wrote stands at `index`, and the rest after it."""
    return lambda elements: [*elements[:index], element, *elements[index:]]


def duplicate(index: int) -> Lie:
    """The element at `index` stands there twice."""
    return lambda elements: [*elements[: index + 1], elements[index], *elements[index + 1 :]]


def nothing(elements: list[bytes]) -> list[bytes]:
    """The key is not there."""
    return []


class LyingReplica(RespProxy):
    """In front of `upstream`, the real replica, about its endpoint's database. lie: None answers WRONGTYPE, as if the
    key were a string.

    key: as it is on the server; a key that ends so is meant too, for a run's own prefix. length_lies: LLEN, EXISTS and
    TYPE tell the lie as well; otherwise they are those of the real list.
    """

    def __init__(self, upstream: Endpoint, key: str, lie: Lie | None, *, length_lies: bool = False) -> None:
        super().__init__(upstream, self._lying)
        self._key, self._lie, self._length_lies = key.encode(), lie, length_lies

    def _lying(self, request: list[bytes], ask: Callable[[], Reply]) -> Reply:
        name = request[0].upper()
        if len(request) < 2 or not request[1].endswith(self._key):
            return ask()
        if name == b"LRANGE":
            return WRONGTYPE if self._lie is None else _range(self._told(request[1]), int(request[2]), int(request[3]))
        return self._length(name, request[1]) if self._length_lies and name in (b"LLEN", b"EXISTS", b"TYPE") else ask()

    def _length(self, name: bytes, key: bytes) -> Reply:
        if self._lie is None:
            return {b"LLEN": WRONGTYPE, b"EXISTS": 1, b"TYPE": Simple(b"string")}[name]
        told = self._told(key)
        return {b"LLEN": len(told), b"EXISTS": int(bool(told)), b"TYPE": Simple(b"list" if told else b"none")}[name]

    def _told(self, key: bytes) -> list[bytes]:
        with closing(connect(self._upstream)) as client:
            elements: list[bytes] = client.lrange(key, 0, -1)  # type: ignore[arg-type,assignment]
        return self._lie(elements) if self._lie and elements else elements


def _range(elements: list[bytes], start: int, stop: int) -> Reply:
    """LRANGE's own meaning of start and stop: both included, negative ones from the end."""
    size = len(elements)
    first = max(0, start + size if start < 0 else start)
    last = stop + size if stop < 0 else stop
    return list[Reply](elements[first : last + 1])
