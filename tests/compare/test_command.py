"""`harness compare` as users have it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from harness.cli import run_command_line
from harness.compare.json_schema import SCHEMA
from harness.endpoint.address import Endpoint
from tests.compare.made import client_of, on_both
from tests.support.servers import running

Pair = tuple[Endpoint, Endpoint]


def urls(pair: Pair) -> list[str]:
    return [f"redis://127.0.0.1:{endpoint.port}" for endpoint in pair]


def test_differences_as_lines_of_json_and_in_a_page(
    pair: Pair, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    on_both(pair, lambda client: client.rpush("k", "a", b"\xff<b>", "c"))
    with client_of(pair[1]) as client:
        client.rpop("k", 2)
    page = tmp_path / "report.html"
    code = run_command_line(["compare", *urls(pair), "--json", "--pause", "0.01", "--html", str(page)])
    out, err = capfd.readouterr()
    first, last = map(json.loads, out.splitlines())
    for line in (first, last):
        jsonschema.validate(line, SCHEMA)
    assert code == 1
    assert first == {
        "db": 0,
        "key": "k",
        "type": "list",
        "kind": "tail_missing",
        "index": 1,
        "expected": "\\xff<b>",
        "found": None,
        "count": 2,
    }
    assert (last["verdict"], last["exit_code"], last["differences"]) == ("different", 1, 1)
    assert last["totals"]["keys"] == 1
    assert "DIFFERENT: 1 difference in 1 key" in err
    html = page.read_text()
    assert "\\xff&lt;b&gt;" in html
    assert "http" not in html
    assert "DIFFERENT" in html


def test_equal_servers_in_a_terminal(pair: Pair, capfd: pytest.CaptureFixture[str]) -> None:
    on_both(pair, lambda client: client.set("k", "v"))
    assert run_command_line(["compare", *urls(pair)]) == 0
    out, _ = capfd.readouterr()
    assert out.startswith("EQUAL: B holds what A holds, and nothing else\nA redis://127.0.0.1:")
    assert "1 key compared, 1 of B looked up on A" in out


def test_no_password_is_shown(pair: Pair, capfd: pytest.CaptureFixture[str]) -> None:
    with client_of(pair[0]) as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">s3cret", "~*", "+@all")
    on_both(pair, lambda client: client.set("k", "v"))
    a = urls(pair)[0].replace("redis://", "redis://reader:s3cret@")
    assert run_command_line(["compare", a, urls(pair)[1], "--json"]) == 0
    assert run_command_line(["compare", a.replace("s3cret", "wr0ng"), urls(pair)[1]]) == 7
    out, err = capfd.readouterr()
    assert "s3cret" not in out + err
    assert "wr0ng" not in out + err
    assert "the user or password is refused" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--db", "a"), "--db a: expected numbers with commas between them, as in 0,3"),
        (("--sample", "0%"), "--sample 0%: expected a share from 0.01% to 100%, as in 5%"),
        (("--sample", "5"), "--sample 5: expected a share"),
        (("--tolerance", "nan"), "'nan' is not in the range 0<=x<=86400.0"),
        (("--tolerance", "inf"), "inf is not in the range 0<=x<=86400.0"),
        (("--deadline", "nan"), "'nan' is not in the range"),
        (("--pause", "nan"), "'nan' is not in the range"),
        (("--html", "/nowhere/r.html"), "--html /nowhere/r.html: it can't be written: there is no folder /nowhere"),
    ],
)
def test_bad_options(pair: Pair, options: tuple[str, str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["compare", *urls(pair), *options]) == 4
    assert message in capfd.readouterr().err


def test_a_password_that_is_not_given(pair: Pair, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with running("valkey-server", tmp_path, "requirepass s3cret") as locked:
        assert run_command_line(["compare", urls(pair)[0], f"redis://127.0.0.1:{locked.port}"]) == 7
    assert "a password is needed, and none was given" in capfd.readouterr().err


def test_a_server_that_takes_no_more_clients(pair: Pair, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with running("valkey-server", tmp_path) as full, client_of(full) as client:
        client.config_set("maxclients", 1)
        assert run_command_line(["compare", urls(pair)[0], f"redis://127.0.0.1:{full.port}"]) == 7
    assert "max number of clients reached" in capfd.readouterr().err


@pytest.mark.alone
def test_ctrl_c_ends_it_within_a_second(pair: Pair) -> None:
    on_both(pair, lambda client: client.mset({f"k{number}": "v" for number in range(5_000)}))
    words = [sys.executable, "-m", "harness", "compare", *urls(pair), "--max-commands-per-second", "500"]
    with client_of(pair[1]) as client:
        began = int(client.info("stats")["total_commands_processed"])
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + 20
            while int(client.info("stats")["total_commands_processed"]) - began < 1_000:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.05)
            stopped = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=10)
            assert time.monotonic() - stopped < 1.5  # of which the interpreter's own end is a part
    assert process.returncode == 2
    assert b"interrupted" in err
