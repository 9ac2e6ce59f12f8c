"""Why there is no Docker, each reason with what to do; and how long it may take to find out."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from harness.engine.daemon import explanation, open_daemon, socket_path
from harness.errors import SetupError


def use(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://me@example.org", "http://localhost:2375"])
def test_a_daemon_elsewhere(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(SetupError, match=rf"DOCKER_HOST names a daemon on another machine \({host}\).*unset it"):
        open_daemon()


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
    class Refusing(socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    use(monkeypatch, tmp_path / "s")
    monkeypatch.setattr("harness.engine.daemon.socket.socket", Refusing)
    with pytest.raises(SetupError, match=r"may not use the Docker daemon's socket .*usermod -aG docker"):
        open_daemon()


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
