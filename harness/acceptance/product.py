"""What the product behind the target allows, from the facts file, where the target itself can't be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.endpoint import profile as profiles
from harness.errors import UsageError


@dataclass(frozen=True)
class Product:
    """refused: commands in lower case, subcommands as "config|set". databases: how many, None where not known."""

    name: str
    title: str
    refused: frozenset[str] = frozenset()
    databases: int | None = None


def product(name: str | None) -> Product | None:
    """The product of this name; UsageError names those there are."""
    if name is None:
        return None
    known: Mapping[str, Any] = profiles.all_facts()
    if name not in known:
        raise UsageError(f"--profile {name}: no such product; expected one of: {', '.join(sorted(known))}")
    refused: set[str] = set()
    databases, at = None, name
    while at:
        facts = known[at]
        refused |= {_spelt(command) for command in facts.get("blocked_documented", []) if "(" not in command}
        if "simulation" in facts:
            refused |= set(profiles.profile(at).behaviour.refused)
        if databases is None and isinstance(facts.get("databases"), int):
            databases = facts["databases"]
        at = str(facts.get("inherits", ""))
    return Product(name, str(known[name].get("product", name)), frozenset(refused), databases)


def _spelt(command: str) -> str:
    return command.lower().replace(" ", "|")
