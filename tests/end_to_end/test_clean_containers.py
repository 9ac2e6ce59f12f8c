"""`harness clean` and Docker: what a dead owner left goes, what another one's is stays until it is told to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.daemon import daemon
from harness.runtime.labels import OWNER, RUN, new_marker, owner_labels
from tests.support.daemons import own_daemon
from tests.support.docker import NOTHING, docker_client, engine_image, inventory

pytestmark = pytest.mark.container

CLEAN = [sys.executable, "-m", "harness", "clean"]
LIVING = new_marker()
DEAD = f"{LIVING[:16]}{'0' * 8}{LIVING[24:]}"  # of a process that had this number before


@pytest.fixture
def run_id() -> str:
    return f"clean-{os.getpid()}"


@pytest.fixture
def left(run_id: str, tmp_path: Path) -> Iterator[Any]:
    """Three containers that run, their network and their folder, of an owner that has died; the client."""
    (tmp_path / f"replication-harness-{DEAD}-ab").mkdir()
    labels = {**owner_labels(DEAD, run_id), "replication-harness.started": "1"}
    with docker_client() as client:
        image = engine_image(client)
        network = client.networks.create(f"replication-harness-{run_id}", labels=labels)
        for _ in range(3):
            client.containers.run(
                image.reference,
                ["--save", ""],
                entrypoint=image.program,
                labels=labels,
                network=network.name,
                detach=True,
            )
        yield client


@pytest.mark.alone  # what others call dead for their own ends would go as well
def test_two_at_once_remove_it_all(left: Any, run_id: str, tmp_path: Path) -> None:
    """Each meets removals of the other that are under way."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    both = [subprocess.Popen(CLEAN, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    said = [each.communicate(timeout=120) for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert inventory(left, f"{RUN}={run_id}") == NOTHING
    assert list(tmp_path.iterdir()) == []


def test_all_asks_first(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a daemon and in a namespace of processes of its own: it must not see the runs of this machine."""
    apart = ["unshare", "--pid", "--fork", "--mount-proc", *CLEAN, "--all"]
    with own_daemon(tmp_path_factory.mktemp("d"), "16m", monkeypatch), daemon() as client:
        client.networks.create("other", labels=owner_labels(LIVING, "other"))
        client.networks.create("nobodys")
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        shown = subprocess.run(
            apart, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=60, check=True
        )
        assert "other" in shown.stdout
        assert "nobodys" not in shown.stdout
        assert "1 not removed; --yes removes them" in shown.stderr
        assert len(inventory(client, OWNER)["networks"]) == 1
        subprocess.run([*apart, "--yes"], capture_output=True, env=environment, timeout=60, check=True)
        assert inventory(client, OWNER) == NOTHING
        assert len(client.networks.list(names=["nobodys"])) == 1
