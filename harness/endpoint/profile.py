"""The products that an endpoint can behave like, as far as the harness simulates them today.

The facts and their sources are data (`profiles.yaml`); this module turns the part that is in use into typed values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.errors import UsageError

OSS = "oss"
_FILE = Path(__file__).with_name("profiles.yaml")


@dataclass(frozen=True)
class Profile:
    """One product's client-visible behaviour. port: a node's default, None where the topology counts upwards itself.

    refused: commands that its clients may not send, in the server's spelling: "role", "config|set".
    """

    name: str
    product: str
    port: int | None = None
    refused: tuple[str, ...] = ()

    @property
    def restricted(self) -> bool:
        """Whether clients may not do everything, so that the harness needs a user of its own on the node."""
        return bool(self.refused)

    @property
    def label(self) -> str:
        """How reports name it, so that a simulation is never taken for the product itself."""
        return self.name if self.name == OSS else f"simulated {self.name}"


_OSS = Profile(OSS, "the server as its project ships it")


def profile(name: str) -> Profile:
    """The profile of this name; UsageError names those there are."""
    if name == OSS:
        return _OSS  # without reading the file
    if name not in profiles():
        raise UsageError(f"no profile {name!r}; expected one of: {', '.join(profiles())}")
    return profiles()[name]


@cache
def profiles() -> Mapping[str, Profile]:
    """Every profile that a scenario may name, by its name."""
    facts = _read()["profiles"]
    return MappingProxyType({name: _profile(name, fact) for name, fact in facts.items() if "simulation" in fact})


def _profile(name: str, facts: Mapping[str, Any]) -> Profile:
    simulation = facts["simulation"]
    refused = (_spelt(command) for entry in simulation["refused"] for command in _commands(entry, facts))
    return Profile(name, facts["product"], simulation["port"], tuple(dict.fromkeys(refused)))


def _commands(entry: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """The commands that an entry stands for: itself, or, for @list, those of a list among the facts."""
    if not entry.startswith("@"):
        yield entry
        return
    found: Any = facts
    for key in entry[1:].split("."):
        found = found[key]
    yield from found


def _spelt(command: str) -> str:
    """CONFIG SET as the server's own COMMAND LIST spells it: config|set."""
    return command.lower().replace(" ", "|")


def _read() -> Any:
    import yaml  # here, because only who needs a profile should pay for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 3 ms instead of 22
    return yaml.load(_FILE.read_text(encoding="utf-8"), loader)


def all_facts() -> Mapping[str, Any]:
    """The facts of every product, simulated or not, as they stand in the file."""
    facts: Mapping[str, Any] = _read()["profiles"]
    return facts
