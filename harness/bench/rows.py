"""What a measure came to, as values: one row of the table, with its goal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """A measure, taken `values` times. goal: what its median should reach, at most that, or at least; None for what
    stands there only to be compared with.

    unit: "x" for the ratio ours / reference (reference / ours where the goal is a least one), else of the values.
    ours, reference: the seconds behind a ratio, in the order of the rounds.
    """

    measure: str
    goal: float | None
    values: tuple[float, ...]
    at_most: bool = True
    unit: str = "x"
    ours: tuple[float, ...] = ()
    reference: tuple[float, ...] = ()
    note: str = ""

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.median <= self.goal if self.at_most else self.median >= self.goal

    def as_json(self) -> dict[str, Any]:
        """One object of `harness bench --json`."""
        return {
            "measure": self.measure,
            "median": self.median,
            "min": min(self.values),
            "max": max(self.values),
            "unit": self.unit,
            "goal": self.goal,
            "goal_is": "at_most" if self.at_most else "at_least",
            "met": self.met,
            "values": list(self.values),
            "ours_seconds": list(self.ours),
            "reference_seconds": list(self.reference),
            "note": self.note,
        }


def times(
    measure: str, ours: Sequence[float], reference: Sequence[float], *, at_most: float | None, note: str = ""
) -> Row:
    """How many times as long as the reference ours took, round by round."""
    values = tuple(mine / other for mine, other in zip(ours, reference, strict=True))
    return Row(measure, at_most, values, ours=tuple(ours), reference=tuple(reference), note=note)


def faster(
    measure: str, ours: Sequence[float], reference: Sequence[float], *, at_least: float | None, note: str = ""
) -> Row:
    """How many times as fast as the reference ours was, round by round."""
    values = tuple(other / mine for mine, other in zip(ours, reference, strict=True))
    return Row(measure, at_least, values, at_most=False, ours=tuple(ours), reference=tuple(reference), note=note)


def in_turns(ways: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Take each way once a round; each round begins with another one, so that none always follows the same."""
    names = list(ways)
    taken: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            taken[name].append(ways[name]())
    return taken
