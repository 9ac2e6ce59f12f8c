"""How values of a list are written in messages: always from the bytes that a node sent."""

from __future__ import annotations

MAX_SHOWN = 60


def shown(value: bytes) -> str:
    """UTF-8 text on one line; bytes that are not UTF-8 or not printable as escapes (\\xNN), long values cut short."""
    head = value[: MAX_SHOWN * 4].decode("utf-8", "backslashreplace")
    text = "".join(character if character.isprintable() else _escaped(character) for character in head[:MAX_SHOWN])
    if len(head) <= MAX_SHOWN and len(value) <= MAX_SHOWN * 4:
        return text
    return f"{text}… ({len(value)} bytes)"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def elements(count: int, at_least: bool = False) -> str:
    """ "1 element", "at least 7 elements"."""
    return f"{'at least ' if at_least else ''}{count} element{'' if count == 1 else 's'}"
