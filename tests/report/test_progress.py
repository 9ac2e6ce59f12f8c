"""Progress is for a person at a terminal and for what lasts; anybody else sees nothing of it."""

from __future__ import annotations

import io
import threading

import pytest

from harness.report import progress
from harness.report.progress import TerminalProgress


class Terminal(io.StringIO):
    """A terminal that says when something appears on it."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if "converge" in text:
            self.shown.set()
        return super().write(text)


def test_what_lasts_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "SHOWN_AFTER_S", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    with TerminalProgress("one_replica/pair") as shown:
        shown.phase("converge")
        shown.advance(5, 10)
        assert terminal.shown.wait(10), "nothing appeared"


def test_what_is_short_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with TerminalProgress("one_replica/pair") as shown:
        shown.phase("converge")
    assert terminal.getvalue() == ""


def test_nobody_at_a_terminal_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    monkeypatch.setattr(progress, "SHOWN_AFTER_S", 0.0)
    with TerminalProgress("one_replica/pair") as shown:
        shown.phase("converge")
        assert shown._shown is None
    assert file.getvalue() == ""
