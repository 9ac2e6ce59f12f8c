"""A scenario means the same on local processes and in containers: verdict, anomalies and sync counts.

A few always, every one of them only when asked for, since each runs twice: `-m slow`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import harness
from harness.options import Options
from harness.runner import run
from tests.support.docker import docker_client, engine_image, toxiproxy_image

# Plans are no scenarios; cutting a primary off from its peers is what local processes declare that they can't do.
SCENARIOS = sorted(
    set(Path("scenarios").rglob("*.yaml"))
    - set(Path("scenarios").glob("acceptance/*"))
    - set(Path("scenarios").glob("cluster/isolated_primary.yaml"))
)

# A broken guarantee, and the two ways in which a replica comes back after a cut: with and without a full sync.
ALWAYS = {"writable_replica", "cut_and_partial_resync", "backlog_too_small"}

pytestmark = pytest.mark.container


def cases() -> Iterator[object]:
    for path in SCENARIOS:
        marks = () if path.stem in ALWAYS else (pytest.mark.slow,)
        yield pytest.param(path, marks=marks, id=f"{path.parent.name}-{path.stem}")


@pytest.fixture(scope="module")
def engine() -> str:
    """The same on both, so that they differ in nothing else."""
    with docker_client() as client:
        toxiproxy_image(client)
        return engine_image(client).name


def report(path: Path, runtime: str, engine: str, folder: Path) -> Mapping[str, object]:
    return run(harness.load(path), Options(runtime=runtime, engines=(engine,), out=folder / runtime)).report


def compared(told: Mapping[str, object]) -> dict[str, object]:
    """What has to be the same. Of an anomaly: what, where and which, not in how many words."""
    anomalies = told["anomalies"]
    assert isinstance(anomalies, list)
    return {
        "verdict": told["verdict"],
        "as_expected": told["as_expected"],
        "unmet": told["unmet"],
        "anomalies": sorted((each["kind"], each["node"], each["key"], each["count"]) for each in anomalies),
        "sync": told["sync"],
        "acknowledged": told["acknowledged"],
        "read": None if told["unknown"] else told["read"],  # how many of the unanswered ones came is chance
    }


@pytest.mark.parametrize("path", list(cases()))
def test_verdict_anomalies_and_syncs(path: Path, engine: str, tmp_path: Path) -> None:
    local, container = (report(path, runtime, engine, tmp_path) for runtime in ("local", "container"))
    assert compared(container) == compared(local)
    assert container["not_applied"] == []
    assert container["skipped"] is None
