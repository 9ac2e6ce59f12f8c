"""A comparison that is killed goes on where it was, and reads nothing twice that was done."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.compare.comparison import _about, compare
from harness.compare.side import look_at
from harness.compare.state import SCANNED, Progress, resume, save
from harness.endpoint.address import Endpoint
from harness.errors import UsageError
from tests.compare.made import QUICK, client_of, look, on_both
from tests.compare.pretend import pretending, without_run_id

Pair = tuple[Endpoint, Endpoint]


def commands_at(pair: Pair) -> int:
    """How many commands both servers have executed."""
    total = 0
    for endpoint in pair:
        with client_of(endpoint) as client:
            total += int(client.info("stats")["total_commands_processed"])
    return total


def compare_command(pair: Pair, state: Path, most_per_s: int = 20_000) -> list[str]:
    urls = [f"redis://127.0.0.1:{endpoint.port}" for endpoint in pair]
    options = ["--json", "--rounds", "1", "--max-commands-per-second", str(most_per_s), "--state", str(state)]
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
    rows = killed_and_taken_up(pair, tmp_path / "state.json", 20_000)
    assert [row["key"] for row in rows] == ["large", "list:15999", "list:3"]


def test_killed_in_the_middle_of_one_large_hash(pair: Pair, tmp_path: Path) -> None:
    def fill(client: object) -> None:
        for first in range(0, 60_000, 1_000):
            client.hset("h", mapping={f"f{number}": number for number in range(first, first + 1_000)})  # type: ignore[attr-defined]

    on_both(pair, fill)
    with client_of(pair[1]) as client:
        client.hdel("h", "f3", "f59999")
        client.hset("h", "f30000", "X")
    rows = killed_and_taken_up(pair, tmp_path / "state.json", 600)
    assert [(row["kind"], row["count"]) for row in rows] == [("value", 1), ("field_missing", 2)]


def killed_and_taken_up(pair: Pair, state: Path, most_per_s: int) -> list[dict[str, object]]:
    """Compare undisturbed; then again, killed in the middle and taken up: the same answer, and hardly more commands."""
    command = compare_command(pair, state, most_per_s)
    before = commands_at(pair)
    whole = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    undisturbed = commands_at(pair) - before
    assert whole.returncode == 1
    assert not state.exists(), "what is done needs no state"

    before = commands_at(pair)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline, looks = time.monotonic() + 60, 1
        while commands_at(pair) - before < undisturbed // 2:
            assert time.monotonic() < deadline
            time.sleep(0.03)
            looks += 1
        process.send_signal(signal.SIGKILL)
    assert state.exists()
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    looking = 2 * looks + 150  # our own looks at the counters, and finding out twice what the servers are
    assert commands_at(pair) - before < 1.1 * undisturbed + looking
    assert again.returncode == 1
    assert lines(again.stdout)[:-1] == lines(whole.stdout)[:-1]
    assert lines(again.stdout)[-1]["totals"]["keys"] == lines(whole.stdout)[-1]["totals"]["keys"]  # type: ignore[index]
    return lines(again.stdout)[:-1]


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_state_of_another_question_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text(json.dumps({"version": 1, "about": {"keys": "a*"}}))
    with pytest.raises(UsageError, match=r"it belongs to another comparison: keys were 'a\*', now None"):
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


def test_a_server_that_hides_its_run_id_is_not_gone_on_with_in_the_middle(pair: Pair, tmp_path: Path) -> None:
    """Behind the address another server may stand by now, to which the cursor means other keys."""
    on_both(pair, lambda client: client.mset({f"k{number}": "v" for number in range(2_000)}))
    with client_of(pair[1]) as client:
        client.delete("k7", "k8", "k9")
    file = tmp_path / "state.json"
    with pretending(pair[0], without_run_id) as front:
        a, b = look_at("A", front, 10), look_at("B", pair[1], 10)
        for number, cursor in enumerate((SCANNED, "1024")):
            progress = Progress(_about((a, b), QUICK), begun=True, cursor=cursor)
            save(file, progress)
            outcome = compare(front, pair[1], replace(QUICK, different_servers=True), state=file)
            assert outcome.counts == {"missing_key": 3}, number
            assert "was begun anew" in outcome.notes[-1]
