"""What a run in containers stands on: the daemon, an image for each node's engine, and a fault proxy for its links.

Apart from `stage.py` because it loads the Docker client, which other runs do without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from harness.commands.output import aside
from harness.engine.daemon import daemon
from harness.engine.images import ImageChooser
from harness.engine.references import given_images
from harness.engine.toxiproxy_image import proxy_for_containers
from harness.errors import UsageError
from harness.options import Options
from harness.runtime.container import ContainerDeployment, ContainerRuntime, Links
from harness.runtime.local import Ports
from harness.runtime.owner import Owner
from harness.topology import Link, Node, Topology


def deploy_containers(
    topology: Topology,
    links: Sequence[Link],
    options: Options,
    chosen: tuple[Callable[[Node], str | None], Ports, str],
    stack: ExitStack,
) -> ContainerDeployment:
    """Start the topology in containers. chosen: a node's engine by name, the ports, and the run's id.

    SetupError where there is no daemon, or no image of an engine can be had.
    """
    if options.engine_paths:
        raise UsageError(f"--engine-path {options.engine_paths[0]}: containers run images; give --image NAME=REFERENCE")
    engine, ports, run_id = chosen
    client = stack.enter_context(daemon())
    images = ImageChooser(client, given_images(options.images), _tell)
    proxy = proxy_for_containers(client, options.fault_proxy, _tell) if links else "embedded"
    owner = stack.enter_context(Owner())
    runtime = ContainerRuntime(client, lambda node: images.choose(engine(node)), ports, owner, Links(proxy, run_id))
    return stack.enter_context(runtime.deploy(topology, links))


def _tell(line: str) -> None:
    aside(f"harness: {line}")
