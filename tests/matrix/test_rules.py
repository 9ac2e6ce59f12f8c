"""The rules against the measured table of who can feed whom, and what changing one of them does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.engine import differences
from harness.engine.differences import RULES, Case, rule_for
from harness.matrix.cells import Cell, EngineFacts, Key, Outcome
from harness.matrix.run import expectation
from tests.matrix.measured import ENGINES, FEEDS, FIELD_TTL_REFUSED


def case(primary: str, replica: str, feature: str = "list", sync: str = "full_diskless") -> Case:
    return Case(pair(primary), pair(replica), feature, sync)


def pair(name: str) -> tuple[str, str]:
    family, _, version = name.partition("-")
    return family, version


@pytest.mark.parametrize("primary", ENGINES)
def test_the_measured_table(primary: str) -> None:
    expected = [rule_for(case(primary, replica)).outcome for replica in ENGINES]
    assert expected == ["ok" if fed else "refused" for fed in FEEDS[primary]]


def test_one_field_that_expires_changes_the_answer() -> None:
    answers = {name: rule_for(case("valkey-9.1.2", name, "hash_field_ttl")).outcome for name in ENGINES}
    assert {name for name, outcome in answers.items() if outcome == "refused"} == FIELD_TTL_REFUSED
    assert rule_for(case("redis-8.0.6", "redict-7.3.6", "hash_field_ttl", "full_disk")).outcome == "crashed"


def test_each_rule_has_a_reason_and_a_source_and_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert Outcome(rule.outcome)
        assert len(rule.reason) > 20
        assert len(rule.source) > 20


def test_what_was_found_missing_is_not_applicable() -> None:
    lacking = replace(case("redis-7.0.15", "redis-7.0.15", "json"), primary_lacks=frozenset({"json"}))
    assert rule_for(replace(lacking, feature="list")).name == "compatible"
    assert rule_for(lacking).name == "feature_lacking"
    no_channel = replace(
        case("redis-7.0.15", "redis-8.0.6", sync="rdb_channel"), primary_lacks=frozenset({"rdb_channel"})
    )
    assert rule_for(no_channel).name == "sync_lacking"


@pytest.mark.parametrize(
    ("engine", "name", "lacks"),
    [
        ("redis-7.2.5", "hash_field_ttl", True),
        ("redis-8.0.6", "hash_field_ttl", False),
        ("valkey-9.1.2", "hash_field_ttl", False),
        ("redis-6.0.16", "functions", True),
        ("redis-7.0.15", "functions", False),
        ("valkey-9.1.2", "vector_set", True),
        ("redis-8.0.2", "vector_set", False),
        ("redis-8.0.6", "rdb_channel", False),
        ("valkey-8.0.1", "dual_channel", False),
        ("redict-7.3.6", "dual_channel", True),
    ],
)
def test_a_lack_in_a_version_that_has_it_is_an_alarm(engine: str, name: str, lacks: bool) -> None:
    sync = name if name.endswith("channel") else "full_disk"
    one = replace(case(engine, engine, name, sync), primary_lacks=frozenset({name}), replica_lacks=frozenset({name}))
    assert (rule_for(one).outcome == "n/a") is lacks
    facts = EngineFacts(engine, *pair(engine), "given", lacks=(name,))
    key = Key(engine, engine, name, sync)
    assert Cell(key, Outcome.NOT_APPLICABLE, expectation(facts, facts, key)).as_expected is lacks


def test_changing_one_rule_alarms_exactly_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {name: EngineFacts(name, *pair(name), "given") for name in ENGINES}
    keys = [
        Key(primary, replica, feature, sync)
        for primary in ENGINES
        for replica in ENGINES
        for feature in ("list", "hash_field_ttl", "vector_set")
        for sync in ("full_disk", "full_diskless_load", "stream")
    ]
    taken = {key: expectation(facts[key.primary], facts[key.replica], key) for key in keys}
    changed = [replace(rule, outcome="ok") if rule.name == "field_ttl_not_for_older" else rule for rule in RULES]
    monkeypatch.setattr(differences, "RULES", tuple(changed))

    alarms = set()
    for key, then in taken.items():
        now = expectation(facts[key.primary], facts[key.replica], key)
        if not Cell(key, then.outcome, now).as_expected:
            alarms.add(key)

    assert alarms == {key for key, then in taken.items() if then.rule == "field_ttl_not_for_older"}
    assert {(key.primary, key.feature) for key in alarms} == {("valkey-9.1.2", "hash_field_ttl")}
