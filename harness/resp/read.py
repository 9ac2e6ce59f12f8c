"""Reads a key of any type, by the reader that its type calls for."""

from __future__ import annotations

from collections.abc import Callable

from harness.checker.evidence import Run
from harness.kinds import HASH, LIST, SET, SORTED_SET, STRING, KeyRef
from harness.resp.connection import Connection
from harness.resp.key_reader import KeyRead, read_key
from harness.resp.layouts import Layout, ListLayout, SortedSetLayout, StreamLayout, StringLayout
from harness.resp.scan_reader import read_scan
from harness.values import Values


def read_any(
    connection: Connection,
    ref: KeyRef,
    sink: Callable[[Run], None],
    *,
    push: str = "right",
    scores: str = "ids",
    numbers: Values | None = None,
) -> KeyRead:
    """Read the whole key once, in the connection's database; see key_reader.read_key."""
    if ref.data_type in (HASH, SET):
        return read_scan(connection, ref.key, sink, pairs=ref.data_type is HASH)
    return read_key(connection, ref.key, sink, _layout(ref, push, scores), numbers=numbers)


def _layout(ref: KeyRef, push: str, scores: str) -> Layout:
    if ref.data_type is LIST:
        return ListLayout(push)
    if ref.data_type is SORTED_SET:
        return SortedSetLayout(scores)
    return StringLayout() if ref.data_type is STRING else StreamLayout()
