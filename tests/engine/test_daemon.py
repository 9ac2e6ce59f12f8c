"""Why there is no Docker, each reason with what to do; and how long it may take to find out."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.engine.daemon import explanation, open_daemon, socket_path
from harness.errors import SetupError
from harness.surroundings import examine


def use(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375"),
        ("ssh://me:hunter2@example.org/?token=hunter2", "ssh://example.org"),
        ("tcp://hunter2@[fd00::1]:2376", "tcp://[fd00::1]:2376"),
        ("tcp://me:hunter2@[::1:99", "a form that is not shown, since it may hold a password"),
    ],
)
def test_a_daemon_elsewhere_is_named_without_credentials(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], host: str, shown: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(SetupError) as caught:
        open_daemon()
    assert str(caught.value).startswith(f"DOCKER_HOST names a daemon on another machine ({shown}); ")
    assert "unset it" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in "".join(finding.text for finding in examine())
    assert "hunter2" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("tcp://127.0.0.1:1", r"a daemon that is reached through TCP \(tcp://127.0.0.1:1\)"),
        ("http://me:hunter2@localhost:2375", r"a daemon that is reached through TCP \(http://localhost:2375\)"),
        ("garbage", "holds no address of a Docker daemon: expected unix:///PATH"),
        ("me:hunter2@example.org:2375", "holds no address of a Docker daemon: expected unix:///PATH"),
    ],
)
def test_what_names_no_socket(monkeypatch: pytest.MonkeyPatch, host: str, said: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(SetupError, match=said) as caught:
        open_daemon()
    assert "unset it" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "another machine" not in str(caught.value)


def test_the_socket_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    assert socket_path() == "/run/user/1000/docker.sock"


def test_no_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, tmp_path / "none")
    with pytest.raises(SetupError, match=r"no Docker daemon listens on .*/none: start it .*--runtime local"):
        open_daemon()


def test_a_socket_whose_daemon_has_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    use(monkeypatch, tmp_path / "s")
    with pytest.raises(SetupError, match="no Docker daemon listens on"):
        open_daemon()


def test_a_socket_that_this_user_may_not_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as private:
        private.bind(str(tmp_path / "s"))
        private.listen()
        (tmp_path / "s").chmod(0)
        use(monkeypatch, tmp_path / "s")
        with (
            an_ordinary_user(tmp_path),
            pytest.raises(SetupError, match=r"may not use the Docker daemon's socket .*usermod -aG docker"),
        ):
            open_daemon()


@contextmanager
def an_ordinary_user(folder: Path) -> Iterator[None]:
    """Nobody, where we are root: whom no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    for each in (folder, *folder.parents[:3]):
        if each != Path(tempfile.gettempdir()) and each.stat().st_uid == 0 and each.name.startswith("pytest-"):
            each.chmod(0o755)
    folder.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.alone
def test_a_daemon_that_hangs_is_given_up_within_its_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "s"))
        deaf.listen()
        use(monkeypatch, tmp_path / "s")
        began = time.monotonic()
        with pytest.raises(SetupError, match=r"accepts connections but gave no answer within 3 s: restart it"):
            open_daemon()
        assert time.monotonic() - began < 10


def test_a_full_disk_is_told_with_what_to_do() -> None:
    assert explanation(Exception("write x: no space left on device")).endswith("docker system prune shows what can go")
