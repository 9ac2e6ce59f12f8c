"""Numbers on the command lines of the scripts in benchmarks/, checked before anything starts."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable


def number_from(least: int = 1) -> Callable[[str], int]:
    """For argparse's `type`: a whole number, at least this."""

    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdecimal() else -1
        if number < least:
            raise ArgumentTypeError(f"expected a whole number, {least} or more, not {text!r}")
        return number

    return parse


def quantity(text: str) -> float:
    """For argparse's `type`: a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"expected a number above 0, not {text!r}")
    return number
