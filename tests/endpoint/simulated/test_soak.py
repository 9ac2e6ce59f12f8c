"""Many clients at once, for a moment; the full form is a benchmark of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "endpoint_soak.py"


def test_two_hundred_clients() -> None:
    command = [sys.executable, str(SCRIPT), "--clients", "200", "--seconds", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 clients for 3 s" in done.stdout


def test_a_limit_that_is_exceeded_is_told() -> None:
    command = [sys.executable, str(SCRIPT), "--clients", "1", "--seconds", "1", "--limit-mb", "1"]
    assert subprocess.run(command, capture_output=True, timeout=300, check=False).returncode == 1
