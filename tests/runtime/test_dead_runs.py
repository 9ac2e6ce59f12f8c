"""What is called dead, and what is left alone."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.runtime.dead_runs import remnants
from harness.runtime.labels import RUN, owner_labels, place_name
from harness.runtime.owner import Owner
from harness.runtime.watchdog import MARKER_VARIABLE, started
from tests.support.docker import docker_client


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def found(what: str, part: str) -> list[str]:
    return [each.state for each in remnants(None) if each.what == what and part in each.name]


def test_what_a_living_owner_has_made_is_alive(temporary: Path) -> None:
    with Owner() as owner:
        folder = owner.folder("replication-harness")
        process = owner.popen(["sleep", "60"])
        assert found("folder", folder.name) == ["alive"]
        assert found("process", f"({process.pid})") == ["alive"]


def test_folders_of_dead_owners_and_of_other_machines(temporary: Path) -> None:
    dead = temporary / f"replication-harness-{place_name()}-{'0' * 16}-abcdef01"
    elsewhere = temporary / f"replication-harness-{'0' * 8}-{'0' * 16}-abcdef01"
    strange = temporary / "replication-harness-of-somebody"
    for folder in (dead, elsewhere, strange):
        folder.mkdir()
    assert {each.name: each.state for each in remnants(None) if each.what == "folder"} == {
        str(dead): "dead",
        str(elsewhere): "elsewhere",
    }
    next(each for each in remnants(None) if each.name == str(dead)).remove()
    assert not dead.exists()


def test_a_process_whose_owner_is_dead(temporary: Path) -> None:
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, MARKER_VARIABLE: "f" * 16})
    try:
        (left,) = [each for each in remnants(None) if each.name == f"sleep ({process.pid})"]
        assert (left.what, left.state) == ("process", "dead")
        left.remove()
        assert process.wait() == -9
        left.remove()
        assert started(process.pid) == ""
    finally:
        process.kill()
        process.wait()


@pytest.mark.container
def test_what_stands_in_docker_is_told_apart_by_its_owner() -> None:
    with docker_client() as client:
        mine = owner_labels("0" * 16, "mine")
        dead = {**mine, RUN: "dead", "replication-harness.started": "1"}
        name = f"replication-harness-test-{os.getpid()}"
        networks = [client.networks.create(f"{name}-{labels[RUN]}", labels=labels) for labels in (mine, dead)]
        try:
            states = {each.name: each.state for each in remnants(client) if each.what == "network"}
            assert [states[network.name] for network in networks] == ["alive", "dead"]
            next(each for each in remnants(client) if each.name == networks[1].name).remove()
            assert [each.id for each in client.networks.list(names=[name])] == [networks[0].id]
        finally:
            networks[0].remove()
