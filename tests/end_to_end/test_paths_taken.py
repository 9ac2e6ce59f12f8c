"""The scenarios of this repository take the paths that they are about, through either fault proxy alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.checker.evidence import Evidence, SyncCounts
from harness.errors import ExitCode
from harness.options import Options
from harness.report.store import RunDirectory
from harness.runner import Result, judge_again, run
from harness.scenario.loader import load
from tests.conformance.fault_proxy.choices import choice

SCENARIOS = Path(__file__).parent.parent.parent / "scenarios"
WITHOUT = SyncCounts(full_started=0, full_finished=0, partial=0)
ONE_PARTIAL = SyncCounts(full_started=0, full_finished=0, partial=1)
ONE_FULL = SyncCounts(full_started=1, full_finished=1, partial=0)
BROKEN_OFF = SyncCounts(full_started=2, full_finished=1, partial=0)
# scenario: resyncs by link, and what its faults have met, in the order of the file
PATHS: dict[str, tuple[dict[str, SyncCounts], list[str]]] = {
    "one_replica/latency_on_link": ({"a->b": WITHOUT}, ["latency"]),
    "one_replica/bandwidth_on_link": ({"a->b": WITHOUT}, ["bandwidth"]),
    "one_replica/sliced_stream": ({"a->b": WITHOUT}, ["slicer"]),
    "one_replica/cut_and_partial_resync": ({"a->b": ONE_PARTIAL}, ["cut"]),
    "one_replica/cut_inside_full_sync": ({"a->b": BROKEN_OFF}, ["cut", "bandwidth", "cut"]),
    "one_replica/backlog_too_small": ({"a->b": ONE_FULL}, ["cut"]),
    "one_replica/unknown_outcomes": ({"a->b": WITHOUT}, ["latency", "cut"]),
    "one_replica/many_databases": ({"a->b": ONE_PARTIAL}, ["cut"]),
    "chained_replicas/cut_in_the_middle": ({"a->b": ONE_PARTIAL, "b->c": WITHOUT}, ["cut"]),
    "fan_out/one_slow_replica": ({"a->b": WITHOUT, "a->c": WITHOUT, "a->d": WITHOUT}, ["latency"]),
    "enterprise_endpoint/latency_on_link": ({"a->b": WITHOUT}, ["latency"]),
}


def run_it(path: Path, folder: Path, proxy: str = "embedded") -> tuple[Result, Evidence, RunDirectory]:
    result = run(load(path), Options(out=folder / "runs", keep=True, fault_proxy=proxy))
    assert result.run_dir is not None
    directory = RunDirectory.open(result.run_dir)
    return result, directory.load_evidence(), directory


def log(directory: RunDirectory, node: str) -> str:
    return (directory.path / "logs" / f"{node}.log").read_text()


@pytest.mark.parametrize("proxy", ["embedded", "toxiproxy"])
@pytest.mark.parametrize("name", PATHS)
def test_a_scenario_takes_its_path(tmp_path, name, proxy):
    syncs, met = PATHS[name]
    result, evidence, _ = run_it(SCENARIOS / f"{name}.yaml", tmp_path, choice(proxy))
    assert (result.report["verdict"], result.exit_code) == ("valid", ExitCode.AS_EXPECTED), result.report
    assert evidence.syncs == syncs
    assert [fault.fault.split()[0] for fault in evidence.faults] == met
    assert [fault.why_not for fault in evidence.faults] == [""] * len(met)
    assert all(fault.bytes > 0 for fault in evidence.faults if fault.fault != "cut")
    assert {fault.link_seen_down for fault in evidence.faults if fault.fault == "cut"} <= {True}
    assert result.report["fault_proxy"]["kind"] == proxy
    assert result.run_dir is not None
    assert judge_again(result.run_dir).verdict == result.verdict


def test_the_logs_bear_out_a_partial_resync(tmp_path):
    _, _, directory = run_it(SCENARIOS / "one_replica/cut_and_partial_resync.yaml", tmp_path)
    assert "Partial resynchronization request from" in log(directory, "a")
    assert "Successful partial resynchronization with" in log(directory, "b")


def test_the_logs_bear_out_that_the_backlog_was_overrun(tmp_path):
    _, _, directory = run_it(SCENARIOS / "one_replica/backlog_too_small.yaml", tmp_path)
    assert "Unable to partial resync with replica" in log(directory, "a")


def test_the_logs_bear_out_a_full_sync_that_broke_off(tmp_path):
    _, evidence, directory = run_it(SCENARIOS / "one_replica/cut_inside_full_sync.yaml", tmp_path)
    told = log(directory, "b")
    assert "I/O error trying to sync with" in told or "connection lost" in told.lower()
    inside = evidence.faults[2]
    assert inside.at == "full_sync"
    assert 0 < inside.bytes < 4_000_000


NOT_TAKEN = {
    "the sync is over before it can be cut": (
        "faults: [{at: 10%, until: 60%, link: a->b, toxic: cut}, {at: full_sync, until: 0.1s, link: a->b, toxic: cut}]",
        r"cut on a->b at full_sync met nothing: (no RDB bytes were seen on the link|the full sync was over before .*)",
    ),
    "no full sync follows": (
        "faults: [{at: full_sync, until: 0.1s, link: a->b, toxic: cut}]",
        "cut on a->b at full_sync met nothing: full_sync never came",
    ),
    "the link never comes up again, for it was never down": (
        "faults: [{at: link_up, until: 0.1s, link: a->b, toxic: cut}]",
        "cut on a->b at link_up met nothing: link_up never came",
    ),
    "all is written before it begins": (
        "faults: [{at: 60s, until: 61s, link: a->b, toxic: latency, latency_ms: 5}]",
        "latency latency_ms=5 on a->b at 60s met nothing: 60s never came",
    ),
    "nothing is sent while it lasts": (
        "faults: [{at: 100%, until: 0.05s, link: a->b, toxic: latency, latency_ms: 5}]",
        "latency latency_ms=5 on a->b at 100% met nothing: no values were sent while it was active",
    ),
    "the link is down all the while": (
        "faults: [{at: 10%, until: 90%, link: a->b, toxic: cut},"
        " {at: 20%, until: 80%, link: a->b, toxic: latency, latency_ms: 5}]",
        "latency latency_ms=5 on a->b at 20% met nothing: the link was down all the while",
    ),
    "nobody uses that link then": (
        "faults: [{at: 10%, until: 90%, link: client->b, toxic: latency, latency_ms: 5}]",
        "latency latency_ms=5 on client->b at 10% met nothing: none of our own bytes went over the link",
    ),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_a_path_that_was_not_taken_leaves_unknown(tmp_path, monkeypatch, name):
    faults, doubt = NOT_TAKEN[name]
    if doubt.endswith("never came"):
        monkeypatch.setattr("harness.fault.nemesis.EVENT_WITHIN_S", 0.5)
    path = tmp_path / "not_taken.yaml"
    path.write_text(
        "version: 1\ntitle: Nothing happens\n"
        "topology: {nodes: {a: {port: 6379, config: {repl-backlog-size: 16kb}}, b: {replica_of: a, port: 6380}}}\n"
        f"workload: {{key: k, values: 5000, batch: {{shape: variadic, size: 10}}}}\n{faults}\n"
    )
    result, _, _ = run_it(path, tmp_path)
    assert result.exit_code == ExitCode.UNKNOWN
    assert result.verdict is not None
    (told,) = result.verdict.doubts
    assert re.fullmatch(doubt, told), told
    assert judge_again(result.run_dir).verdict == result.verdict  # type: ignore[arg-type]


def test_a_reader_over_a_slow_link_is_disturbed(tmp_path):
    path = tmp_path / "slow_reader.yaml"
    path.write_text(
        "version: 1\ntitle: The reader's own way is slow\n"
        "topology: {nodes: {a: {port: 6379}, b: {replica_of: a, port: 6380}}}\n"
        "workload: {key: k, values: 5000, batch: {shape: variadic, size: 10}}\n"
        "faults: [{at: 10%, link: client->b, toxic: latency, latency_ms: 20, direction: to_client}]\n"
    )
    result, evidence, _ = run_it(path, tmp_path)
    assert result.exit_code == ExitCode.AS_EXPECTED
    (fault,) = evidence.faults
    assert fault.met
    assert fault.bytes > 0
    assert result.report["seconds"]["verify"] > 0.02  # type: ignore[index]
