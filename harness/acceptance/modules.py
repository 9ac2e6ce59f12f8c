"""The source's modules: which of them are in use, by keys and by commands, and whether the target has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.acceptance.case import Case, fail, listed, not_possible, passed, warn
from harness.acceptance.facts import Facts, anywhere, everywhere
from harness.acceptance.model import Check

CORE_TYPES = frozenset({"string", "list", "hash", "set", "zset", "stream"})
# What TYPE answers for a module's keys: the names under which modules that know them are loaded.
_OWNERS: Mapping[str, tuple[str, ...]] = {
    "CMSk-TYPE": ("bf",),
    "MBbloom--": ("bf",),
    "MBbloomCF": ("bf",),
    "ReJSON-RL": ("ReJSON", "json"),
    "TDIS-TYPE": ("bf",),
    "TSDB-TYPE": ("timeseries",),
    "TopK-TYPE": ("bf",),
    "bloomfltr": ("bf",),
    "graphdata": ("graph",),
    "vectorset": ("vectorset",),
}
# How a module's commands begin, where the server does not say which they are; else its own name in lower case.
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "ReJSON": ("json.",),
    "bf": ("bf.", "cf.", "cms.", "tdigest.", "topk."),
    "search": ("ft.", "_ft."),
    "searchlight": ("ft.", "_ft."),
    "timeseries": ("ts.",),
}
_SHOWN = 5  # commands


@dataclass(frozen=True)
class _Use:
    """A module, and what shows that it is in use: types of keys, and commands. there: whether the target has it."""

    name: str
    types: tuple[str, ...]
    commands: tuple[str, ...]
    there: bool | None

    def __str__(self) -> str:
        keys = [f"keys of type {listed(self.types)}"] if self.types else []
        more = f" and {len(self.commands) - _SHOWN} more" if len(self.commands) > _SHOWN else ""
        clients = [f"clients use {listed(self.commands[:_SHOWN])}{more}"] if self.commands else []
        return f"{self.name} ({'; '.join([*keys, *clients])})" if keys or clients else self.name


def modules(case: Case) -> Check:
    """Fails for one in use that the target lacks; warns of one that is loaded, and not seen in use."""
    strange = set(case.survey.types) - CORE_TYPES - {"none"}
    uses = list(_uses(case, strange))
    used = [use for use in uses if use.types or use.commands]
    nameless = sorted(strange - {kind for use in uses for kind in use.types})
    if lacking := [use for use in used if use.there is False]:
        found = f"the target lacks {_named(lacking)}, in use on the source: {'; '.join(map(str, lacking))}"
        return fail("modules", found, "load it on the target, or move these keys and clients elsewhere")
    if untold := [use for use in used if use.there is None]:
        found = f"in use on the source: {'; '.join(map(str, untold))}; the target refuses MODULE LIST"
        needed = not all({*use.types} <= case.skip_types and use.types for use in untold)
        return not_possible("modules", found, "ask whoever runs the target whether it has them", required=needed)
    if nameless and (check := _of_no_known_module(case, nameless)):
        return check
    if hidden := _hidden(case, uses):
        found = f"the {hidden} refuses MODULE LIST; no key and no command in use was seen to need a module"
        return not_possible("modules", found, "ask whoever runs it")
    warnings = [*_uncompared(strange - case.skip_types), *_unused(case, [use for use in uses if use not in used])]
    if warnings:
        return warn("modules", "; ".join(found for found, _ in warnings), "; ".join(todo for _, todo in warnings))
    return passed("modules", "the target has every module of the source" if uses else "the source has none")


def _hidden(case: Case, uses: list[_Use]) -> str:
    """The side that does not say what it has loaded, where that matters."""
    if _loaded(case.source) is None:
        return "source"
    return "target" if uses and _everywhere(case.target) is None else ""


def _uncompared(types: set[str]) -> Iterator[tuple[str, str]]:
    """What was found, and what to do."""
    if types:
        found = f"keys of type {listed(sorted(types))}, whose modules the target has too"
        yield found, "compare their values in another way, and give --skip-types"


def _unused(case: Case, unused: list[_Use]) -> Iterator[tuple[str, str]]:
    """What was found, and what to do."""
    looked = "no key and no command in use needs it"
    if case.source.used_commands is None:
        looked = "no key needs it; the source hides its COMMANDSTATS, so whether clients do is not known"
    if lacking := [use for use in unused if not use.there]:
        found = f"the target lacks {_named(lacking)}, loaded on the source and not seen in use ({looked}): "
        yield found + listed(use.name for use in lacking), "see who loaded it, and for what"


def _of_no_known_module(case: Case, types: list[str]) -> Check | None:
    """Types of keys of which is not known whose they are: nothing to say where the target has every module that it may
    be.
    """
    ours, theirs = _loaded(case.source), _everywhere(case.target)
    keys, needed = f"keys of type {listed(types)}, of which no rule says what module they need", True
    if ours is not None and theirs is not None:
        able = ours - {name for owners in _OWNERS.values() for name in owners}
        missing = able - theirs
        if able and not missing:
            return None
        if able and missing == able:
            return fail("modules", f"{keys}: the target lacks {listed(sorted(missing))}", "load it on the target")
        reason = (
            f"the target lacks {listed(sorted(missing))}" if missing else "none of the source's is known to hold them"
        )
    else:
        reason = f"the {'source' if ours is None else 'target'} refuses MODULE LIST"
        needed = not set(types) <= case.skip_types
    todo = "see which module these keys need, and whether the target has it"
    return not_possible("modules", f"{keys}: {reason}", todo, required=needed)


def _uses(case: Case, strange: set[str]) -> Iterator[_Use]:
    """The source's modules, by its own list, by types of keys and by commands in use."""
    loaded, used = _loaded(case.source), case.source.used_commands or frozenset()
    names = set(loaded or ())
    for kind in strange & _OWNERS.keys():
        if not names & {*_OWNERS[kind]}:
            names.add(_OWNERS[kind][0])
    if loaded is None:
        names |= {name for name in _PREFIXES if any(command.startswith(_PREFIXES[name]) for command in used)}
    for name in sorted(names):
        types = tuple(sorted(kind for kind in strange if name in _OWNERS.get(kind, ())))
        commands = tuple(sorted(command for command in used if _belongs(case.source, name, command)))
        yield _Use(name, types, commands, _is_there(case.target, name))


def _belongs(source: Facts, module: str, command: str) -> bool:
    """Whether it is this module's, by what a server says, or by its name. command: "name" or "name|subcommand"."""
    told = frozenset().union(*[(each.modules or {}).get(module, frozenset()) for each in source.servers])
    if told:
        return command in told or command.partition("|")[0] in told
    return command.startswith(_PREFIXES.get(module, (f"{module.lower()}.",)))


def _is_there(target: Facts, module: str) -> bool | None:
    there = _everywhere(target)
    return None if there is None else module in there


def _loaded(facts: Facts) -> frozenset[str] | None:
    return anywhere([each.modules for each in facts.servers])


def _everywhere(facts: Facts) -> frozenset[str] | None:
    return everywhere([each.modules for each in facts.servers])


def _named(uses: list[_Use]) -> str:
    return "a module" if len(uses) == 1 else f"{len(uses)} modules"
