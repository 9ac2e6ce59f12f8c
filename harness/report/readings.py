"""What a node sent, kept as runs of consecutive values: exact for any bytes, one line for 100 million numbers.

A file holds a header, one JSON line a run (``[first, count]``, or ``{"raw": text}`` for any other element) and a last
line that says how many elements it holds, so that a file cut short is never taken for a short list. Raw bytes are
UTF-8 with Python's surrogate escapes, which JSON carries and which give back the very bytes.
"""

from __future__ import annotations

import heapq
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.checker.evidence import Run
from harness.resp.encode import descending_lines

VERSION = 1
_HEADER = {"version": VERSION, "kind": "readings"}
_END = b'{"elements":'
_USUAL = re.compile(rb"\[(\d{1,19}), (\d{1,19})\]\n?")
_VALUES_A_BLOCK = 20_000
_BYTES_A_BLOCK = 1 << 16
# What would break "one value a line", or drive a terminal, is shown escaped.
_UNPRINTABLE = re.compile(rb"[\x00-\x1f\x7f\\]")
_ESCAPES = {b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r", b"\\": b"\\\\"}


class RunsWriter:
    """Appends runs to a file; neighbours that continue each other travel as one. `length` counts elements."""

    def __init__(self, path: Path) -> None:
        self.length = 0
        self._open: Run | None = None
        self._file = path.open("wb", buffering=1 << 18)
        self._file.write(json.dumps(_HEADER).encode() + b"\n")

    def add(self, run: Run) -> None:
        """Append a run; the hot path is a run that continues the one before."""
        self.length += run.count
        before = self._open
        if before is not None and before.raw is None and run.raw is None and before.first + before.count == run.first:
            self._open = Run(before.first, before.count + run.count)
            return
        self._flush()
        self._open = run

    def close(self) -> None:
        """Write the last line; only then is the file complete."""
        self._flush()
        self._file.write(b"%b %d}\n" % (_END, self.length))
        self._file.close()

    def abandon(self) -> None:
        """Close a file whose list was not read to its end; reading it then fails."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _flush(self) -> None:
        if self._open is not None:
            self._file.write(_line_of(self._open))
            self._open = None


def write_runs(path: Path, runs: Iterable[Run]) -> int:
    """Write all runs to a new file and return how many elements they hold."""
    with RunsWriter(path) as writer:
        for run in runs:
            writer.add(run)
    return writer.length


def read_runs(path: Path) -> Iterator[Run]:
    """The runs of a file in list order; ValueError where it is of another version, damaged or cut short."""
    with path.open("rb", buffering=1 << 18) as lines:
        _check_header(path, next(lines, b""))
        found = 0
        for line in lines:
            if line.startswith(_END):
                _check_end(path, line, found)
                return
            run = _run_of(path, line)
            found += run.count
            yield run
    raise ValueError(f"{path}: the file ends before its last line: it was cut short")


def newest_first(*paths: Path) -> Iterator[bytes]:
    """The values one a line, the last of the list first, as blocks of whole lines; memory stays bounded. Several files
    are merged, the largest numbers first.

    Line breaks and control characters inside a value are escaped (``\\n``, ``\\x1b``), so that a line is a value.
    """
    size = 0
    block: list[bytes] = []
    runs = _runs_from_the_end(paths[0]) if len(paths) == 1 else merged([_runs_from_the_end(path) for path in paths])
    for run in _joined(runs):
        for part in _printed(run):
            block.append(part)
            size += len(part)
            if size >= _BYTES_A_BLOCK:
                yield b"".join(block)
                block, size = [], 0
    if block:
        yield b"".join(block)


def _joined(runs: Iterator[Run]) -> Iterator[Run]:
    """The same values from the newest on, numbers that go on from one run to the next in one, a block at most."""
    before: Run | None = None
    for run in runs:
        if before is not None:
            on = before.raw is None and run.raw is None and run.first + run.count == before.first
            if on and before.count + run.count <= _VALUES_A_BLOCK:
                before = Run(run.first, before.count + run.count)
                continue
            yield before
        before = run
    if before is not None:
        yield before


def merged(files: Sequence[Iterator[Run]]) -> Iterator[Run]:
    """Runs of several keys, each newest first, as one sequence of descending numbers; one run a key is in memory.

    What is no number comes right after what is newer in its own key.
    """
    heap: list[tuple[int, int, Run]] = []
    for index, runs in enumerate(files):
        _push(heap, index, next(runs, None), -sys.maxsize)
    while heap:
        rank, index, run = heapq.heappop(heap)
        rest: Run | None = None
        if run.raw is None and heap and heap[0][0] > rank:
            low = max(run.first, 1 - heap[0][0])  # down to what is next in another key
            run, rest = Run(low, run.first + run.count - low), Run(run.first, low - run.first)
        yield run
        _push(heap, index, rest if rest is not None and rest.count else next(files[index], None), rank)


def _push(heap: list[tuple[int, int, Run]], index: int, run: Run | None, before: int) -> None:
    """before: the rank of what came before it, than which nothing in its own key is newer."""
    if run is not None:
        rank = before if run.raw is not None else max(before, 1 - run.first - run.count)
        heapq.heappush(heap, (rank, index, run))


def _runs_from_the_end(path: Path) -> Iterator[Run]:
    lines = _lines_from_the_end(path)
    end = next(lines, b"")
    if not end.startswith(_END):
        raise ValueError(f"{path}: the file ends before its last line: it was cut short")
    found = 0
    for line in lines:
        if line.startswith(b'{"version"'):
            _check_header(path, line)
            break
        run = _run_of(path, line)
        found += run.count
        yield run
    _check_end(path, end, found)


def _printed(run: Run) -> Iterator[bytes]:
    """A run's values newest first, as blocks of lines."""
    if run.raw is not None:
        yield _UNPRINTABLE.sub(_escaped, run.raw) + b"\n"
        return
    if run.count == 1:
        yield b"%d\n" % run.first
        return
    high = run.first + run.count
    while high > run.first:
        low = max(run.first, high - _VALUES_A_BLOCK)
        yield descending_lines(low, high - 1)
        high = low


def _escaped(match: re.Match[bytes]) -> bytes:
    byte = match[0]
    return _ESCAPES.get(byte) or b"\\x%02x" % byte[0]


def _line_of(run: Run) -> bytes:
    if run.raw is None:
        return b"[%d, %d]\n" % (run.first, run.count)
    return json.dumps({"raw": run.raw.decode("utf-8", "surrogateescape")}).encode() + b"\n"


def _run_of(path: Path, line: bytes) -> Run:
    if usual := _USUAL.fullmatch(line):
        return Run(int(usual[1]), int(usual[2]))
    try:
        fields: Any = json.loads(line)
        if isinstance(fields, list):
            first, count = fields
            return Run(int(first), int(count))
        return Run(0, 1, fields["raw"].encode("utf-8", "surrogateescape"))
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: a line that is no run: {line[:80]!r}") from None


def _check_header(path: Path, line: bytes) -> None:
    try:
        header = json.loads(line)
    except ValueError:
        header = line[:80]
    if header != _HEADER:
        raise ValueError(f"{path}: readings of version {VERSION} were expected, not {header}")


def _check_end(path: Path, end: bytes, found: int) -> None:
    expected = json.loads(end)["elements"]
    if expected != found:
        raise ValueError(f"{path}: it says that it holds {expected} elements, but holds {found}")


def _lines_from_the_end(path: Path, block: int = 1 << 18) -> Iterator[bytes]:
    """A file's lines, the last one first, without their line feeds; one block and one line are in memory."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        parts: list[bytes] = []  # the pieces of a line whose beginning was not reached yet, the last piece first
        while position:
            size = min(block, position)
            position -= size
            file.seek(position)
            beginning, *rest = file.read(size).split(b"\n")
            if rest:
                parts.append(rest.pop())
                yield from _unless_empty(b"".join(reversed(parts)))
                yield from reversed(rest)
                parts = []
            parts.append(beginning)
        yield from _unless_empty(b"".join(reversed(parts)))


def _unless_empty(line: bytes) -> Iterator[bytes]:
    """The line; nothing for what stands after the file's last line feed."""
    if line:
        yield line
