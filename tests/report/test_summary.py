"""The JSON object of a run: every key, exactly, from literal evidence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.checker.evidence import KeyState, Run
from harness.errors import ExitCode
from harness.report.facts import Counts, Draws
from harness.report.summary import (
    count_elements,
    newest,
    summarize,
    summarize_failure,
    summarize_skipped,
)
from tests.report.made import EVIDENCE, FACTS, RUNS, TEXT, VALID, VERDICT, scenario


def test_the_whole_object(tmp_path: Path) -> None:
    loaded = scenario(tmp_path)
    assert summarize(loaded, EVIDENCE, VERDICT, FACTS) == {
        "version": 1,
        "scenario": "pair",
        "file": str(tmp_path / "pair.yaml"),
        "part": "written",
        "title": "A pair",
        "verdict": "invalid",
        "as_expected": False,
        "exit_code": 1,
        "skipped": None,
        "error": None,
        "anomalies": [
            {
                "kind": "wrong_value",
                "node": "b",
                "db": 0,
                "key": "numbers:list",
                "count": 1,
                "at_least": False,
                "first": {"index": 500, "expected": "701", "found": "x\\xff"},
                "message": "b holds x\\xff where 701 must be",
            }
        ],
        "unmet": ["length: 800 instead of 1000"],
        "doubts": [],
        "not_checked": [],
        "not_applied": [],
        "notes": [],
        "seed": 7,
        "workload": {
            "kind": "list_append",
            "key": "numbers:list",
            "db": 0,
            "values": 1000,
            "batch": {"shape": "variadic", "size": 100},
        },
        "draws": None,
        "acknowledged": 700,
        "failed": 100,
        "unknown": 200,
        "read": {"b": 800},
        "newest_first": {"b": ["1000", "999", "998"]},
        "redirected": {},
        "shards": {},
        "converged": {"b": {"reached": True, "seconds": 0.012, "how": "offset", "last_seen": "offset 5000 of 5000"}},
        "engines": {"a": "redis-7.0.15", "b": "valkey-9.1.2"},
        "origins": {},
        "profiles": {"b": "simulated redis-enterprise"},
        "addresses": {"a": "127.1.2.3:6379", "b": "127.1.2.3:10878"},
        "runtime": "local",
        "fault_proxy": {"kind": "embedded", "version": "0.1.0", "where": "own process"},
        "faults": [
            {
                "fault": "latency",
                "link": "a->b",
                "at": "20%",
                "until": "80%",
                "applied_s": 0.01,
                "healed_s": 0.5,
                "values": 600,
                "bytes": 12000,
                "link_seen_down": None,
                "met": True,
                "why_not": "",
                "packets_lost": None,
                "not_healed": "",
                "loses": "",
                "primary": "",
                "took_over_s": None,
            }
        ],
        "sync": {"a->b": {"full": 1, "partial": 2, "full_started": 1}},
        "lag": {"b": {"max_ms": 12.5}},
        "seconds": {"start": 0.1, "write": 0.5, "total": 0.75},
        "run_id": "r1",
        "run_dir": "runs/pair/1",
        "replay": "harness replay runs/pair/1",
    }


def test_every_run_has_the_same_keys(tmp_path: Path) -> None:
    loaded = scenario(tmp_path)
    whole = list(summarize(loaded, EVIDENCE, VALID, FACTS))
    assert list(summarize_skipped(loaded, "no pause here", FACTS)) == whole
    assert list(summarize_failure(loaded, "no engine", ExitCode.MACHINE_LACKS, FACTS)) == whole


def test_a_skipped_scenario_says_why_and_has_no_verdict(tmp_path: Path) -> None:
    report = summarize_skipped(scenario(tmp_path), "no pause here", FACTS)
    assert (report["skipped"], report["verdict"], report["as_expected"], report["exit_code"]) == (
        "no pause here",
        None,
        None,
        5,
    )


def test_a_run_without_a_verdict_says_why(tmp_path: Path) -> None:
    report = summarize_failure(scenario(tmp_path), "no engine", ExitCode.MACHINE_LACKS, FACTS)
    assert (report["error"], report["verdict"], report["exit_code"]) == ("no engine", None, 7)


def test_what_was_not_measured_is_absent_and_never_zero(tmp_path: Path) -> None:
    evidence = dataclasses.replace(EVIDENCE, syncs=None, max_lag_ms={"b": float("inf")})
    report = summarize(scenario(tmp_path), evidence, VALID, FACTS)
    assert report["sync"] == {}
    assert report["lag"] == {"b": {"max_ms": None}}
    assert "Infinity" not in json.dumps(report, allow_nan=False)


def test_counts_of_a_property_come_from_all_its_draws(tmp_path: Path) -> None:
    facts = dataclasses.replace(FACTS, part="property", counts=Counts(9, 8, 7), draws=Draws(25, 24, 1, 0, "2 values"))
    report = summarize(scenario(tmp_path), EVIDENCE, VALID, facts)
    assert (report["acknowledged"], report["failed"], report["unknown"]) == (9, 8, 7)
    assert report["draws"] == {
        "examples": 25,
        "valid": 24,
        "invalid": 1,
        "unknown": 0,
        "smallest": "2 values",
        "intermittent": False,
    }


def test_several_workloads_are_a_list_as_in_the_file(tmp_path: Path) -> None:
    text = TEXT.replace('workload: {key: "numbers:list"', 'workload:\n  - {key: "x"').replace(
        "size: 100}}\n", "size: 100}}\n  - {key: y, values: 5, batch: {sizes: [1, 4]}}\n"
    )
    report = summarize(scenario(tmp_path, text), EVIDENCE, VALID, FACTS)
    assert [workload["key"] for workload in report["workload"]] == ["x", "y"]
    assert report["workload"][1]["batch"] == {"shape": "pipeline", "sizes": [1, 4]}


def test_a_key_that_is_no_list_shows_no_values(tmp_path: Path) -> None:
    reading = dataclasses.replace(EVIDENCE.readings[0], state=KeyState.WRONG_TYPE, found_type="string", length=0)
    report = summarize(scenario(tmp_path), dataclasses.replace(EVIDENCE, readings=(reading,)), VALID, FACTS)
    assert report["newest_first"] == {"b": []}
    assert report["read"] == {"b": 0}


def test_elements_are_counted_by_the_outcome_of_their_command() -> None:
    assert count_elements(EVIDENCE.streams) == Counts(700, 100, 200)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, []),
        (2, ["1000", "999"]),
        (301, [*(str(value) for value in range(1000, 701, -1)), "x\\xff", "600"]),
    ],
)
def test_newest_is_read_from_the_end(count: int, expected: list[str]) -> None:
    assert newest(RUNS, count) == expected


def test_newest_of_a_short_list_is_the_whole_list() -> None:
    assert newest((Run(5, 2), Run(0, 1, b"?")), 10) == ["?", "6", "5"]
    assert newest((), 10) == []
