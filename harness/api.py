"""The Python API behind `import harness`: load a scenario, run it, or start its topology for a test of your own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from harness.errors import SetupError, UsageError
from harness.fault.toxic import Direction, Toxic
from harness.options import Options
from harness.scenario.loader import LoadedScenario
from harness.scenario.loader import load as _load
from harness.stage import Stage, open_stage, require_images_in_use
from harness.topology import Link, Topology

if TYPE_CHECKING:
    import redis

    from harness.checker.verdict import Verdict
    from harness.fault.link import FaultLink
    from harness.runtime.base import Deployment

StrPath = str | os.PathLike[str]


def load(path: StrPath, *, overrides: Sequence[str] = ()) -> LoadedScenario:
    """A scenario file, checked. overrides: "workload.values=5" each. ScenarioError lists everything that is wrong."""
    return _load(Path(path), tuple(overrides))


def run(
    path: StrPath, *, part: str = "written", overrides: Sequence[str] = (), options: Options | None = None
) -> Verdict:
    """Run a scenario and return its verdict; what keeps it from one is raised (`harness.errors`).

    part: "written", or "property" for Hypothesis's draws. A scenario that this runtime has to skip is a SetupError.
    """
    from harness.runner import run as run_scenario

    if part not in ("written", "property"):
        raise UsageError(f"a scenario has the parts written and property, not {part!r}")
    loaded = load(path, overrides=overrides)
    if part == "property" and loaded.scenario.property is None:
        raise UsageError(f"{loaded.path} has no property to draw from")
    result = run_scenario(loaded, options or Options(), part=part)
    if result.verdict is None:
        raise SetupError(f"{loaded.name} can't run here: {result.skipped}")
    return result.verdict


@contextmanager
def deploy(
    path: StrPath, *, overrides: Sequence[str] = (), options: Options | None = None, disturb: Sequence[str] = ()
) -> Iterator[Deployed]:
    """Start a scenario's topology, replicas following, and stop it at the end; nothing is written and no fault applied.

    disturb: links such as "client->a" that shall lead through the fault proxy too; replication links always do, except
    where the servers are external.
    """
    chosen = options or Options()
    loaded = load(path, overrides=overrides)
    require_images_in_use(chosen, [loaded.topology])
    wanted = {*loaded.topology.replication_links, *(_link(text, loaded.topology) for text in disturb)}
    with open_stage(loaded, chosen, chosen.new_run_id(), wanted) as stage, ExitStack() as stack:
        stage.deployment.attach()
        yield Deployed(stage, stack)


class Deployed:
    """Started nodes: clients to use them, links to disturb. Made by `deploy`."""

    def __init__(self, stage: Stage, stack: ExitStack) -> None:
        self._deployment, self._stack = stage.deployment, stack
        self._clients: dict[tuple[str, int], redis.Redis] = {}

    @property
    def topology(self) -> Topology:
        return self._deployment.topology

    @property
    def deployment(self) -> Deployment:
        """The runtime's own deployment, with whatever else it can do (kill, pause, restart)."""
        return self._deployment

    def endpoint(self, node: str) -> Endpoint:
        """Where a user's client connects to; through the fault proxy where client->node leads through it."""
        self._check(node)
        return self._deployment.entry(node)

    def client(self, node: str, *, db: int = 0) -> redis.Redis:
        """A redis-py client of this node, as a user has it: with the node's password and its profile's restrictions.

        It sends each command at most once; the same one is given again, and closed at the end.
        """
        if (node, db) not in self._clients:
            client = connect(self.endpoint(node).with_database(db))
            self._clients[node, db] = client
            self._stack.callback(client.close)
        return self._clients[node, db]

    def link(self, name: str) -> DisturbedLink:
        """A link to disturb, by its name ("a->b"). UsageError where it does not lead through a fault proxy."""
        link = _link(name, self.topology)
        proxied = self._deployment.proxied
        if link not in proxied:
            through = ", ".join(map(str, proxied)) or "none"
            raise UsageError(f"link {link} does not lead through a fault proxy ({through} do); name it in disturb=")
        return DisturbedLink(link, proxied[link])

    def log(self, node: str) -> str:
        """The server's whole log so far."""
        self._check(node)
        return self._deployment.log(node)

    def _check(self, node: str) -> None:
        if node not in self.topology.nodes:
            raise UsageError(f"no node {node!r}; there are {', '.join(self.topology.nodes)}")


class DisturbedLink:
    """One link that leads through the fault proxy. Every call returns when the proxy has confirmed it."""

    def __init__(self, link: Link, proxied: FaultLink) -> None:
        self._link, self._proxied = link, proxied

    def __str__(self) -> str:
        return str(self._link)

    def add(self, kind: str, *, against_the_arrow: bool = False, toxicity: float = 1.0, **attributes: int) -> str:
        """Add a toxic and return its name. kind and attributes in Toxiproxy's words: add("latency", latency=100).

        The bytes that travel along the link's arrow are disturbed, or those against it. toxicity: share of connections.
        """
        direction = Direction.TO_SOURCE if against_the_arrow else Direction.TO_TARGET
        return self._proxied.add(Toxic(kind, attributes, direction, toxicity), self._link)

    def remove(self, name: str) -> None:
        """Remove one toxic, by the name that `add` gave."""
        self._proxied.remove(name)

    def cut(self) -> None:
        """Take the link down: its connections are closed, and new ones are refused."""
        self._proxied.cut()

    def restore(self) -> None:
        """Let connections in again after `cut`."""
        self._proxied.restore()

    def heal(self) -> None:
        """Remove every toxic and end a cut."""
        self._proxied.clear()


def _link(text: str, topology: Topology) -> Link:
    try:
        link = Link.parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if link not in topology.links:
        raise UsageError(f"no link {link}; there are {', '.join(map(str, topology.links))}")
    return link
