"""What a person at a terminal sees of a run that lasts: one line on standard error, nothing anywhere else."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SHOWN_AFTER_S = 2.0


class TerminalProgress:
    """Shows the phase and how far it is, once a run has lasted SHOWN_AFTER_S; used as a context manager around runs."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._phase, self._done, self._total = "", 0, 0
        self._lock = threading.Lock()
        self._timer = threading.Timer(SHOWN_AFTER_S, self._show)
        self._timer.daemon = True
        self._shown: tuple[Progress, TaskID] | None = None
        self._ended = False

    def phase(self, name: str) -> None:
        """The run goes on with this."""
        with self._lock:
            self._phase, self._done, self._total = name, 0, 0
            self._draw()

    def advance(self, done: int, total: int) -> None:
        """So much of the phase is done."""
        with self._lock:
            self._done, self._total = done, total
            self._draw()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()
        with self._lock:
            self._ended = True
            shown, self._shown = self._shown, None
        if shown is not None:
            shown[0].stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        progress = Progress(*columns, console=Console(stderr=True), transient=True)
        with self._lock:
            if self._ended:
                return
            progress.start()
            self._shown = progress, progress.add_task(self._title, total=None)
            self._draw()

    def _draw(self) -> None:
        if self._shown is not None:
            progress, task = self._shown
            description = f"{self._title}: {self._phase}" if self._phase else self._title
            progress.update(task, description=description, completed=self._done, total=self._total or None)
