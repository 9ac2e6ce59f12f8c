"""Syncs are counted in the replica's log: where that is missing, the verdict is unknown, never "no sync"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import observation
from harness.options import Options
from harness.runner import run
from harness.runtime.deployment import ServersDeployment

PAIR = Path("scenarios/one_replica/list_append.yaml")


def emptied(log: Path) -> None:
    log.write_bytes(b"")


def shortened(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:100])


@pytest.mark.parametrize(
    ("harm", "said"),
    [(Path.unlink, "can't be read: No such file"), (emptied, "is empty"), (shortened, "is shorter than it was")],
)
def test_it_is_unknown(
    harm: Callable[[Path], None], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = observation.run_cycle

    def harmed(cycle: Any, *more: Any, **others: Any) -> Any:
        assert isinstance(cycle.deployment, ServersDeployment)
        harm(cycle.deployment._server("b").plan.log)
        return real(cycle, *more, **others)

    monkeypatch.setattr(observation, "run_cycle", harmed)
    result = run(harness.load(PAIR), Options(out=tmp_path))
    assert result.report["verdict"] == "unknown"
    assert result.exit_code == 6
    assert said in str(result.report["doubts"])
