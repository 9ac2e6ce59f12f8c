"""Plan files: the same steps, and the same quality of errors, as scenario files (see `loader`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.endpoint.address import Endpoint, read_endpoint
from harness.endpoint.profile import all_facts
from harness.errors import ScenarioError, UsageError
from harness.scenario.environment import Environment
from harness.scenario.file import File, shortened
from harness.scenario.loader import name_of, passwords_of
from harness.scenario.messages import nearest
from harness.scenario.overrides import Override, parse_overrides
from harness.scenario.plan_model import Plan
from harness.scenario.resolve import Problem, resolved_nodes, topology_problems
from harness.scenario.source import read_source
from harness.topology import Topology

_STANDING_IN = {"version": 1, "kind": "plan", "title": "-", "source": "redis://a", "target": "redis://b"}
_ENDS = ("source", "target")


@dataclass(frozen=True)
class LoadedPlan:
    """A plan that can be followed. name: as of a scenario. endpoints: source and target, where they are URLs;
    topology: of servers of our own, None where both are somebody else's.
    """

    path: Path
    name: str
    plan: Plan
    endpoints: Mapping[str, Endpoint]
    topology: Topology | None


def load_plan(path: Path, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> LoadedPlan:
    """One plan file. overrides: "path=value" each; ScenarioError lists everything that is wrong."""
    if not path.exists():
        raise UsageError(f"{path}: no such file; a plan is a YAML file with kind: plan")
    options, mistakes = parse_overrides(overrides)
    file = _PlanFile(path, read_source(path), Environment(environ), environ)
    loaded = file.load(options)
    mistakes += shortened(file.source)
    if mistakes or loaded is None:
        raise ScenarioError(list(dict.fromkeys(mistakes)))
    return loaded


@dataclass
class _PlanFile(File):
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def load(self, options: Sequence[Override]) -> LoadedPlan | None:
        if not self.begun("plan", options):
            return None
        filled = self.environment.fill(self.source, Plan)
        plan, wrong = self.validated(Plan, filled, _STANDING_IN)
        topology = None
        problems: list[Problem] = []
        if plan.topology is not None and "topology" not in wrong:
            nodes = resolved_nodes(plan.topology, passwords_of(self.source.data))
            problems += topology_problems(plan.topology, nodes, alone=False)
            topology = None if problems else Topology(nodes)
        endpoints, of_ends = self._ends(plan, topology, wrong)
        for where, message in (*problems, *of_ends, *_other_problems(plan, topology, wrong)):
            self.source.add(where, message)
        if self.source.mistakes:
            return None
        return LoadedPlan(self.path, name_of(self.path), plan, endpoints, topology)

    def _ends(
        self, plan: Plan, topology: Topology | None, wrong: set[str]
    ) -> tuple[dict[str, Endpoint], list[Problem]]:
        """The endpoints that are URLs, and what is wrong with either. No message shows what may hold a password."""
        found: dict[str, Endpoint] = {}
        problems: list[Problem] = []
        for end in _ENDS:
            text = getattr(plan, end)
            if end in wrong or (topology is not None and text in topology.nodes):
                continue
            if topology is not None or (plan.topology is not None and "topology" in wrong):
                names = ", ".join(topology.nodes) if topology else "those of the topology"
                problems.append(((end,), f"expected a node of this plan's topology ({names}), not something else"))
                continue
            try:
                found[end] = read_endpoint(text, self.environ, end, option=end)
            except UsageError as error:
                problems.append(((end,), str(error).removeprefix(f"{end}: ")))
        if not ({"source", "target"} & wrong) and plan.source == plan.target:
            problems.append((("target",), "source and target are the same; give two endpoints"))
        return found, problems


def _other_problems(plan: Plan, topology: Topology | None, wrong: set[str]) -> Iterator[Problem]:
    products = sorted(all_facts())
    if plan.profile is not None and "profile" not in wrong and plan.profile not in products:
        near = nearest(plan.profile, products)
        hint = f"; did you mean {near!r}?" if near else ""
        yield ("profile",), f"expected one of {', '.join(products)}, not {plan.profile!r}{hint}"
    if plan.data and plan.topology is None and not {"data", "topology"} & wrong:
        yield ("data",), "this goes only to servers that the plan itself starts; add a topology, or drop data"
    for number, each in enumerate(plan.data if topology is not None and "data" not in wrong else ()):
        assert topology is not None
        primaries = [node.name for node in topology.primaries]
        if each.node is not None and each.node not in primaries:
            yield ("data", number, "node"), f"expected one of the primaries {', '.join(primaries)}, not {each.node!r}"
