"""Values of the wrong type, size or name: what was found, and what is allowed."""

# ruff: noqa: E501 - messages stand whole, each on a line of its own

from __future__ import annotations

import pytest

from tests.scenario.conftest import GOOD, Load, Mistakes

COUNT = "expected a whole number from 0 to 4000000000, not "


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("-1", "-1"),
        ("4000000001", "4000000001"),
        ("9" * 300, "9" * 59 + "…"),
        ("9" * 5000, ".inf"),
        ("1.5", "1.5"),
        (".nan", ".nan"),
        ("true", "true"),
        ("~", "nothing"),
        ("many", "'many'"),
        ("1_000", "'1_000'"),
        ("2024-01-01", "'2024-01-01'"),
        ('"100"', "the text '100' (numbers go without quotes)"),
        ("[100]", "a list"),
        ("{min: 1}", "a mapping"),
    ],
)
def test_a_number(mistakes: Mistakes, written: str, shown: str) -> None:
    assert mistakes(GOOD.replace("values: 100", f"values: {written}")) == [
        f"s.yaml:7:41: workload.values: {COUNT}{shown}"
    ]


@pytest.mark.parametrize(("written", "value"), [("1e3", 1000), ("0x10", 16), ("+5", 5), ("007", 7)])
def test_other_ways_to_write_a_number(load_text: Load, written: str, value: int) -> None:
    loaded = load_text(GOOD.replace("values: 100", f"values: {written}"))
    assert loaded.scenario.workloads()[0].values == value


@pytest.mark.parametrize(
    ("was", "becomes", "lines"),
    [
        ("port: 6379", "port: 70000", ["5:15: topology.nodes.a.port: expected a whole number from 1 to 65535, not 70000"]),
        ("title: One replica", "title: 5", ["2:8: title: expected text of one line, not 5; put it in quotes"]),
        ("title: One replica", "title: ''", ["2:8: title: expected text of one line, not an empty text"]),
        ("title: One replica", 'title: "a\\nb"', ["2:8: title: a newline is not allowed here"]),
        ("title: One replica", f"title: {'x' * 201}", ["2:8: title: at most 200 characters are allowed here, not 201"]),
        ("title: One", "titel: One", [
            "1:1: title: this key is missing: one line: what is shown",
            "2:1: titel: unknown key; did you mean 'title'?",
        ]),
        ("key:", "kye:", [
            "7:1: workload.key: this key is missing: the key written to",
            "7:12: workload.kye: unknown key; did you mean 'key'?",
        ]),
        ("  nodes:", "  node:", [
            "4:3: topology.node: unknown key; did you mean 'nodes'?",
        ]),
        ('"numbers:list"', '"numbers\\0list"', ["7:17: workload.key: a NUL is not allowed here"]),
        ('"numbers:list"', '"numbers\\x85"', ["7:17: workload.key: the control character U+0085 is not allowed here"]),
        ("    b:", "    b c:", [
            "6:5: topology.nodes.b c: expected a node's name (a letter, then letters, digits, - and _), not 'b c'",
        ]),
        ("{port: 6379}", "[6379]", ["5:8: topology.nodes.a: expected a mapping (key: value), not a list"]),
        ("values: 100", "values: 100, batch: {shape: pipelin}", [
            "7:61: workload.batch.shape: expected one of single, pipeline, variadic, multi, not 'pipelin'; "
            "did you mean 'pipeline'?",
        ]),
        ("values: 100", "values: 100, batch: {sizes: [1, 0, true]}", [
            "7:65: workload.batch.sizes.1: expected a whole number from 1 to 1000000, not 0",
            "7:68: workload.batch.sizes.2: expected a whole number from 1 to 1000000, not true",
        ]),
        ("values: 100", "values: 100, batch: {sizes: []}", [
            "7:61: workload.batch.sizes: at least one entry is needed; leave the key out where nothing is meant",
        ]),
        ("values: 100", "values: 100, batch: {size: 5, sizes: [1]}", [
            "7:53: workload.batch: size and sizes exclude each other: keep one of them",
        ]),
        ("values: 100", "values: 100, kind: sorted", [
            "7:52: workload.kind: expected one of list_append, sorted_set, string, hash, set, stream, sharded_list, sharded_sorted_set, not 'sorted'; "
            "did you mean 'sorted_set'?",
        ]),
    ],
)  # fmt: skip
def test_a_value(mistakes: Mistakes, was: str, becomes: str, lines: list[str]) -> None:
    assert mistakes(GOOD.replace(was, becomes)) == [f"s.yaml:{line}" for line in lines]


@pytest.mark.parametrize(
    ("section", "lines"),
    [
        ("faults:", ["8:8: faults: expected a list, not nothing"]),
        ("expect: []", ["8:9: expect: expected a mapping (key: value), not a list"]),
        ("why: [a]", ["8:6: why: expected text, not a list"]),
        ("tags: [Slow]", ["8:8: tags.0: expected a tag (small letters, digits and _), not 'Slow'"]),
        ("tags: slow", ["8:7: tags: expected a list, not 'slow'"]),
        ("property: {fault_timing: yes}", ["8:26: property.fault_timing: expected true or false, not 'yes'"]),
        ("property: {values: {min: 5, max: 2}}", ["8:20: property.values: min 5 is above max 2"]),
        ("property: {batch: {size: {min: 5, max: 2}}}", ["8:26: property.batch.size: min 5 is above max 2"]),
        ("property: {examples: 0}", ["8:22: property.examples: expected a whole number from 1 to 100000, not 0"]),
        ("expect: {full_sync: 0, partial_syncs: {mn: 1}}", [
            "8:10: expect.full_sync: unknown key; did you mean 'full_syncs'?",
            "8:40: expect.partial_syncs.mn: unknown key; did you mean 'min'?",
        ]),
        ("expect: {full_syncs: {a->b: {min: 2, max: 1}}}", ["8:29: expect.full_syncs.a->b: min 2 is above max 1"]),
        ("expect: {full_syncs: x}", [f"8:22: expect.full_syncs: {COUNT}'x'"]),
        ("expect: {max_lag_ms: {b: 0}}", ["8:26: expect.max_lag_ms.b: expected a number above 0, at most 8.64e+07, not 0"]),
        ("expect: {converges_within_s: .inf}", [
            "8:30: expect.converges_within_s: expected a number above 0, at most 86400, not .inf",
        ]),
        ("expect: {newest_first: 0}", ["8:24: expect.newest_first: expected a whole number from 1 to 1000000, not 0"]),
        ("expect: {newest_first: [1.5]}", [f"8:25: expect.newest_first.0: {COUNT}1.5"]),
        ("expect: {anomalies: []}", [
            "8:21: expect.anomalies: at least one entry is needed; leave the key out where nothing is meant",
        ]),
        ("expect: {anomalies: [phntom]}", [
            "8:22: expect.anomalies.0: expected one of missing_key, wrong_type, truncated, stale, lost, duplicated, "
            "reordered, wrong_value, phantom, misplaced, shrank, not 'phntom'; did you mean 'phantom'?",
        ]),
        ("faults: [{at: 1%, link: ab, toxic: latncy}]", [
            "8:25: faults.0.link: expected a link, source->target, not 'ab'",
            "8:36: faults.0.toxic: expected one of latency, bandwidth, slicer, slow_close, timeout, reset_peer, limit_data, "
            "loss, cut, not 'latncy'; did you mean 'latency'?",
        ]),
        ("faults: [{at: soon, link: a->b, toxic: cut}]", [
            "8:15: faults.0.at: expected a share (20%), seconds (1.5s) or an event (full_sync, link_up, written), not 'soon'",
        ]),
        ("faults: [{at: 1%, link: a->b}]", [
            "8:10: faults.0: a fault needs link and toxic, or stray_write, move_slots, failover, isolate or restart",
        ]),
        ("faults: [{at: 1%, link: a->b, toxic: latency, latency_ms: -1}]", [
            "8:59: faults.0.latency_ms: expected a whole number from 0 to 600000, not -1",
        ]),
    ],
)  # fmt: skip
def test_a_section(mistakes: Mistakes, section: str, lines: list[str]) -> None:
    assert mistakes(f"{GOOD}{section}\n") == [f"s.yaml:{line}" for line in lines]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD.replace("version: 1\n", ""), "1:1: version: this key is missing; write version: 1"),
        (
            GOOD.replace("version: 1", "version: 2"),
            "1:10: version: expected 1, not 2; this file is for a newer replication-harness",
        ),
        (GOOD.replace("version: 1", "version: 0"), "1:10: version: expected 1, not 0"),
        (GOOD.replace("version: 1", "version: true"), "1:10: version: expected 1, not true"),
        ("kind: plan\n" + GOOD, "1:7: kind: expected a scenario, not a plan; `harness accept` takes such files"),
        ("kind: plans\n" + GOOD, "1:7: kind: expected scenario or plan, not 'plans'; did you mean 'plan'?"),
        ("kind: [scenario]\n" + GOOD, "1:7: kind: expected scenario or plan, not a list"),
    ],
)
def test_a_file_of_another_kind_or_version(mistakes: Mistakes, text: str, line: str) -> None:
    assert mistakes(text) == [f"s.yaml:{line}"]


def test_text_stays_as_it_is_written(load_text: Load) -> None:
    directives = 'config: {appendonly: no, save: "", maxmemory: 100mb, hz: 50, lazyfree-lazy-expire: true, x: 1:30}'
    loaded = load_text(GOOD.replace("{port: 6379}", f"{{port: 6379, {directives}}}"))
    assert loaded.topology.nodes["a"].directives == (
        ("appendonly", "no"),
        ("save", ""),
        ("maxmemory", "100mb"),
        ("hz", "50"),
        ("lazyfree-lazy-expire", "yes"),
        ("x", "1:30"),
    )
