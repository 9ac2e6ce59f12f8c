"""Commands that a person types: words between blanks, some of them quoted, as servers split them."""

from __future__ import annotations

import re

_WORD = re.compile(
    rb"""\s*(?:"(?P<double>(?:\\.|[^"\\])*)"(?=\s|$)"""
    rb"""|'(?P<single>(?:\\'|[^'])*)'(?=\s|$)|(?P<plain>[^\s"']+))""",
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(?:x(?P<hex>[0-9a-fA-F]{2})|(?P<sign>.))", re.DOTALL)
_SIGNS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
_BLANK = b" \t\n\v\f\r\0"


class QuotesError(ValueError):
    """A quote that is never closed, or that is closed in the middle of a word."""


def split_inline(line: bytes) -> list[bytes]:
    """The words of a line; QuotesError where its quotes don't fit together."""
    words: list[bytes] = []
    at, glued = 0, False
    line = line.rstrip(_BLANK)
    while at < len(line):
        found = _WORD.match(line, at)
        if found is None:
            raise QuotesError
        blank = line[at : found.end()][:1].isspace()
        word = _unquoted(found)
        if glued and not blank:
            words[-1] += word  # a quoted part follows a plain one: one word
        else:
            words.append(word)
        at, glued = found.end(), found["plain"] is not None
    return words


def _unquoted(found: re.Match[bytes]) -> bytes:
    if found["plain"] is not None:
        return found["plain"]
    if found["single"] is not None:
        return found["single"].replace(b"\\'", b"'")
    return _ESCAPE.sub(_sign, found["double"])


def _sign(escape: re.Match[bytes]) -> bytes:
    if escape["hex"]:
        return bytes([int(escape["hex"], 16)])
    return _SIGNS.get(escape["sign"], escape["sign"])
