"""The length that a list must have next, and what a reply means that tells another one. Pure.

RPUSH answers the list's length. Where connections broke before, the first length seen after them says how many of
their unanswered elements the primary holds; where nothing explains a length, the primary lost or gained elements.
"""

from __future__ import annotations

from harness.history import LengthJump, Resolved


class Lengths:
    """Follows one list. expected: its length if whatever is still open was not applied."""

    def __init__(self) -> None:
        self.expected = 0
        self._fenced: dict[int, int] = {}  # open elements by connection; a length decides how many were applied
        self._loose = 0  # open elements that may be applied at any time, or of commands that nothing decides

    def broke(self, connection: int, elements: int, fenced: bool) -> None:
        """A connection ended with this many elements open."""
        if fenced:
            self._fenced[connection] = self._fenced.get(connection, 0) + elements
        else:
            self._loose += elements

    def undecided(self, elements: int) -> None:
        """A command of this many elements was answered by an error that decides nothing."""
        self._loose += elements

    def told(self, connection: int, first: int, last: int, length: int) -> Resolved | LengthJump | None:
        """A success for elements first..last told this length: what that says, None where it says nothing new."""
        expected, self.expected = self.expected + last - first + 1, max(0, length)
        applied = length - expected
        opened, self._fenced = self._fenced, {}
        if opened and not self._loose:
            return Resolved(tuple(opened), applied)
        self._loose += sum(opened.values())
        if 0 <= applied <= self._loose:
            self._loose -= applied
            return None
        return LengthJump(connection, last, expected, length)
