"""A plan from its file to the answer: the two endpoints as they are, or servers of our own that are filled first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from harness.acceptance.acceptance import AcceptOptions, accept
from harness.acceptance.model import Acceptance, Grade
from harness.acceptance.product import product
from harness.compare.model import Options as CompareOptions
from harness.compare.model import types_to_skip
from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from harness.errors import UsageError
from harness.options import Options
from harness.runtime.base import Deployment
from harness.scenario.loader import LoadedScenario
from harness.scenario.model import Scenario, Workload
from harness.scenario.plan_loader import LoadedPlan
from harness.scenario.plan_model import Plan, PlanData
from harness.stage import open_stage

if TYPE_CHECKING:
    import redis

_AT_ONCE = 1_000  # elements in a command


def follow_plan(loaded: LoadedPlan, options: Options, say: Callable[[str], None] = lambda text: None) -> Acceptance:
    """Check what the plan says. options: where servers of our own run. SetupError and UsageError as `accept`."""
    with ExitStack() as stack:
        ends = loaded.endpoints if loaded.topology is None else _started(loaded, options, stack)
        return accept(ends["source"], ends["target"], accept_options(loaded.plan), say)


def accept_options(plan: Plan) -> AcceptOptions:
    """The plan's words as options of an acceptance."""
    chosen = plan.compare
    comparison = CompareOptions(
        keys=chosen.keys,
        databases=tuple(sorted(set(chosen.databases))) if chosen.databases is not None else None,
        sample=chosen.sample / 100 if chosen.sample is not None else 1.0,
        rounds=chosen.rounds,
        pause_s=chosen.pause_s,
        tolerance_s=chosen.tolerance_s,
        most_commands_per_s=chosen.max_commands_per_second,
        different_servers=plan.different_servers,
        trust_replicas=plan.trust_replicas,
        skip_types=types_to_skip(chosen.skip_types),
    )
    return AcceptOptions(
        canary=plan.canary,
        product=product(plan.profile),
        drift_s=plan.drift_s,
        measure_s=plan.measure_s,
        comparison=comparison,
    )


def unmet(plan: Plan, report: Acceptance) -> list[str]:
    """What the plan expects of the answer and did not come, a sentence each."""
    expect, found = plan.expect, []
    fails = sorted(check.name for check in report.of_grade(Grade.FAIL))
    warns = {check.name for check in report.of_grade(Grade.WARN)}
    if report.verdict != expect.verdict:
        found.append(f"the verdict is {report.verdict}, expected was {expect.verdict}")
    if expect.fails is not None and fails != sorted(expect.fails):
        found.append(f"these fail: {', '.join(fails) or 'none'}; expected were: {', '.join(expect.fails) or 'none'}")
    if lacking := set(expect.warns or ()) - warns:
        found.append(f"no warning from {', '.join(sorted(lacking))}")
    return found


def _started(loaded: LoadedPlan, options: Options, stack: ExitStack) -> Mapping[str, Endpoint]:
    """Servers of our own, their replicas following, with the plan's data."""
    plan, topology = loaded.plan, loaded.topology
    assert plan.topology is not None
    assert topology is not None
    if options.runtime_name() == "external":
        raise UsageError(f"{loaded.path}: it starts servers of its own, and --runtime external starts none")
    nothing = Workload(key="-", values=0)
    scenario = Scenario(version=1, title=plan.title, topology=plan.topology, workload=nothing)
    stage = LoadedScenario(loaded.path, loaded.name, scenario, topology)
    deployment = stack.enter_context(open_stage(stage, options, options.new_run_id())).deployment
    deployment.attach()
    for each in plan.data:
        for node in [each.node] if each.node else [primary.name for primary in topology.primaries]:
            _write(deployment, node, each)
    return {"source": deployment.entry(plan.source), "target": deployment.entry(plan.target)}


def _write(deployment: Deployment, node: str, data: PlanData) -> None:
    with closing(connect(deployment.control(node).with_database(data.db), timeout_s=60)) as client:
        for number in range(data.keys):
            key = data.key if data.keys == 1 else f"{data.key}{number}"
            for first in range(0, data.values, _AT_ONCE):
                _WRITE[data.kind](client, key, range(first, min(first + _AT_ONCE, data.values)))
            if data.expires_in_s is not None:
                client.expire(key, data.expires_in_s)


_WRITE: Mapping[str, Callable[[redis.Redis, str, range], object]] = {
    "string": lambda client, key, values: client.append(key, "".join(map(str, values))),
    "list": lambda client, key, values: client.rpush(key, *values),
    "hash": lambda client, key, values: client.hset(key, mapping={f"f{value}": value for value in values}),
    "set": lambda client, key, values: client.sadd(key, *values),
    "sorted_set": lambda client, key, values: client.zadd(key, {f"m{value}": value / 7 for value in values}),
    "stream": lambda client, key, values: [client.xadd(key, {"n": value}, id=f"1-{value + 1}") for value in values],
}
