"""The runtimes and fault proxies that the conformance tests run over. A new one is a line in OPENERS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest

from harness.engine.binaries import choose, find_engines
from harness.fault.toxiproxy import open_fault_proxy
from harness.runtime.base import LinkOpener, Runtime
from harness.runtime.local import LocalRuntime
from harness.runtime.owner import Owner
from tests.conformance.fault_proxy.choices import choice
from tests.support.docker import ENGINE, docker_client, engine_image, toxiproxy_image

Opener = Callable[[str, Owner], AbstractContextManager[Runtime]]

# Each engine at hand as processes; one in containers, where its images take longer to start than the tests.
CASES = [pytest.param(("local", engine.name), id=f"local-{engine.name}") for engine in find_engines()]
CASES.append(pytest.param(("container", ENGINE), id=f"container-{ENGINE}", marks=pytest.mark.container))

PROXIES = [
    pytest.param(("local", "embedded"), id="local-embedded"),
    pytest.param(("local", "toxiproxy"), id="local-toxiproxy"),
    pytest.param(("container", "embedded"), id="container-embedded", marks=pytest.mark.container),
    pytest.param(("container", "toxiproxy"), id="container-toxiproxy", marks=pytest.mark.container),
]


@contextmanager
def _local(engine: str, owner: Owner) -> Iterator[Runtime]:
    yield LocalRuntime(lambda node: choose(engine), "written", owner)


@contextmanager
def _container(engine: str, owner: Owner) -> Iterator[Runtime]:
    with docker_client() as client:
        from harness.runtime.container import ContainerRuntime

        image = engine_image(client, engine)
        yield ContainerRuntime(client, lambda node: image, "written", owner)


OPENERS: Mapping[str, Opener] = {"local": _local, "container": _container}


@contextmanager
def runtime_with_proxy(kind: str, proxy: str, owner: Owner) -> Iterator[tuple[Runtime, LinkOpener | None]]:
    """A runtime, and what is to be given to `deploy` for its links."""
    if kind == "container" and proxy == "toxiproxy":
        with docker_client() as client:
            from harness.runtime.container import ContainerRuntime, Links

            image, links = engine_image(client), Links(toxiproxy_image(client))
            yield ContainerRuntime(client, lambda node: image, "written", owner, links), None
        return
    engine = ENGINE if kind == "container" else choose(None).name
    with OPENERS[kind](engine, owner) as runtime, open_fault_proxy(choice(proxy), popen=owner.popen) as opener:
        yield runtime, opener
