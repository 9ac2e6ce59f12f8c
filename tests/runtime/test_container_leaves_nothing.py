"""However a run in containers ends, Docker holds afterwards what it held before."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.engine.daemon import socket_path
from harness.errors import SetupError
from harness.options import Options
from harness.runner import run
from harness.runtime.container import ContainerRuntime
from harness.runtime.docker_sweep import remove_labelled
from harness.runtime.labels import OWNER, RUN, here, owner_labels, owner_state
from harness.runtime.owner import Owner
from harness.runtime.readiness import wait_until
from harness.runtime.watchdog import started
from harness.topology import Node, Topology
from tests.support.docker import (
    NOTHING,
    docker_client,
    engine_image,
    image_with_volume,
    inventory,
    toxiproxy_image,
    volumes,
    volumes_of,
)

pytestmark = pytest.mark.container

VICTIM = """
import sys
from harness.engine.daemon import daemon
from harness.engine.images import ImageChooser
from harness.engine.toxiproxy_image import image_at_hand
from harness.runtime.container import ContainerRuntime, Links
from harness.runtime.owner import Owner
from harness.topology import Link, Node, Topology

link = Link("a", "b")
nodes = {"a": Node("a", 6379, password="x"), "b": Node("b", 6380, "a")}
with daemon() as client:
    image = ImageChooser(client, {}).choose("valkey-9.1.2")
    links = Links(image_at_hand(client) or "embedded", sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        with Owner() as owner:
            runtime = ContainerRuntime(client, lambda node: image, "written", owner, links)
            with runtime.deploy(Topology(nodes), [link]) as deployment:
                deployment.attach()
"""


@pytest.fixture
def client() -> Iterator[Any]:
    with docker_client() as opened:
        engine_image(opened)
        yield opened


@pytest.fixture
def run_id() -> str:
    return f"test-{os.getpid()}-{random.randrange(1 << 30):x}"


@pytest.fixture
def victim(client: Any, run_id: str, tmp_path: Path) -> Iterator[Callable[[int, float], int]]:
    """victim(signal, seconds): sends it that signal after that time; returns its exit code."""
    toxiproxy_image(client)
    process = subprocess.Popen(
        [sys.executable, "-c", VICTIM, run_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None

    def struck(number: int, seconds: float) -> int:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(b"go\n")
        process.stdin.flush()
        time.sleep(seconds)  # not to wait for anything: the moment is what is tested
        process.send_signal(number)
        process.communicate()
        return process.returncode

    yield struck
    process.kill()
    process.communicate()


@pytest.mark.alone
@pytest.mark.parametrize("seconds", [0.02, 0.08, 0.15, 0.25, 0.4, 0.6, 0.8, 1.0, 1.3, 1.7])
def test_nothing_is_left_five_seconds_after_a_kill(
    victim: Callable[[int, float], int], client: Any, run_id: str, tmp_path: Path, seconds: float
) -> None:
    assert victim(signal.SIGKILL, seconds) == -signal.SIGKILL

    wait_until(
        lambda: inventory(client, f"{RUN}={run_id}") == NOTHING and not list(tmp_path.iterdir()),
        deadline_s=5,
        what="everything to be gone",
        describe=lambda: (inventory(client, f"{RUN}={run_id}"), list(tmp_path.iterdir())),
    )
    time.sleep(0.5)  # nor does anything come up again
    assert inventory(client, f"{RUN}={run_id}") == NOTHING


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.0, 1.3])
def test_nothing_is_left_after_ctrl_c(
    victim: Callable[[int, float], int], client: Any, run_id: str, tmp_path: Path, seconds: float
) -> None:
    assert victim(signal.SIGINT, seconds) == -signal.SIGINT
    assert inventory(client, f"{RUN}={run_id}") == NOTHING
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_fails_half_way_leaves_nothing(client: Any) -> None:
    wrong = Node("b", 6380, "a", directives=(("maxmemory-policy", "nonsense"),))
    with Owner() as owner:
        image = engine_image(client)
        runtime = ContainerRuntime(client, lambda node: image, "written", owner)
        with pytest.raises(SetupError, match=r"(?s)node b .*a directive that it doesn't take: maxmemory-policy"):
            runtime.deploy(Topology({"a": Node("a", 6379), "b": wrong}))
        assert inventory(client, f"{OWNER}={owner.marker}") == NOTHING


@pytest.mark.parametrize(("overrides", "exit_code"), [((), 0), (("expect.full_syncs=7",), 1)])
def test_nothing_is_left_after_a_run_that_went_well_or_failed(
    client: Any, run_id: str, tmp_path: Path, overrides: tuple[str, ...], exit_code: int
) -> None:
    scenario = harness.load("scenarios/one_replica/cut_and_partial_resync.yaml", overrides=overrides)
    result = run(scenario, Options(runtime="container", out=tmp_path, run_id=run_id))
    assert result.exit_code == exit_code
    assert result.report["runtime"] == "container"
    assert inventory(client, f"{RUN}={run_id}") == NOTHING


def test_no_password_stands_where_docker_shows_it(client: Any) -> None:
    with Owner() as owner:
        image = engine_image(client)
        runtime = ContainerRuntime(client, lambda node: image, "written", owner)
        with runtime.deploy(Topology({"a": Node("a", 6379, password="open-sesame")})):
            (container,) = client.containers.list(filters={"label": f"{OWNER}={owner.marker}"})
            assert "open-sesame" not in str(container.attrs)
            assert "open-sesame" not in str(container.top())
            assert set(container.attrs["HostConfig"]["PortBindings"]) == {"6379/tcp"}
            assert container.attrs["HostConfig"]["PortBindings"]["6379/tcp"][0]["HostIp"].startswith("127.")


def test_the_owner_of_labels_is_looked_for_here_only() -> None:
    mine = owner_labels("marker", "run")
    assert owner_state(mine) == "alive"
    assert owner_state({**mine, "replication-harness.started": "1"}) == "dead"
    assert owner_state({**mine, "replication-harness.boot": "another"}) == "elsewhere"
    assert owner_state({**mine, "replication-harness.pid-namespace": "another"}) == "elsewhere"
    assert owner_state({}) == "elsewhere"
    assert all(here())
    assert mine["replication-harness.started"] == started(os.getpid())


def test_volumes_go_with_their_containers(client: Any, run_id: str) -> None:
    """In order, and when a dead run is swept up."""
    with image_with_volume(client) as image:
        with Owner() as owner:
            runtime = ContainerRuntime(client, lambda node: image, "written", owner)
            with runtime.deploy(Topology({"a": Node("a", 6379)})):
                (container,) = client.containers.list(filters={"label": f"{OWNER}={owner.marker}"})
                of_run = volumes_of(container)
        of_dead = volumes_of(client.containers.create(image.reference, labels={RUN: run_id}))
        assert of_dead <= set(volumes(client))
        remove_labelled(socket_path(), f"{RUN}={run_id}")
        assert (len(of_run), len(of_dead)) == (1, 1)
        assert not (of_run | of_dead) & set(volumes(client))


def test_the_sweep_spares_what_carries_another_label(client: Any, run_id: str) -> None:
    mine = client.networks.create(f"{run_id}-mine", labels={RUN: run_id})
    other = client.networks.create(f"{run_id}-other", labels={RUN: f"{run_id}-other"})
    try:
        remove_labelled(socket_path(), f"{RUN}={run_id}")
        assert inventory(client, f"{RUN}={run_id}") == NOTHING
        assert inventory(client, f"{RUN}={run_id}-other")["networks"] == [other.id]
        assert mine.id != other.id
    finally:
        other.remove()
