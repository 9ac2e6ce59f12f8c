from dataclasses import replace
from pathlib import Path

import pytest

from harness.endpoint.profile import all_facts, facts_of, profile, profiles, read_profiles, wordings
from harness.endpoint.simulated.plan import Plan, Upstream
from harness.errors import UsageError

PRODUCTS = [
    "oss",
    "redis-enterprise",
    "redis-cloud",
    "azure-managed-redis",
    "azure-cache-for-redis",
    "elasticache",
    "elasticache-serverless",
    "memorystore",
    "memorystore-cluster",
]


def test_a_scenario_may_name_these() -> None:
    assert [name for name in profiles() if "/" not in name] == PRODUCTS


def test_oss_changes_nothing() -> None:
    oss = profile("oss")

    assert (oss.port, oss.simulated, oss.label) == (None, False, "oss")


def test_redis_enterprise() -> None:
    enterprise = profile("redis-enterprise")

    assert enterprise.port == 10878
    assert enterprise.label == "simulated redis-enterprise"
    assert enterprise.behaviour.select == "no-op"
    assert {"replicaof", "role", "config|resetstat", "sync", "psync", "shutdown", "cluster|info"} <= set(
        enterprise.behaviour.refused
    )
    assert not {"get", "lrange", "info", "scan", "config|set", "config", "select"} & set(enterprise.behaviour.refused)
    assert enterprise.behaviour.info_set["role"] == "master"
    assert enterprise.behaviour.config is not None
    assert enterprise.behaviour.config["slowlog-max-len"] == (128, 1024)


def test_a_policy_is_a_profile_of_its_own() -> None:
    assert profile("azure-managed-redis").behaviour == profile("azure-managed-redis/oss").behaviour
    assert profile("azure-managed-redis/oss").behaviour.cluster
    assert not profile("azure-managed-redis/enterprise").behaviour.cluster
    assert profile("azure-managed-redis/enterprise").label == "simulated azure-managed-redis/enterprise"
    assert not profile("azure-managed-redis/no-cluster").behaviour.one_slot


def test_what_a_product_inherits_it_may_add_to_or_take_from() -> None:
    cloud = profile("redis-cloud").behaviour

    assert "wait" in cloud.refused
    assert "role" in cloud.refused
    assert cloud.config is not None
    assert "lua-time-limit" not in cloud.config
    assert "client|id" in profile("elasticache-serverless").behaviour.refused
    assert "config" in profile("elasticache-serverless").behaviour.refused


@pytest.mark.parametrize("name", [name for name in PRODUCTS if name != "oss"])
def test_every_simulation_says_what_it_leaves_out_and_where_it_comes_from(name: str) -> None:
    assert profile(name).gaps
    assert profile(name).source


@pytest.mark.parametrize("name", profiles())
def test_a_plan_survives_its_way_to_the_process(name: str) -> None:
    plan = Plan(name, "127.0.0.1", 1, Upstream("127.0.0.1", 2, "me", "pässword"), profile(name).behaviour, "x.pem")

    assert Plan.from_json(plan.to_json()) == plan
    assert "pässword" not in repr(replace(plan, port=3))


def test_wordings() -> None:
    assert wordings()["enterprise-old"].command == "ERR command is not allowed"


def test_another_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no profile 'redis-enterprize'; expected one of: oss, redis-enterprise"):
        profile("redis-enterprize")


@pytest.mark.parametrize("name", [name for name in PRODUCTS if name != "oss"])
def test_every_fact_is_followed_or_listed_as_a_gap(name: str) -> None:
    entry = all_facts()[name]
    paths = {fact.path for fact in facts_of(entry)}
    listed = {gap.partition(": ")[0] for gap in profile(name).gaps if gap.partition(": ")[0] in paths}
    said = set(entry["simulation"].get("modelled", ()))
    modelled = {path for path in paths if path in said or path.partition(".")[0] in said}
    assert said <= paths | {path.partition(".")[0] for path in paths}, "what is said to be modelled is a fact"
    written = str(entry["simulation"]) + str([all_facts()[one]["simulation"] for one in ancestors(name)])
    named = {path for path in paths if f"'@{path}'" in written}

    assert paths == listed | modelled | named
    assert not listed & (modelled | named)


def ancestors(name: str) -> list[str]:
    parent = all_facts()[name].get("inherits")
    return [parent, *ancestors(parent)] if parent else []


MADE_UP = """
error_texts: {oss_crossslot: {text: CROSSSLOT no}}
wordings: {curt: {command: "NO {name}", evidence: I}}
common: {always: {commands: [SHUTDOWN]}}
profiles:
  made-up:
    product: A product that nobody offers
    simulation:
      {port: 7777, tls: true, refused: ['@blocked', '@always.commands'], wording: curt,
      select: 4, modelled: [ports.main]}
    docs: nowhere
    blocked: [KEYS, CONFIG SET (they say)]
    ports: {main: 7777, other: 7778}
    colour: blue
"""


def test_another_product_is_data_only(tmp_path: Path) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text(MADE_UP)
    made_up = read_profiles(file)["made-up"]

    assert (made_up.port, made_up.tls, made_up.label, made_up.source) == (7777, True, "simulated made-up", "nowhere")
    assert made_up.behaviour.refused == ("keys", "config|set", "shutdown")
    assert made_up.behaviour.wording.command == "NO {name}"
    assert made_up.gaps == ("ports.other: 7778", "colour: blue")


def test_limits_and_the_word_for_an_absent_server_are_data(tmp_path: Path) -> None:
    file = tmp_path / "profiles.yaml"
    limits = "select: 4, unavailable: ERR gone, max_clients: 7, idle_s: 300,"
    file.write_text("gaps_of_all: [this, that]\n" + MADE_UP.replace("select: 4,", limits))
    made_up = read_profiles(file)["made-up"]

    behaviour = made_up.behaviour
    assert (behaviour.unavailable, behaviour.max_clients, behaviour.idle_s) == ("ERR gone", 7, 300.0)
    assert made_up.gaps[-2:] == ("this", "that")
    assert all("server behind is away" in str(one.gaps) for name, one in profiles().items() if name != "oss")


def test_a_rule_with_a_slip_of_the_pen_is_no_rule(tmp_path: Path) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text(MADE_UP.replace("refused: [", "refuse: ["))
    with pytest.raises(UsageError, match="profile made-up: simulation has no 'refuse'; expected one of: accepted,"):
        read_profiles(file)
