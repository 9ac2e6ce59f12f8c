"""`--print newest-first` of keys that were dealt to shards: merged, every value once, the newest first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = Path(__file__).parents[2] / "scenarios" / "cluster" / "sharded_lists.yaml"


@pytest.mark.parametrize("values", [30_001, pytest.param(3_000_000, marks=pytest.mark.slow)])
def test_it_counts_down(tmp_path: Path, values: int) -> None:
    settings = [f"workload.values={values}", "workload.producers=4", "expect.newest_first=5"]
    words = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "harness", "run", str(SCENARIO), *words, "--ports", "any"]
    done = subprocess.run(
        [*command, "--print", "newest-first", "--out", str(tmp_path)], capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == b"".join(b"%d\n" % number for number in range(values, 0, -1))
