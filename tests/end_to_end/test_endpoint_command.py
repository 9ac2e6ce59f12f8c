"""`harness endpoint` from outside: its three commands, how they end, and what they leave."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import run_command_line
from harness.endpoint.address import Endpoint
from harness.resp.connection import CannotConnect, Connection
from harness.resp.replies import ErrorReply, Status
from harness.runtime.readiness import wait_until
from tests.support.servers import running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running("valkey-server", tmp_path_factory.mktemp("server")) as endpoint:
        yield endpoint


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the URL it serves."""
    command = [sys.executable, "-m", "harness", "endpoint", "serve", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().split()[-1]
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def upstream(server: Endpoint) -> str:
    return f"redis://{server.host}:{server.port}"


def test_serve_until_it_is_interrupted(server: Endpoint) -> None:
    arguments = ("redis-enterprise", "--upstream", upstream(server), "--port", "0", "--wording", "enterprise-old")
    with serving(*arguments) as (process, url), Connection(Endpoint.parse(url)) as connection:
        assert connection.command("ROLE") == ErrorReply("ERR command is not allowed")
        assert connection.command("PING") == Status("PONG")
    assert process.returncode == 0
    with pytest.raises(CannotConnect):
        Connection(Endpoint.parse(url))


def test_serve_with_tls_and_leave_nothing_even_when_killed(server: Endpoint) -> None:
    arguments = ("azure-managed-redis", "--cluster-policy", "enterprise", "--upstream", upstream(server), "--port", "0")
    with serving(*arguments) as (process, url):
        endpoint = Endpoint.parse(url)
        assert endpoint.tls
        assert endpoint.ca_file is not None
        with Connection(endpoint) as connection:
            assert connection.command("CLUSTER", "INFO") == ErrorReply("ERR command is not allowed")
        process.kill()
        process.wait()
    folder = Path(endpoint.ca_file).parent
    wait_until(lambda: not folder.exists(), deadline_s=20, what=f"{folder} to go")
    with pytest.raises(CannotConnect):
        Connection(endpoint)


@pytest.mark.parametrize(("host", "reached"), [("::1", "::1"), ("0.0.0.0", "127.0.0.1")])
def test_serve_on_another_address(server: Endpoint, host: str, reached: str) -> None:
    arguments = ("redis-enterprise", "--upstream", upstream(server), "--port", "0", "--host", host, "--tls")
    with serving(*arguments) as (_, url):
        endpoint = replace(Endpoint.parse(url), host=reached)
        with Connection(endpoint) as connection:
            assert connection.command("PING") == Status("PONG")


def test_probe(server: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["endpoint", "probe", upstream(server)]) == 0
    assert capsys.readouterr().out == "stock oss\n  it refuses: none of what was asked\n"
    assert run_command_line(["endpoint", "probe", upstream(server), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "stock"


def test_profiles(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["endpoint", "profiles", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[1]["profile"] == "redis-enterprise"
    assert rows[1]["port"] == 10878
    assert run_command_line(["endpoint", "profiles"]) == 0
    assert "elasticache-serverless" in capsys.readouterr().out
    assert run_command_line(["endpoint", "profiles", "--gaps"]) == 0
    assert "  - Active-Active databases\n" in capsys.readouterr().out
    assert run_command_line(["endpoint", "profiles", "--wordings"]) == 0
    assert "ERR command is not allowed" in capsys.readouterr().out


def test_gaps_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["endpoint", "profiles", "--gaps", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert "redis-enterprise" in [one["profile"] for one in told]
    assert all(any("loadstring" in gap for gap in one["gaps"]) for one in told if one["profile"] != "oss")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["serve", "redis-enterprize", "--upstream", "redis://h"],
            7,
            "no profile 'redis-enterprize'; expected one of: oss,",
        ),
        (
            ["serve", "elasticache", "--upstream", "redis://h", "--cluster-policy", "x"],
            7,
            "elasticache has no policies",
        ),
        (["serve", "oss", "--upstream", "h"], 4, "--upstream: "),
        (["serve", "oss", "--upstream", "redis://h", "--wording", "x"], 4, "--wording x: expected one of redis-7"),
        (["serve", "oss"], 4, "Missing option '--upstream'"),
        (["probe", "redis://127.0.0.1:1"], 7, "cannot connect to 127.0.0.1:1"),
        (["probe", "nonsense"], 4, "URL: "),
        (["serve", "oss", "--upstream", "redis://127.0.0.1:1/5"], 4, "clients choose their database themselves"),
        (["serve", "oss", "--upstream", "redis://127.0.0.1:1", "--idle-timeout", "nan"], 4, "expected a number of"),
        (["profiles", "--wordings", "--json"], 4, "--wordings stands alone"),
    ],
)
def test_what_is_wrong(arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["endpoint", *arguments]) == code
    assert message in capsys.readouterr().err


def test_an_upstream_that_is_down(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["endpoint", "serve", "oss", "--upstream", "redis://127.0.0.1:1", "--port", "0"]) == 7
    assert "the upstream server can't be used: 127.0.0.1:1" in capfd.readouterr().err
