"""Runs writers side by side until each has ended, however it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from harness.errors import Failure
from harness.workload.base import Writer

LOOK_EVERY_S = 0.2  # whether the server that is written to still runs


def write_all(
    writers: Sequence[Writer],
    finished: Callable[[int], None] = lambda writer: None,
    ended: Callable[[], str | None] = lambda: None,
) -> tuple[str, ...]:
    """Run the writers until each has ended; returns why some ended early. Ctrl-C stops them all. One alone needs no
    thread of its own, which would cost a short run more than its writing does.

    finished: told each writer that has ended, however it did. ended: asked now and then, why there is no server
    any more to write to.
    """
    doubts: list[str] = []
    look_on = _LookingOn(ended, writers, doubts)
    try:
        if len(writers) == 1:
            _write(0, writers[0], finished, doubts, look_on.now_and_then)
        else:
            _write_side_by_side(writers, finished, doubts, look_on)
    except BaseException:
        for writer in writers:
            writer.stop()
        raise
    look_on()
    return tuple(doubts)


def _write_side_by_side(
    writers: Sequence[Writer], finished: Callable[[int], None], doubts: list[str], look_on: _LookingOn
) -> None:
    threads = [
        threading.Thread(target=_write, args=(index, writer, finished, doubts), name=f"writer {index}", daemon=True)
        for index, writer in enumerate(writers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(LOOK_EVERY_S)
            look_on()


class _LookingOn:
    """Asks why there is no server any more to write to, and stops the writers where there is none."""

    def __init__(self, ended: Callable[[], str | None], writers: Sequence[Writer], doubts: list[str]) -> None:
        self._ended, self._writers, self._doubts = ended, writers, doubts
        self._due = time.monotonic() + LOOK_EVERY_S
        self._told = False

    def now_and_then(self) -> None:
        """Look, unless it is too soon."""
        if time.monotonic() >= self._due:
            self()
            self._due = time.monotonic() + LOOK_EVERY_S

    def __call__(self) -> None:
        if not self._told and (death := self._ended()):
            self._told = True
            self._doubts.append(f"nothing more was written: {death}")
            for writer in self._writers:
                writer.stop()


def _write(
    index: int,
    writer: Writer,
    finished: Callable[[int], None],
    doubts: list[str],
    look_on: Callable[[], None] = lambda: None,
) -> None:
    """Whatever goes wrong in a writer becomes a doubt, and the other writers don't wait for it.

    `finished` is not told of Ctrl-C, after which no further fault is to be applied.
    """
    try:
        try:
            writer.run(look_on)
        finally:
            for ledger in writer.ledgers:
                ledger.close()
    except Failure as error:
        doubts.append(f"a writer ended early: {error}")
    except Exception as error:  # noqa: BLE001 - a writer's bug makes the run unknown, and must not hang the others
        doubts.append(f"a writer crashed: {type(error).__name__}: {error}")
    finished(index)
