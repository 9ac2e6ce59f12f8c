"""What keeps a run in containers from being one, each with its own message, exit code 7 and nothing left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engine.daemon import daemon
from harness.runtime.labels import RUN
from tests.support.daemons import own_daemon
from tests.support.docker import NOTHING, docker_client, engine_image, inventory

LIST = Path("scenarios/one_replica/list_append.yaml").absolute()


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name leaves room for a socket's."""
    return tmp_path_factory.mktemp("d")


def refused(folder: Path, *words: str | Path, within_s: float = 240) -> str:
    """What `harness run … --runtime container` says, which must end with 7 and leave no folder."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "harness", "run", *words, "--runtime", "container", "--out", folder / "runs"]
    environment = {**os.environ, "TMPDIR": str(temporary), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, env=environment, check=False)
    assert done.returncode == 7, done.stderr
    assert list(temporary.iterdir()) == []
    assert not (folder / "runs").exists() or not [each for each in (folder / "runs").rglob("*") if each.is_file()]
    assert "Traceback" not in done.stderr
    return done.stderr


def test_no_daemon(short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{short}/none")
    assert f"no Docker daemon listens on {short}/none: start it" in refused(tmp_path, LIST)


def test_a_daemon_that_hangs(short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(short / "s"))
        deaf.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{short}/s")
        assert "accepts connections but gave no answer within 3 s: restart it" in refused(tmp_path, LIST)


def test_a_daemon_on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://me:hunter2@10.0.0.1:2375")
    said = refused(tmp_path, LIST)
    assert "names a daemon on another machine (tcp://10.0.0.1:2375)" in said
    assert "hunter2" not in said


@pytest.mark.container
def test_an_image_that_can_not_be_had(tmp_path: Path) -> None:
    with docker_client() as client:
        said = refused(tmp_path, LIST, "--image", "redis-7.2=localhost:1/none:1", "--run-id", "no-image")
        assert "the image localhost:1/none:1 can't be pulled: " in said
        assert inventory(client, f"{RUN}=no-image") == NOTHING


@pytest.fixture
def saved_image() -> Iterator[bytes]:
    with docker_client() as client:
        yield b"".join(client.images.get(engine_image(client).reference).save(named=True))


@pytest.mark.container
def test_a_daemon_whose_disk_is_full(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved_image: bytes
) -> None:
    """Its image is there, and a container's files are not to be had: the rest of the disk is taken."""
    with own_daemon(short, "70m", monkeypatch), daemon() as client:
        (image,) = client.images.load(saved_image)
        fill = client.volumes.create("fill")
        subprocess.run(
            ["nsenter", f"--mount=/proc/{(short / 'pid').read_text()}/ns/mnt", "sh", "-c",
             f"cat /dev/zero >{fill.attrs['Mountpoint']}/zeros"],
            check=False, capture_output=True, timeout=60,
        )  # fmt: skip
        before = inventory(client)
        said = refused(tmp_path, LIST, "--image", f"valkey-9.1.2={image.tags[0]}")
        assert "no space left on device; the daemon's disk is full: docker system prune shows what can go" in said
        assert inventory(client) == before


@pytest.mark.container
def test_a_daemon_that_does_not_see_our_files(tmp_path: Path) -> None:
    """As for a job in a container of the host's network that was given the daemon's socket."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("other files under the same name need root and unshare")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    apart = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$TMPDIR" && exec "$@"', "sh"]
    command = [*apart, sys.executable, "-m", "harness", "run", LIST, "--runtime", "container", "--run-id", "unseen"]
    with docker_client() as client:
        engine_image(client)
        done = subprocess.run(
            [*command, "--out", tmp_path / "runs"], capture_output=True, text=True, timeout=240, check=False,
            env={**os.environ, "TMPDIR": str(temporary)},
        )  # fmt: skip
        assert inventory(client, f"{RUN}=unseen") == NOTHING
    assert done.returncode == 7, done.stderr
    assert "the Docker daemon doesn't see this process's files" in done.stderr
    assert list(temporary.iterdir()) == []


@pytest.mark.container
def test_a_daemon_whose_networks_are_not_ours(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved_image: bytes
) -> None:
    """As for a process in a container that was given the daemon's socket."""
    why = "(does this run inside a container, or the daemon inside a virtual machine or without root?)"
    with own_daemon(short, "200m", monkeypatch), daemon() as client:
        (image,) = client.images.load(saved_image)
        before = inventory(client)
        said = refused(tmp_path, LIST, "--image", f"valkey-9.1.2={image.tags[0]}")
        assert "node a can't be reached at 127." in said
        assert why in said
        assert inventory(client) == before
