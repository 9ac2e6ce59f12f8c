"""Every toxic on every link that it fits: three writers at once, no alarm, no hang, and each fault met something."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.fault.toxic import LOSS
from harness.options import Options
from harness.runner import run
from harness.scenario.loader import load
from harness.scenario.toxics import TOXICS

FIGURES = {
    "latency": "latency_ms: 20, jitter_ms: 10",
    "bandwidth": "kb_per_s: 100",
    "slicer": "average_bytes: 20, variation_bytes: 10, delay_us: 5",
    "slow_close": "delay_ms: 50",
    "timeout": "timeout_ms: 50",
    "reset_peer": "timeout_ms: 20",
    "limit_data": "limit_bytes: 3000",
    "cut": "",
}
BREAKING = {"timeout", "reset_peer", "limit_data", "cut"}
READING = set(FIGURES) - BREAKING | {"limit_data"}  # what lets a reader come to its end


def run_it(folder: Path, link: str, toxic: str, figures: str, moments: str):
    path = folder / "toxic.yaml"
    path.write_text(
        "version: 1\ntitle: A toxic on a link\n"
        "topology: {nodes: {a: {port: 6379}, b: {replica_of: a, port: 6380}}}\n"
        "workload:\n"
        "  - {key: k, values: 6000, batch: {shape: pipeline, size: 100}}\n"
        "  - {key: k, values: 600, db: 3, batch: {shape: multi, size: 7}}\n"
        "  - {key: k2, values: 1, db: 3, batch: {shape: single}}\n"
        f"faults: [{{{moments}, link: {link}, toxic: {toxic}{', ' if figures else ''}{figures}}}]\n"
    )
    return run(load(path), Options(out=folder / "runs", fault_proxy="embedded"))


def test_all_toxics_are_here():
    """But the loss of packets, which only containers have: its tests are those of that runtime."""
    assert set(FIGURES) == set(TOXICS) - {LOSS}


@pytest.mark.parametrize("toxic", FIGURES)
@pytest.mark.parametrize("link", ["a->b", "client->a"])
def test_what_lasts_for_a_while(tmp_path, link, toxic):
    result = run_it(tmp_path, link, toxic, FIGURES[toxic], "at: 20%, until: 0.3s")
    assert (result.report["verdict"], result.exit_code) == ("valid", ExitCode.AS_EXPECTED), result.report
    unanswered = result.report["unknown"]
    assert isinstance(unanswered, int)
    assert (unanswered > 0) == (link == "client->a" and toxic in BREAKING)


@pytest.mark.parametrize("toxic", ["bandwidth", "timeout"])
@pytest.mark.parametrize("link", ["a->b", "client->a"])
def test_what_stalls(tmp_path, link, toxic):
    figures = {"bandwidth": "kb_per_s: 0", "timeout": "timeout_ms: 0"}[toxic]
    result = run_it(tmp_path, link, toxic, figures, "at: 20%, until: 0.3s")
    assert (result.report["verdict"], result.exit_code) == ("valid", ExitCode.AS_EXPECTED), result.report


@pytest.mark.parametrize("toxic", sorted(READING))
def test_what_lasts_for_the_reading(tmp_path, toxic):
    result = run_it(tmp_path, "client->b", toxic, FIGURES[toxic], "at: 10%")
    assert (result.report["verdict"], result.exit_code) == ("valid", ExitCode.AS_EXPECTED), result.report


@pytest.mark.parametrize("toxic", sorted(set(FIGURES) - READING))
def test_what_lets_nobody_read_leaves_unknown(tmp_path, toxic):
    result = run_it(tmp_path, "client->b", toxic, FIGURES[toxic], "at: 10%")
    assert (result.report["verdict"], result.exit_code) == ("unknown", ExitCode.UNKNOWN), result.report
    assert result.verdict is not None
    assert "workload.0 on b could not be read" in result.verdict.doubts[0]
