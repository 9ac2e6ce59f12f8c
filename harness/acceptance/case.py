"""What the checks of the preflight look at, and the words in which they answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.acceptance.facts import Facts, Survey
from harness.acceptance.model import Check, Grade
from harness.acceptance.product import Product


@dataclass(frozen=True)
class Case:
    """Everything that the checks look at. write_rates: bytes of replication stream a second of each of the source's
    shards, None where hidden. figures: filled by the checks.
    """

    source: Facts
    target: Facts
    survey: Survey
    product: Product | None = None
    write_rates: tuple[float | None, ...] = (None,)
    figures: dict[str, float | int | str] = field(default_factory=dict)
    skip_types: frozenset[str] = frozenset()

    @property
    def sides(self) -> tuple[tuple[str, Facts], tuple[str, Facts]]:
        return ("source", self.source), ("target", self.target)


def passed(name: str, found: str) -> Check:
    return Check(name, Grade.PASS, found)


def warn(name: str, found: str, todo: str) -> Check:
    return Check(name, Grade.WARN, found, todo)


def fail(name: str, found: str, todo: str) -> Check:
    return Check(name, Grade.FAIL, found, todo)


def not_possible(name: str, found: str, todo: str = "", *, required: bool = False) -> Check:
    return Check(name, Grade.NOT_POSSIBLE, found, todo, required)


def mb(size: float) -> str:
    return f"{size / 1_000_000:,.1f} MB"


def listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))
