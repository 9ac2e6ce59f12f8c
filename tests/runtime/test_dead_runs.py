"""What is called dead, and what is left alone."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from harness.cli import run_command_line
from harness.runtime import dead_runs
from harness.runtime.dead_runs import Remnant, remnants
from harness.runtime.labels import RUN, marker_state, new_marker, owner_labels
from harness.runtime.owner import Owner
from harness.runtime.watchdog import MARKER_VARIABLE, started
from tests.support.docker import docker_client


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def of_the_dead() -> str:
    """The marker of a process that had our number before us."""
    mine = new_marker()
    return f"{mine[:16]}{'0' * 8}{mine[24:]}"


def found(what: str, part: str) -> list[str]:
    return [each.state for each in remnants(None) if each.what == what and part in each.name]


def test_what_a_living_owner_has_made_is_alive(temporary: Path) -> None:
    with Owner() as owner:
        folder = owner.folder("replication-harness")
        process = owner.popen(["sleep", "60"])
        assert found("folder", folder.name) == ["alive"]
        assert found("process", f"({process.pid})") == ["alive"]


def test_folders_of_dead_owners_and_of_other_machines(temporary: Path) -> None:
    dead = temporary / f"replication-harness-{of_the_dead()}-abcdef01"
    elsewhere = temporary / f"replication-harness-{'0' * 8}{new_marker()[8:]}-abcdef01"
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
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, MARKER_VARIABLE: of_the_dead()})
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


def test_a_number_that_another_process_has_by_now_is_spared(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, MARKER_VARIABLE: of_the_dead()})
    try:
        monkeypatch.setattr(dead_runs, "started", lambda pid: "before")
        (left,) = [each for each in remnants(None) if each.name == f"sleep ({process.pid})"]
        monkeypatch.undo()
        left.remove()
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_an_owner_whose_watchdog_was_killed_is_alive(temporary: Path) -> None:
    with Owner() as owner:
        folder = owner.folder("replication-harness")
        owner._watchdog.kill()
        owner._watchdog.wait()
        assert found("folder", folder.name) == ["alive"]


def test_an_owner_that_started_while_others_were_looked_for_is_alive(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the processes have been listed, before the folders are."""
    owners: list[Owner] = []
    real = dead_runs._folders

    def late() -> Iterator[Remnant]:
        owners.append(Owner())
        owners[0].folder("replication-harness")
        return real()

    monkeypatch.setattr(dead_runs, "_folders", late)
    try:
        assert [each.state for each in remnants(None) if each.what == "folder"] == ["alive"]
    finally:
        owners[0].close()


def test_markers_of_other_places_and_forms() -> None:
    assert marker_state(new_marker()) == "alive"
    assert marker_state(of_the_dead()) == "dead"
    assert marker_state("0" * 32) == marker_state("f" * 16) == marker_state("") == "elsewhere"


def test_what_turns_up_while_it_is_removed_is_shown_as_well(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{temporary}/none")
    monkeypatch.setattr(dead_runs, "_processes", lambda: iter(()))  # what others leave on this machine is not ours
    first, second = (temporary / f"replication-harness-{of_the_dead()}-{name}" for name in ("01", "02"))
    first.mkdir()
    real = dead_runs.remove_all

    def meanwhile(found: Iterable[Remnant]) -> tuple[str, ...]:
        if first.exists():
            second.mkdir()
        return real(found)

    monkeypatch.setattr(dead_runs, "remove_all", meanwhile)
    assert run_command_line(["clean"]) == 7  # there is no such daemon, after which all else is looked for
    shown = capsys.readouterr().out
    assert str(second) in shown.partition("found since")[2]
    assert "2 removed" in shown
    assert not [*temporary.iterdir()]


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
