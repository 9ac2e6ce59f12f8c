"""Slots that a cluster's nodes say are on their way from one primary to another. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_MARK = re.compile(r"\[(\d+)-([<>])-(\w+)\]")


@dataclass(frozen=True)
class HalfMoved:
    """A slot on its way. source, target: by name; told_by: those of the two who say so."""

    slot: int
    source: str
    target: str
    told_by: tuple[str, ...]


def half_moved(told: Mapping[str, str], name_of: Callable[[str], str]) -> tuple[HalfMoved, ...]:
    """What these nodes told in CLUSTER NODES, by node, of slots to and from themselves. name_of: a node by its id.

    Some engines' replicas repeat what their primary says; that counts once.
    """
    found: dict[tuple[int, str, str], list[str]] = {}
    for node, text in told.items():
        own = next((line.split() for line in text.splitlines() if "myself" in line), [])
        if own[3:4] != ["-"]:
            continue  # it follows somebody, who says what there is to say
        for slot, way, other in _MARK.findall(" ".join(own[8:])):
            ends = (node, name_of(other)) if way == ">" else (name_of(other), node)
            found.setdefault((int(slot), *ends), []).append(node)
    return tuple(HalfMoved(*place, tuple(nodes)) for place, nodes in sorted(found.items()))


def in_words(slots: Iterable[HalfMoved]) -> Iterator[str]:
    """A sentence for all slots between two nodes of which the same is told, with what is to be done."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[int]] = {}
    for each in slots:
        groups.setdefault((each.source, each.target, each.told_by), []).append(each.slot)
    for (source, target, told_by), numbers in groups.items():
        some = f"slot {numbers[0]} is" if len(numbers) == 1 else f"slots {_listed(numbers)} are"
        who = "both say so" if len(told_by) > 1 else f"only {told_by[0]} says so"
        yield (
            f"{some} half way from {source} to {target} ({who}): who reads may miss keys. Finish the move (MIGRATE the "
            f"rest of the keys, then CLUSTER SETSLOT … NODE on every primary), or undo it (MIGRATE them back, then "
            f"CLUSTER SETSLOT … STABLE on both)"
        )


def ranges(slots: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending slots as stretches, first and last."""
    found: list[tuple[int, int]] = []
    for slot in slots:
        if found and found[-1][1] + 1 == slot:
            found[-1] = (found[-1][0], slot)
        else:
            found.append((slot, slot))
    return found


def _listed(numbers: Sequence[int], most: int = 10) -> str:
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in ranges(sorted(numbers))]
    return ", ".join(shown[:most]) + (f", … ({len(numbers)} in all)" if len(shown) > most else "")
