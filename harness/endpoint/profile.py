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
    return read_profiles(_FILE)


def read_profiles(file: Path) -> Mapping[str, Profile]:
    """Those of another file of the same form; UsageError where it says something that no product can be told."""
    data = _Data(_read(file))
    return MappingProxyType({name: data.profile(name) for name in data.names()})


@cache
def wordings() -> Mapping[str, Wording]:
    """How refusals can read, by name."""
    return MappingProxyType(dict(_Data(_read(_FILE)).wordings))


@dataclass(frozen=True)
class Fact:
    """One thing that is known of a product. path: "tls.default"."""

    path: str
    value: Any

    def __str__(self) -> str:
        return f"{self.path}: {_as_words(self.value)}"


_ABOUT = frozenset({"simulation", "inherits", "product", "docs", "docs_commit", "engine", "evidence", "error_evidence"})


def facts_of(entry: Mapping[str, Any]) -> Iterator[Fact]:
    """The facts in a product's entry, one or two keys deep; not those about the entry itself."""
    for key, value in entry.items():
        if key in _ABOUT:
            continue
        if isinstance(value, dict):
            yield from (Fact(f"{key}.{below}", one) for below, one in value.items() if below not in _ABOUT)
        else:
            yield Fact(key, value)


def _as_words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_as_words(one)}" for key, one in value.items())
    return ", ".join(map(_as_words, value)) if isinstance(value, list) else str(value)


def _named(written: Any) -> Iterator[str]:
    """The facts that are named with an @ anywhere in here."""
    if isinstance(written, str) and written.startswith("@"):
        yield written[1:]
    elif isinstance(written, dict | list):
        for one in written.values() if isinstance(written, dict) else written:
            yield from _named(one)


class _Data:
    """The file's content. Lists written as @name are looked up among a profile's facts and those that it inherits."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._profiles: Mapping[str, Mapping[str, Any]] = content["profiles"]
        self._texts = content["error_texts"]
        self._gaps: tuple[str, ...] = tuple(content.get("gaps_of_all", ()))
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
            gaps=(
                *simulation.get("gaps", ()),
                *simulation.get("gaps_too", ()),
                *map(str, self._left_out(base)),
                *self._gaps,
            ),
            source=str(facts.get("docs", facts.get("evidence", ""))),
        )

    def _facts(self, name: str) -> dict[str, Any]:
        facts = self._profiles[name]
        return {**(self._facts(facts["inherits"]) if "inherits" in facts else {}), **facts}

    def _simulation(self, name: str) -> dict[str, Any]:
        own = self._profiles[name]["simulation"]
        _check_keys(name, own)
        for policy, variant in own.get("policies", {}).items():
            _check_keys(f"{name}/{policy}", variant)
        return {**(self._simulation(own["from"]) if "from" in own else {}), **own}

    def _left_out(self, name: str) -> Iterator[Fact]:
        followed = self._followed(name)
        for fact in facts_of(self._facts(name)):
            if not {fact.path, fact.path.partition(".")[0]} & followed:
                yield fact

    def _followed(self, name: str) -> set[str]:
        """The facts that a product's simulation follows: named with an @, or under `modelled`; inherited ones too."""
        own = self._profiles[name]
        inherited = self._followed(own["inherits"]) if "inherits" in own else set()
        inherited = {
            path for path in inherited if path.partition(".")[0] not in own
        }  # those it has facts of its own for
        simulation = own.get("simulation", {})
        return inherited | set(_named(simulation)) | set(simulation.get("modelled", ()))

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
            **{key: kind(simulation[key]) for key, kind in _LIMITS.items() if key in simulation},
        )


_LISTS = ("refused", "refused_categories", "allowed", "accepted", "config", "config_removed", "info_drop")
_KEYS = {*_LISTS, "cross_slot", "scripts_refused", "gaps", "info_set"}
_KEYS |= {f"{key}_too" for key in _KEYS} | {"port", "tls", "wording", "wordings", "select", "config_limits", "resp3"}
_KEYS |= {"hello_set", "one_slot", "crossslot", "crossslot_in_multi", "cluster", "over_cluster", "modelled", "from"}
_LIMITS: Mapping[str, Any] = MappingProxyType({"unavailable": str, "max_clients": int, "idle_s": float})
_KEYS |= {"policies", "policy", *_LIMITS}


def _check_keys(name: str, simulation: Mapping[str, Any]) -> None:
    """A rule with a slip of the pen would be no rule."""
    if unknown := sorted(set(simulation) - _KEYS):
        raise UsageError(
            f"profile {name}: simulation has no {unknown[0]!r}; expected one of: {', '.join(sorted(_KEYS))}"
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


def _read(file: Path) -> Any:
    import yaml  # here, because only who needs a profile should pay for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 3 ms instead of 22
    return yaml.load(file.read_text(encoding="utf-8"), loader)


def all_facts() -> Mapping[str, Any]:
    """The facts of every product, simulated or not, as they stand in the file."""
    facts: Mapping[str, Any] = _read(_FILE)["profiles"]
    return facts
