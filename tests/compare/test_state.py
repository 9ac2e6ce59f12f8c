"""A comparison that is killed goes on where it was, and reads nothing twice that was done."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.compare.state import resume
from harness.endpoint.address import Endpoint
from harness.errors import UsageError
from tests.compare.made import client_of, look, on_both

Pair = tuple[Endpoint, Endpoint]


def commands_at(pair: Pair) -> int:
    """How many commands both servers have executed."""
    total = 0
    for endpoint in pair:
        with client_of(endpoint) as client:
            total += int(client.info("stats")["total_commands_processed"])
    return total


def compare_command(pair: Pair, state: Path) -> list[str]:
    urls = [f"redis://127.0.0.1:{endpoint.port}" for endpoint in pair]
    options = ["--json", "--rounds", "1", "--max-commands-per-second", "20000", "--state", str(state)]
    return [sys.executable, "-m", "harness", "compare", *urls, *options]


def test_killed_in_the_middle(pair: Pair, tmp_path: Path) -> None:
    def fill(client: object) -> None:
        pipe = client.pipeline(transaction=False)  # type: ignore[attr-defined]
        for number in range(16_000):
            pipe.rpush(f"list:{number}", number)
        pipe.rpush("large", *range(100_000))
        pipe.execute()

    on_both(pair, fill)
    with client_of(pair[1]) as client:
        client.lset("large", 98_765, "X")
        client.delete("list:15999", "list:3")
    state = tmp_path / "state.json"
    before = commands_at(pair)
    whole = subprocess.run(compare_command(pair, state), capture_output=True, text=True, timeout=60, check=False)
    undisturbed = commands_at(pair) - before
    assert whole.returncode == 1
    assert not state.exists(), "what is done needs no state"

    before = commands_at(pair)
    command = compare_command(pair, state)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while commands_at(pair) - before < undisturbed // 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert state.exists()
    again = subprocess.run(compare_command(pair, state), capture_output=True, text=True, timeout=60, check=False)
    assert commands_at(pair) - before < 1.1 * undisturbed + 1_000
    assert again.returncode == 1
    assert lines(again.stdout)[:-1] == lines(whole.stdout)[:-1]
    assert [row["key"] for row in lines(again.stdout)[:-1]] == ["large", "list:15999", "list:3"]
    assert lines(again.stdout)[-1]["totals"]["keys"] == lines(whole.stdout)[-1]["totals"]["keys"]


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_state_of_another_question_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text(json.dumps({"version": 1, "about": {"keys": "a*"}}))
    with pytest.raises(UsageError, match=r"it belongs to a comparison with another keys \('a\*', now None\)"):
        resume(file, {"keys": None})
    file.write_text(json.dumps({"version": 9, "about": {}}))
    with pytest.raises(UsageError, match="its version is 9, 1 was expected"):
        resume(file, {})
    file.write_text("[]")
    with pytest.raises(UsageError, match="this is no state of a comparison"):
        resume(file, {})


def test_without_a_file_it_begins_anew(pair: Pair, tmp_path: Path) -> None:
    assert not resume(tmp_path / "none", {}).begun
    on_both(pair, lambda client: client.set("k", "v"))
    assert look(pair).verdict == "equal"
