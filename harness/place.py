"""Where a pass keeps its ledgers and readings: in a run directory, or in memory for a property's draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from harness.checker.evidence import Run
from harness.history import Entry, Ledger, read_ledger
from harness.report.readings import RunsWriter, read_runs
from harness.report.store import RunDirectory


class RunSink(Protocol):
    """Takes what a node sent, in order. close: it was read to its end; abandon: it was not."""

    def add(self, run: Run) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class Place(Protocol):
    def ledger(self, stream: str) -> Ledger:
        """A new ledger for this stream."""

    def entries(self, stream: str) -> Callable[[], Iterable[Entry]]:
        """Its entries, once it is closed."""

    def sink(self, node: str, stream: str) -> RunSink: ...

    def runs(self, node: str, stream: str) -> Callable[[], Iterable[Run]]:
        """What went into that sink."""


class DirectoryPlace:
    """On disk, whatever the size."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory

    def ledger(self, stream: str) -> Ledger:
        return Ledger(self._directory.ledger(stream))

    def entries(self, stream: str) -> Callable[[], Iterable[Entry]]:
        return partial(read_ledger, self._directory.ledger(stream))

    def sink(self, node: str, stream: str) -> RunSink:
        return RunsWriter(self._directory.readings(node, stream))

    def runs(self, node: str, stream: str) -> Callable[[], Iterable[Run]]:
        return partial(read_runs, self._directory.readings(node, stream))


class _Kept:
    def __init__(self) -> None:
        self.runs: list[Run] = []

    def add(self, run: Run) -> None:
        self.runs.append(run)

    def close(self) -> None:
        """Nothing is to be finished."""

    def abandon(self) -> None:
        """The reading says by its state that it is not whole."""


class MemoryPlace:
    """For small runs of which only the failing ones are stored."""

    def __init__(self) -> None:
        self._ledgers: dict[str, Ledger] = {}
        self._kept: dict[tuple[str, str], _Kept] = {}

    def ledger(self, stream: str) -> Ledger:
        self._ledgers[stream] = Ledger(None)
        return self._ledgers[stream]

    def entries(self, stream: str) -> Callable[[], Iterable[Entry]]:
        return lambda: self._ledgers[stream].entries

    def sink(self, node: str, stream: str) -> RunSink:
        return self._kept.setdefault((node, stream), _Kept())

    def runs(self, node: str, stream: str) -> Callable[[], Iterable[Run]]:
        return lambda: self._kept[node, stream].runs
