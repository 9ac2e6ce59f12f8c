"""What a run stands on: an owner for all it starts, a fault proxy if links are disturbed, and the deployment.

Everything is closed in the reverse order, on success, failure and Ctrl-C; on SIGKILL the owner's watchdog does it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.endpoint.address import Endpoint, read_endpoints
from harness.endpoint.profile import profile
from harness.engine.binaries import Engine, choose
from harness.errors import UsageError
from harness.fault.schedule import applicable, disturbances, needs, proxied_links
from harness.fault.toxiproxy import FaultProxy, check_choice, open_fault_proxy
from harness.options import Options, pair
from harness.plan import StreamPlan, plan_streams
from harness.runtime.base import Deployment
from harness.runtime.external import ExternalDeployment, ExternalRuntime, endpoints_from_environment
from harness.runtime.isolation import ISOLATE, why_no_isolation
from harness.runtime.local import LocalRuntime, Ports
from harness.runtime.own_keys import KeyNaming
from harness.runtime.owner import Owner
from harness.scenario.loader import LoadedScenario
from harness.scenario.model import Fault, Workload
from harness.topology import Link, Node, Topology


@dataclass(frozen=True)
class Stage:
    """An open deployment, its nodes answering; replicas do not follow yet (`deployment.attach`).

    faults: those that this runtime can apply; not_applied: the others, in words.
    """

    deployment: Deployment
    proxy: FaultProxy | None
    preload: tuple[StreamPlan, ...]
    workload: tuple[StreamPlan, ...]
    faults: tuple[Fault, ...]
    not_applied: tuple[str, ...]

    @property
    def plans(self) -> tuple[StreamPlan, ...]:
        """Every key that is written."""
        return (*self.preload, *self.workload)

    @property
    def primary(self) -> str:
        """The node that is written to."""
        return self.deployment.topology.primaries[0].name

    @property
    def external(self) -> ExternalDeployment | None:
        """The deployment where somebody else runs the servers."""
        return self.deployment if isinstance(self.deployment, ExternalDeployment) else None

    def product(self, node: str) -> str:
        """The product behind a node's endpoint, as reports name it: "oss", "simulated redis-enterprise", …"""
        if self.external is not None:
            return self.external.product(node)
        return profile(self.deployment.topology.nodes[node].profile).label


@contextmanager
def open_stage(loaded: LoadedScenario, options: Options, run_id: str, also: Collection[Link] = ()) -> Iterator[Stage]:
    """Start what the scenario needs; SetupError where the machine lacks it, and then nothing is left.

    also: links that lead through a fault proxy although no fault of the scenario names them (not where external).
    """
    check_options(options, loaded.topology)
    with ExitStack() as stack:
        if options.runtime_name() == "external":
            yield _external_stage(loaded, options, run_id, stack)
        else:
            yield _own_stage(loaded, options, run_id, also, stack)


def check_options(options: Options, topology: Topology) -> None:
    """UsageError for what the options name and this scenario, or this runtime, does not have."""
    if options.endpoints and options.runtime_name() != "external":
        raise UsageError("--endpoint is for servers that are running already: give --runtime external as well")
    check_choice(options.fault_proxy)
    if options.images:
        _check_images(options)
    for text in options.engines:
        node = text.partition("=")[0]
        if "=" in text and node not in topology.nodes:
            raise UsageError(f"--engine {text}: no node {node!r}; the scenario has {', '.join(topology.nodes)}")


def _check_images(options: Options) -> None:
    from harness.engine.references import given_images

    name = next(iter(given_images(options.images)))
    if options.runtime_name() != "container":
        raise UsageError(f"--image {name}: only containers run images; give --runtime container as well")


def require_images_in_use(options: Options, topologies: Collection[Topology]) -> None:
    """UsageError for an --image whose engine no node of any of them runs, which would change nothing in silence."""
    if not options.images or not topologies:
        return
    _check_images(options)
    from harness.engine.references import given_images

    named, given = _engine_names(options), given_images(options.images)
    run = {named(node) for topology in topologies for node in topology.nodes.values()}
    used = {next(iter(given)) if name is None else name for name in run}
    if unused := [name for name in given if name not in used]:
        raise UsageError(
            f"--image {unused[0]}: no node runs {unused[0]}, but {', '.join(sorted(used))}; leave it out, or choose it "
            f"with --engine {unused[0]}"
        )


def _own_stage(
    loaded: LoadedScenario, options: Options, run_id: str, also: Collection[Link], stack: ExitStack
) -> Stage:
    """On servers that we start: processes or containers."""
    scenario = loaded.scenario
    disturbed = {*proxied_links(scenario.faults, loaded.topology), *also}
    links = tuple(link for link in loaded.topology.links if link in disturbed)
    start = _in_containers if options.runtime_name() == "container" else _as_processes
    deployment, proxy = start(loaded.topology, links, options, run_id, stack)
    preload = plan_streams("preload", scenario.preload)
    workload = plan_streams("workload", scenario.workloads(), shards=len(loaded.topology.primaries))
    faults = applicable(scenario.faults, deployment.capabilities)
    rest = [fault for fault in scenario.faults if fault not in faults]
    not_applied = tuple(
        f"{what.what} on {what.place}: {why_not(deployment.runtime, needs(fault))}"
        for fault, what in zip(rest, disturbances(rest), strict=True)
    )
    return Stage(deployment, proxy, preload, workload, faults, not_applied)


def why_not(runtime: str, capability: str) -> str:
    """Why packets can't be lost there, or a node not be isolated, in words."""
    if capability == ISOLATE:
        if runtime != "container":
            return f"runtime {runtime} can't cut one node off from all others; --runtime container can"
        return f"no node can be cut off here: {why_no_isolation()}"
    if runtime != "container":
        return f"runtime {runtime} loses no packets; --runtime container does"
    from harness.runtime.packet_loss import why_no_loss

    return f"packets can't be lost here: {why_no_loss()}"


def _as_processes(
    topology: Topology, links: Sequence[Link], options: Options, run_id: str, stack: ExitStack
) -> tuple[Deployment, FaultProxy | None]:
    owner = stack.enter_context(Owner())
    runtime = LocalRuntime(engine_chooser(options), _ports(options), owner)
    proxy = stack.enter_context(open_fault_proxy(options.fault_proxy, popen=owner.popen)) if links else None
    return stack.enter_context(runtime.deploy(topology, links, proxy)), proxy


def _in_containers(
    topology: Topology, links: Sequence[Link], options: Options, run_id: str, stack: ExitStack
) -> tuple[Deployment, FaultProxy | None]:
    from harness.container_stage import deploy_containers

    chosen = (_engine_names(options), _ports(options), run_id)
    deployment = deploy_containers(topology, links, options, chosen, stack)
    return deployment, deployment.proxy


def _external_stage(loaded: LoadedScenario, options: Options, run_id: str, stack: ExitStack) -> Stage:
    scenario, topology = loaded.scenario, loaded.topology
    naming = KeyNaming(run_id, exact=options.exact_keys, keep=options.keep)
    deployment = stack.enter_context(ExternalRuntime(_endpoints(loaded, options), naming).deploy(topology))
    primary = topology.primaries[0].name

    def claim(workload: Workload) -> Workload:
        return workload.model_copy(update={"key": deployment.keys.claim(primary, workload.key, workload.db)})

    preload = plan_streams("preload", [claim(workload) for workload in scenario.preload])
    workloads = plan_streams("workload", [claim(workload) for workload in scenario.workloads()])
    why = "these servers are not ours to disturb"
    not_applied = tuple(f"{what.what} on {what.place}: {why}" for what in disturbances(scenario.faults))
    return Stage(deployment, None, preload, workloads, (), not_applied)


def _endpoints(loaded: LoadedScenario, options: Options) -> dict[str, Endpoint]:
    """As given, else by the REDIS_SERVER<n>_… variables."""
    if options.endpoints:
        return read_endpoints(options.endpoints, os.environ)
    return endpoints_from_environment(loaded.topology, os.environ)


def _ports(options: Options) -> Ports:
    if options.ports == "written" or options.ports == "any":
        return "any" if options.ports == "any" else "written"
    raise UsageError(f"--ports {options.ports}: expected written or any")


def engine_chooser(options: Options) -> Callable[[Node], Engine]:
    """Which program a node runs; `_engine_names` says by which name."""
    paths = dict(pair(text, "--engine-path NAME=PATH") for text in options.engine_paths)
    programs = {name: Path(path) for name, path in paths.items()}
    named = _engine_names(options)
    return lambda node: choose(named(node), programs)


def _engine_names(options: Options) -> Callable[[Node], str | None]:
    """Which engine a node is to run: its own `--engine NODE=…`, else the scenario's, else `--engine …` for all."""
    by_node = dict(pair(text, "--engine NODE=ENGINE") for text in options.engines if "=" in text)
    for_all = [text for text in options.engines if "=" not in text]
    if len(for_all) > 1:
        raise UsageError(f"--engine {for_all[-1]}: all nodes already run {for_all[0]}; for one node write NODE=ENGINE")
    return lambda node: by_node.get(node.name) or node.engine or next(iter(for_all), None)
