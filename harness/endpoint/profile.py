"""The products that an endpoint can behave like.

Facts, their sources and what is made of them are data (`profiles.yaml`); this module turns the data into typed values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.endpoint.simulated.plan import Behaviour, Wording
from harness.errors import UsageError

OSS = "oss"
_FILE = Path(__file__).with_name("profiles.yaml")


@dataclass(frozen=True)
class Profile:
    """One product's client-visible behaviour. port: a node's default, None where the topology counts upwards itself.

    tls: whether clients speak TLS unless told otherwise. policies: the names of its variants, `name/policy` is one.
    gaps: what the simulation leaves out. source: where the facts come from.
    """

    name: str
    product: str
    port: int | None = None
    tls: bool = False
    behaviour: Behaviour = field(default_factory=Behaviour)
    policies: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    source: str = ""

    @property
    def simulated(self) -> bool:
        """Whether it takes a proxy before the server to behave so."""
        return not self.behaviour.changes_nothing

    @property
    def label(self) -> str:
        """How reports name it, so that a simulation is never taken for the product itself."""
        return f"simulated {self.name}" if self.simulated else self.name


_OSS = Profile(OSS, "the server as its project ships it")


def profile(name: str) -> Profile:
    """The profile of this name, "redis-enterprise" or "redis-enterprise/oss-cluster"; else UsageError."""
    if name == OSS:
        return _OSS  # without reading the file
    if name not in profiles():
        raise UsageError(f"no profile {name!r}; expected one of: {', '.join(profiles())}")
    return profiles()[name]


@cache
def profiles() -> Mapping[str, Profile]:
    """Every profile that a scenario may name, by its name; those with a policy right after the profile itself."""
    data = _Data(_read())
    return MappingProxyType({name: data.profile(name) for name in data.names()})


@cache
def wordings() -> Mapping[str, Wording]:
    """How refusals can read, by name."""
    return MappingProxyType(dict(_Data(_read()).wordings))


class _Data:
    """The file's content. Lists written as @name are looked up among a profile's facts and those that it inherits."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._profiles: Mapping[str, Mapping[str, Any]] = content["profiles"]
        self._texts = content["error_texts"]
        self._common: Mapping[str, Any] = content.get("common", {})
        self.wordings = {
            name: Wording(one["command"], one.get("subcommand", ""), one.get("argument", ""))
            for name, one in content["wordings"].items()
        }

    def names(self) -> Iterator[str]:
        for name, facts in self._profiles.items():
            if "simulation" in facts:
                yield name
                yield from (f"{name}/{policy}" for policy in facts["simulation"].get("policies", ()))

    def profile(self, name: str) -> Profile:
        base, _, policy = name.partition("/")
        facts, simulation = self._facts(base), self._simulation(base)
        policies = simulation.get("policies", {})
        simulation = simulation | (policies[policy or simulation["policy"]] if policies else {})
        return Profile(
            name=name,
            product=facts["product"],
            port=simulation["port"],
            tls=simulation.get("tls", False),
            behaviour=self._behaviour(simulation, {**self._common, **facts}),
            policies=tuple(policies),
            gaps=(*simulation.get("gaps", ()), *simulation.get("gaps_too", ())),
            source=str(facts.get("docs", facts.get("evidence", ""))),
        )

    def _facts(self, name: str) -> dict[str, Any]:
        facts = self._profiles[name]
        return {**(self._facts(facts["inherits"]) if "inherits" in facts else {}), **facts}

    def _simulation(self, name: str) -> dict[str, Any]:
        own = self._profiles[name]["simulation"]
        return {**(self._simulation(own["from"]) if "from" in own else {}), **own}

    def _behaviour(self, simulation: Mapping[str, Any], facts: Mapping[str, Any]) -> Behaviour:
        def names(key: str) -> tuple[str, ...]:
            both = (*_items(simulation.get(key, ()), facts), *_items(simulation.get(f"{key}_too", ()), facts))
            return tuple(dict.fromkeys(both))

        def commands(key: str) -> tuple[str, ...]:
            return tuple(_spelt(name) for name in names(key))

        return Behaviour(
            refused=commands("refused"),
            allowed=commands("allowed"),
            refused_categories=names("refused_categories"),
            accepted=commands("accepted"),
            wording=self.wordings[simulation.get("wording", "redis-7")],
            wordings={_spelt(name): self.wordings[one] for name, one in simulation.get("wordings", {}).items()},
            select=str(simulation.get("select", "")),
            config=_config(simulation, names("config"), names("config_removed")),
            info_set=_texts(_found(simulation.get("info_set", {}), facts) | simulation.get("info_set_too", {})),
            info_drop=names("info_drop"),
            resp3=simulation.get("resp3", True),
            hello_set=_texts(simulation.get("hello_set", {})),
            one_slot=simulation.get("one_slot", False),
            cross_slot=commands("cross_slot"),
            crossslot=self._texts[simulation.get("crossslot", "oss_crossslot")]["text"],
            crossslot_in_multi=self._texts[simulation.get("crossslot_in_multi", "oss_crossslot")].get("template", ""),
            cluster=simulation.get("cluster", False),
            over_cluster=simulation.get("over_cluster", False),
            scripts_refused=commands("scripts_refused"),
        )


def _config(
    simulation: Mapping[str, Any], names: tuple[str, ...], removed: tuple[str, ...]
) -> dict[str, tuple[int, int] | None] | None:
    if "config" not in simulation:
        return None
    limits = simulation.get("config_limits", {})
    return {name: tuple(limits[name]) if name in limits else None for name in names if name not in removed}


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _items(written: Any, facts: Mapping[str, Any]) -> Iterator[str]:
    """Each name, with the lists that are named instead of being written."""
    for entry in [written] if isinstance(written, str) else written:
        yield from _found(entry, facts) if entry.startswith("@") else [entry]


def _found(written: Any, facts: Mapping[str, Any]) -> Any:
    """What @name or @group.name stands for; anything else stands for itself."""
    if not (isinstance(written, str) and written.startswith("@")):
        return written
    found: Any = facts
    for key in written[1:].split("."):
        found = found[key]
    return found


def _spelt(command: str) -> str:
    """CONFIG SET as the server's own COMMAND LIST spells it: config|set. What is said after a bracket is a remark."""
    return command.partition("(")[0].strip().lower().replace(" ", "|")


def _read() -> Any:
    import yaml  # here, because only who needs a profile should pay for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 3 ms instead of 22
    return yaml.load(_FILE.read_text(encoding="utf-8"), loader)


def all_facts() -> Mapping[str, Any]:
    """The facts of every product, simulated or not, as they stand in the file."""
    facts: Mapping[str, Any] = _read()["profiles"]
    return facts
