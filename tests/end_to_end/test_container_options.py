"""Options about containers that change nothing, or that can't be followed, are refused at once: no Docker is needed."""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path

import pytest

from harness.cli import run_command_line
from harness.runtime import dead_runs
from harness.runtime.container import why_another
from tests.support.fake_daemon import fake_daemon

LIST = "scenarios/one_replica/list_append.yaml"
LATENCY = "scenarios/one_replica/latency_on_link.yaml"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run F --image redis-7.0.15=x", "--image redis-7.0.15: only containers run images; give --runtime container"),
        (
            "run F --runtime container --engine valkey-9.1.2 --image redis-7.0.15=x",
            "--image redis-7.0.15: no node runs redis-7.0.15, but valkey-9.1.2; leave it out",
        ),
        (
            "up F --runtime container --image redis-7.0.15=x --image valkey=y -- true",
            "--image valkey: no node runs valkey, but redis-7.0.15",
        ),
        ("run F --runtime container --image redis-7.0.15=UPPER/Bad:ref:x", "no image can be called 'UPPER/Bad:ref:x'"),
        ("run F --runtime local --fault-proxy nonsense", "there is no fault proxy 'nonsense'; expected embedded, auto"),
        ("run F --runtime local --fault-proxy /nope", "there is no fault proxy '/nope'; expected embedded, auto"),
        ("images build --mirror notaurl redis-7.0.15", "is no URL; expected one like http://HOST/debian"),
        ("engines fetch --mirror http:/x redis-7.0.15", "is no URL; expected one like http://HOST/debian"),
        ("clean --run-id x", "--run-id goes with --endpoint"),
    ],
)
def test_what_is_refused(words: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = [LIST if word == "F" else word for word in words.split()]
    if line[0] == "run":
        line += ["--out", str(tmp_path)]
    assert run_command_line(line) == 4
    told = capfd.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err
    assert (told.out, list(tmp_path.iterdir())) == ("", [])


def test_a_program_that_is_no_fault_proxy(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["run", LATENCY, "--fault-proxy", "/bin/true", "--out", str(tmp_path)]) == 7
    assert "/bin/true ended with code 0; its last lines:\n(none)\nis it a toxiproxy-server?" in capfd.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="nothing here is always full")
def test_a_full_disk_behind_standard_output() -> None:
    import subprocess

    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "list", "scenarios"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr) == (7, "harness: standard output can't be written: No space left on device\n")


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is left is looked for in a folder of this test's own, and nowhere else on this machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(dead_runs, "_processes", lambda: iter(()))
    return tmp_path


class TestCleanWithoutDocker:
    """It never says that nothing is left where it could not look."""

    def test_a_daemon_that_does_not_listen(
        self, alone: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{alone}/none")
        assert run_command_line(["clean"]) == 7
        told = capfd.readouterr()
        assert "no dead run" not in told.out
        assert "containers and networks of dead runs could not be looked for: no Docker daemon listens" in told.err

    @pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "garbage"])
    def test_one_that_is_out_of_reach(
        self, alone: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], host: str
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", host)
        assert run_command_line(["clean"]) == 7
        assert "no dead run" not in capfd.readouterr().out

    def test_one_that_answers_rubbish(
        self,
        alone: Path,
        tmp_path_factory: pytest.TempPathFactory,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        with fake_daemon(tmp_path_factory.mktemp("d") / "s", lambda method, path: (200, "rubbish"), monkeypatch):
            assert run_command_line(["clean"]) == 7
        told = capfd.readouterr()
        assert "no dead run" not in told.out
        assert "restart it, or use --runtime local" in told.err

    def test_a_machine_without_docker(
        self, alone: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("DOCKER_HOST", raising=False)
        monkeypatch.setattr("harness.engine.daemon.DEFAULT_SOCKET", f"{alone}/docker.sock")
        monkeypatch.setattr("testcontainers.core.docker_client.get_docker_host", lambda: None)
        assert run_command_line(["clean"]) == 0
        told = capfd.readouterr()
        assert "no Docker here" in told.err
        with socket.socket(socket.AF_UNIX) as left:  # somebody's daemon has been here
            left.bind(f"{alone}/docker.sock")
        assert run_command_line(["clean"]) == 7


@pytest.mark.parametrize(
    ("name", "engine", "is_another"),
    [
        ("redis-7.0.15", "redis-7.0.15", False),
        ("redis-7", "redis-7.0.15", False),
        ("redis-latest", "redis-8.0.2", False),
        ("redis-8.0.2-alpine", "redis-8.0.2", False),
        ("redis-8.2-rc1", "redis-8.1.240", False),
        ("mine", "valkey-9.1.2", False),
        ("redis-7.0.15", "valkey-9.1.2", True),
        ("redis-7.0.15", "redis-7.0.14", True),
        ("redis-7.0.1", "redis-7.0.15", True),
        ("redis", "valkey-9.1.2", True),
        ("redis-latest", "valkey-9.1.2", True),
    ],
)
def test_a_server_that_is_another(name: str, engine: str, is_another: bool) -> None:
    assert bool(why_another(name, engine)) == is_another
