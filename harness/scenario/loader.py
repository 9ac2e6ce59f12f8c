"""From files on disk to scenarios that can run, or to every mistake in them at once.

The steps: read (source), change (`--set`), fill in the environment, check each section (the models), check the sections
against each other (the rules), resolve the topology. Nothing is started before all files have come through.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import ScenarioError, UsageError
from harness.scenario.environment import Environment, password_references
from harness.scenario.expect_rules import budget_problems, expect_problems
from harness.scenario.fault_rules import expanded, fault_problems
from harness.scenario.file import File, shortened
from harness.scenario.model import VERSION, NodeSpec, Scenario
from harness.scenario.overrides import Override, parse_overrides
from harness.scenario.plain import plain
from harness.scenario.resolve import Problem, resolved_nodes, topology_problems
from harness.scenario.source import read_source
from harness.scenario.write_rules import drawn_problems, property_problems, write_problems, written
from harness.topology import Node, Topology

SUFFIXES = (".yaml", ".yml")
_PLAN = re.compile(rb"^kind[ \t]*:[ \t]*[\"']?plan\b", re.MULTILINE)
_STANDING_IN: Mapping[str, Any] = {  # for sections that are wrong, while the others are checked
    "version": VERSION,
    "title": "-",
    "topology": {"nodes": {"a": {}}},
    "workload": {"key": "-", "values": 0},
}


@dataclass(frozen=True)
class LoadedScenario:
    """A scenario that can run. name: its path below a folder `scenarios`, without suffix, else the file's own name.

    In `scenario` ports are resolved and passwords are references to the environment; `topology` has the passwords.
    """

    path: Path
    name: str
    scenario: Scenario
    topology: Topology

    def stored(self) -> dict[str, Any]:
        """The resolved scenario as plain data that loads again; it holds no password."""
        return plain(self.scenario)


def find(paths: Sequence[Path]) -> list[Path]:
    """The files named, and every YAML file below the folders named that is no plan, each once; UsageError for a missing
    one.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            below = sorted(file for suffix in SUFFIXES for file in path.rglob(f"*{suffix}") if file.is_file())
            found.update(dict.fromkeys(file for file in below if not is_plan(file)))
        elif path.exists():
            found[path] = None
        else:
            raise UsageError(f"{path}: no such file or folder")
    return list(found)


def is_plan(path: Path) -> bool:
    """Whether this file says that it is a plan of an acceptance, as far as its first lines tell."""
    try:
        with path.open("rb") as file:
            return bool(_PLAN.search(file.read(1 << 16)))
    except OSError:
        return False


def load(
    path: Path,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    *,
    throwaway_passwords: bool = False,
) -> LoadedScenario:
    """One scenario file. overrides: "path=value" each; ScenarioError lists everything that is wrong.

    throwaway_passwords: where a password's variable is not set, a random one will do.
    """
    return _load_all([path], overrides, Environment(environ, throwaway_passwords))[0]


def load_all(
    paths: Sequence[Path], overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> list[LoadedScenario]:
    """Several scenario files (see `find`); the overrides are for each. One ScenarioError for the mistakes of all."""
    return _load_all(paths, overrides, Environment(environ))


def _load_all(paths: Sequence[Path], overrides: Sequence[str], environment: Environment) -> list[LoadedScenario]:
    options, mistakes = parse_overrides(overrides)
    loaded: list[LoadedScenario] = []
    for path in paths:
        file = _File(path, read_source(path), environment)
        if scenario := file.load(options):
            loaded.append(scenario)
        mistakes += shortened(file.source)
    if mistakes:
        raise ScenarioError(list(dict.fromkeys(mistakes)))
    return loaded


@dataclass
class _File(File):
    """A scenario's file. passwords: by node, only those that are not empty."""

    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    references: dict[str, str] = field(default_factory=dict)

    def load(self, options: Sequence[Override]) -> LoadedScenario | None:
        if not self.begun("scenario", options):
            return None
        as_written = passwords_of(self.source.data)
        filled = self.environment.fill(self.source, Scenario)
        self.passwords = {node: text for node, text in passwords_of(self.source.data).items() if text}
        self.references = password_references({node: as_written[node] for node in self.passwords})
        scenario, wrong = self.validated(Scenario, filled, _STANDING_IN)
        sections = {name: getattr(scenario, name) for name in Scenario.model_fields if name not in wrong}
        topology = self._check(sections)
        if self.source.mistakes or topology is None:
            return None
        return LoadedScenario(self.path, name_of(self.path), self._resolved(scenario, topology), topology)

    def _check(self, sections: Mapping[str, Any]) -> Topology | None:
        spec = sections.get("topology")
        nodes = resolved_nodes(spec, self.passwords) if spec else {}
        problems = list(topology_problems(spec, nodes)) if spec else []
        topology = Topology(nodes) if spec and not problems else None
        for path, message in (*problems, *_problems_between(sections, topology)):
            self.source.add(path, message)
        return topology

    def _resolved(self, scenario: Scenario, topology: Topology) -> Scenario:
        """The scenario with its ports written out, and without the passwords themselves."""
        scenario = scenario.model_copy(update={"faults": expanded(scenario.faults, topology)})
        if scenario.topology.cluster is not None:
            return scenario
        specs = scenario.topology.nodes
        nodes = {name: self._resolved_node(spec, topology.nodes[name]) for name, spec in specs.items()}
        return scenario.model_copy(update={"topology": scenario.topology.model_copy(update={"nodes": nodes})})

    def _resolved_node(self, spec: NodeSpec, node: Node) -> NodeSpec:
        return spec.model_copy(update={"port": node.port, "password": self.references.get(node.name)})


def passwords_of(data: Any) -> dict[str, str]:
    """Each node's password as it stands in the data, where it is text."""
    topology = data.get("topology") if isinstance(data, dict) else None
    nodes = topology.get("nodes") if isinstance(topology, dict) else None
    specs = nodes.items() if isinstance(nodes, dict) else ()
    found = {name: spec.get("password") for name, spec in specs if isinstance(spec, dict)}
    return {name: password for name, password in found.items() if isinstance(password, str)}


def _problems_between(sections: Mapping[str, Any], topology: Topology | None) -> Iterator[Problem]:
    """What is wrong between sections that are each right in themselves."""
    workload, faults = sections.get("workload"), sections.get("faults")
    loads = written(workload, sections.get("preload"))
    yield from write_problems(loads, sections.get("topology"))
    if faults is not None:
        yield from fault_problems(faults, topology)
    if "expect" in sections:
        workloads = [load for path, load in loads if path[0] == "workload"]
        yield from expect_problems(sections["expect"], topology, workloads or None)
        if faults is not None and topology is not None and topology.is_cluster:
            yield from budget_problems(sections["expect"], faults)
    drawn = sections.get("property")
    yield from property_problems(drawn, faults)
    if drawn is not None and topology is not None and workload is not None:
        yield from drawn_problems(drawn, topology, workload[0] if isinstance(workload, tuple) else workload)


def name_of(path: Path) -> str:
    """ "one_replica/list_append" for scenarios/one_replica/list_append.yaml, else the file's name without suffix."""
    parts = path.absolute().parts
    stem = path.stem.removesuffix(".scenario")
    if "scenarios" not in parts[:-1]:
        return stem
    last = len(parts) - 2 - parts[-2::-1].index("scenarios")
    return "/".join((*parts[last + 1 : -1], stem))
