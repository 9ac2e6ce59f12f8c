"""A scenario's topology, started and kept, for `harness up`. Nothing is written; faults come only when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from harness.errors import UsageError
from harness.fault.nemesis import Nemesis
from harness.fault.schedule import Disturbance, disturbances
from harness.options import Options
from harness.runtime.base import Deployment
from harness.scenario.loader import LoadedScenario
from harness.stage import open_stage, require_images_in_use
from harness.watch import RunWatch


@dataclass(frozen=True)
class Kept:
    """Started nodes, replicas following. not_applied: faults that have no moment here, in words."""

    deployment: Deployment
    not_applied: tuple[str, ...]


@contextmanager
def up(loaded: LoadedScenario, options: Options, *, faults: bool) -> Iterator[Kept]:
    """Start the topology and keep it for as long as the context lasts.

    faults: apply those of the scenario that begin at a time or with an event of a link, counted from now; each is
    healed when it says so, else at the end. Those that begin at a share of the values have no moment: nothing is
    written here.
    """
    if options.runtime_name() == "external":
        raise UsageError("`up` starts servers, and those of runtime external are running already")
    require_images_in_use(options, [loaded.topology])
    stage_for = loaded if faults else replace(loaded, scenario=loaded.scenario.model_copy(update={"faults": ()}))
    with open_stage(stage_for, options, options.new_run_id()) as stage, ExitStack() as stack:
        stage.deployment.attach()
        todo = disturbances(stage.faults)
        timed = tuple(_until_the_end(what) for what in todo if _has_a_moment(what))
        if timed:
            watch = stack.enter_context(RunWatch(stage.deployment, ()))
            nemesis = stack.enter_context(Nemesis(timed, stage.deployment.proxied, (0,), watch))
            nemesis.wait_at(0, 0)  # its clock runs from here
        momentless = tuple(_why_not(what) for what in todo if not _has_a_moment(what))
        yield Kept(stage.deployment, (*momentless, *stage.not_applied))


def _has_a_moment(what: Disturbance) -> bool:
    return what.at.percent is None and what.at.event != "written"


def _until_the_end(what: Disturbance) -> Disturbance:
    """A fault whose end has no moment here lasts as long as the topology."""
    ends = what.until is not None and what.until.percent is None and what.until.event != "written"
    return what if ends else replace(what, until=None)


def _why_not(what: Disturbance) -> str:
    return f"{what.what} on {what.place} begins at {what.at}, and nothing is written here"
