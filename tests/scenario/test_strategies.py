"""What is drawn: within the bounds, never dearer than a draw may be, and reproducible from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from harness.scenario.loader import load
from harness.scenario.model import Batch, Expect, Fault, Scenario
from harness.scenario.plain import as_yaml, plain
from harness.scenario.strategies import Draw, affordable, always, apply, draws
from tests.scenario.conftest import GOOD, Load

SLOW_WRITER = "faults: [{at: 20%, until: 80%, link: client->a, toxic: latency, latency_ms: 100}]\n"
TIMED = "faults: [{at: 20%, until: 80%, link: a->b, toxic: cut}, {at: 5%, until: 1s, link: client->a, toxic: cut}]\n"
PROPERTY = "property: {values: {min: 0, max: 20000}, batch: {size: {min: 2, max: 500}}, fault_timing: true}\n"
quick = settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
Made = Callable[[str], Scenario]


@pytest.fixture
def made(load_text: Load) -> Made:
    return lambda more: load_text(GOOD + more).scenario


def each(scenario: Scenario, check: Callable[[Draw], object]) -> None:
    """Let every draw be checked."""

    @quick
    @given(draws(scenario))
    def checked(draw: Draw) -> None:
        check(draw)

    checked()


def sizes(batch: Batch) -> tuple[int, ...]:
    return batch.sizes or (batch.size,)


def test_draws_stay_within_their_bounds(made: Made) -> None:
    def check(draw: Draw) -> None:
        assert 0 <= draw.values <= 20_000
        assert draw.batch.shape == "single" or all(2 <= size <= 500 for size in sizes(draw.batch))
        assert draw.batch.sizes is None or len(draw.batch.sizes) <= 8

    each(made(TIMED + PROPERTY), check)


@pytest.mark.parametrize("shape", ["single", "pipeline", "variadic", "multi"])
def test_every_shape_is_drawn(made: Made, shape: str) -> None:
    scenario = made("property: {values: {max: 20000}}\n")
    draw = find(draws(scenario), lambda draw: draw.batch.shape == shape, settings=quick)
    assert draw.values == 0


def test_explicit_sizes_are_drawn_where_they_may_be(made: Made) -> None:
    scenario = made("property: {batch: {size: {min: 2}}}\n")
    found = find(draws(scenario), lambda draw: draw.batch.sizes is not None, settings=quick)
    assert found.batch.sizes == (2,)
    plain_sizes = "property: {batch: {explicit_sizes: false, shapes: [multi]}}\n"
    each(
        made(plain_sizes),
        lambda draw: pytest.fail("sizes") if draw.batch.sizes or draw.batch.shape != "multi" else None,
    )


def test_fault_timing_is_drawn_in_order(made: Made) -> None:
    scenario = made(TIMED + PROPERTY)

    def check(draw: Draw) -> None:
        share, stops = draw.faults
        assert share.at.percent is not None
        assert share.until is not None
        assert share.until.percent is not None
        assert 0 <= share.at.percent < share.until.percent <= 100
        assert stops.at.percent is not None
        assert 0 <= stops.at.percent < 100
        assert stops.until == scenario.faults[1].until

    each(scenario, check)


def test_fault_timing_stays_as_written_otherwise(made: Made) -> None:
    scenario = made(TIMED + "property: {}\n")
    each(scenario, lambda draw: None if draw.faults is scenario.faults else pytest.fail("timing was drawn"))


@pytest.mark.parametrize(
    ("faults", "batch", "fewest", "most"),
    [
        (SLOW_WRITER, Batch(shape="single"), 5, 10),
        (SLOW_WRITER, Batch(shape="pipeline", size=100), 500, 1000),
        (SLOW_WRITER, Batch(shape="variadic", sizes=(50, 150)), 500, 1000),
        ("", Batch(shape="single"), 5_000, 20_000),
        ("", Batch(shape="variadic", size=1000), 100_000, 400_000),
        ("faults: [{at: 0%, link: a->b, toxic: bandwidth, kb_per_s: 10}]\n", Batch(), 200, 1000),
        ("faults: [{at: 0%, link: a->b, toxic: bandwidth, kb_per_s: 0}]\n", Batch(), 100_000, 400_000),
        ("faults: [{at: 0%, link: a->b, toxic: slicer, average_bytes: 10, delay_us: 1000}]\n", Batch(), 200, 1000),
        ("faults: [{at: 0%, link: a->b, toxic: latency, latency_ms: 9000}]\n", Batch(), 100_000, 400_000),
    ],
)  # fmt: skip
def test_what_two_seconds_pay_for(made: Made, faults: str, batch: Batch, fewest: int, most: int) -> None:
    assert fewest <= affordable(made(faults), batch, 2.0) <= most


def test_no_draw_is_too_dear(made: Made) -> None:
    scenario = made(SLOW_WRITER + PROPERTY)
    each(scenario, lambda draw: draw.values <= affordable(scenario, draw.batch, 2.0) or pytest.fail(str(draw)))


def test_the_fewest_values_are_written_at_any_cost(made: Made) -> None:
    scenario = made(SLOW_WRITER + "property: {values: {min: 50, max: 90}, batch: {shapes: [single]}}\n")
    each(scenario, lambda draw: None if draw.values == 50 else pytest.fail(str(draw)))


@pytest.mark.parametrize(
    ("bounds", "counts"),
    [("{min: 0, max: 9}", [0, 1]), ("{min: 1, max: 9}", [1]), ("{min: 0, max: 0}", [0]), ("{min: 2, max: 9}", [])],
)
def test_nothing_and_one_value_are_always_drawn(made: Made, bounds: str, counts: list[int]) -> None:
    scenario = made(f"property: {{values: {bounds}, batch: {{shapes: [multi, single], size: {{min: 3, max: 4}}}}}}\n")
    assert always(scenario) == tuple(Draw(count, Batch(shape="multi", size=3), ()) for count in counts)


@pytest.mark.parametrize(
    ("bounds", "batch", "many"),
    [
        ("{min: 0, max: 500}", "{shapes: [variadic], size: {min: 1, max: 200}}", (500, 25)),
        ("{min: 5, max: 9}", "{shapes: [multi], size: {min: 3, max: 4}}", (9, 3)),
    ],
)
def test_with_faults_many_values_are_always_drawn(made: Made, bounds: str, batch: str, many: tuple[int, int]) -> None:
    scenario = made(TIMED + f"property: {{values: {bounds}, batch: {batch}}}\n")
    last = always(scenario)[-1]
    assert (last.values, last.batch.size) == many
    assert last.faults == scenario.faults


def test_a_draw_can_be_a_key_of_a_table(made: Made) -> None:
    scenario = made(TIMED + PROPERTY)
    each(scenario, lambda draw: {draw: 1}[Draw(draw.values, draw.batch, draw.faults)])


def test_the_scenario_of_a_draw(made: Made) -> None:
    scenario = made(
        "preload: [{key: p, values: 5}]\nexpect: {list: exact, length: 100, full_syncs: 0, nodes: [b], give_up_s: 9}\n"
        'faults: [{at: 1%, stray_write: {node: b, key: "numbers:list", element: x}}]\n' + PROPERTY
    )
    drawn = apply(scenario, Draw(7, Batch(size=3), scenario.faults), "numbers:list:1")
    [workload] = drawn.workloads()
    assert (workload.key, workload.values, workload.batch) == ("numbers:list:1", 7, Batch(size=3))
    assert drawn.faults[0].stray_write is not None
    assert drawn.faults[0].stray_write.key == "numbers:list:1"
    assert drawn.expect == Expect(nodes=("b",), give_up_s=9)
    assert (drawn.preload, drawn.property) == ((), None)


def test_every_draw_can_be_reproduced_from_a_file(made: Made, tmp_path: Path) -> None:
    scenario = made(
        TIMED + SLOW_WRITER.replace("faults: [", "  #").replace("]", "") + PROPERTY + "expect: {list: exact}\n"
    )
    path = tmp_path / "draw.yaml"

    def check(draw: Draw) -> None:
        drawn = apply(scenario, draw, "draw:1")
        path.write_text(as_yaml(plain(drawn)), encoding="utf-8")
        assert load(path, (), {}).scenario == drawn

    each(scenario, check)


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
LOOKALIKES = st.sampled_from([
    "1e5", "0o17", "0x1F", "1_000", "~", "null", "yes", "on", ".inf", "1:30", "$", "${A}", "$$", "#", "- a", "{",
    "!x", "&a", "*a", "%", "=", "<<", "2024-01-01", " a ", "a: b", "é", "\u2028", "🙂",
])  # fmt: skip


@quick
@given(
    title=TEXTS | LOOKALIKES,
    key=TEXTS | LOOKALIKES,
    why=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50),
)
def test_any_text_survives_being_stored(tmp_path_factory: Any, title: str, key: str, why: str) -> None:
    nodes = {"a": {"config": {"save": title}}, "b": {"replica_of": "a", "port": 7000}}
    made = Scenario.model_validate(
        {"version": 1, "title": title, "why": why, "topology": {"nodes": nodes}, "workload": {"key": key, "values": 1}}
    )
    path = tmp_path_factory.mktemp("stored") / "s.yaml"
    path.write_text(as_yaml(plain(made)), encoding="utf-8")
    again = load(path, (), {}).scenario
    assert (again.title, again.why, again.workloads()[0].key) == (title, why, key)
    assert again.topology.nodes["a"].config == {"save": title}


@pytest.mark.parametrize(
    ("batch", "faults", "told"),
    [
        ({"shape": "single"}, [], "7 values, single"),
        ({"shape": "pipeline", "size": 5}, [], "7 values, pipeline of 5"),
        ({"shape": "multi", "sizes": [1, 20, 3]}, [], "7 values, multi of 1, 20, 3"),
        (
            {"shape": "variadic", "size": 2},
            [
                {"at": "20%", "until": "80%", "link": "a->b", "toxic": "cut"},
                {"at": "50%", "stray_write": {"node": "b", "key": "k", "element": "x"}},
            ],
            "7 values, variadic of 2; cut on a->b at 20% until 80%; stray write to b at 50%",
        ),
    ],
)
def test_a_draw_in_words(batch, faults, told) -> None:
    made = tuple(Fault.model_validate(fault) for fault in faults)
    assert str(Draw(7, Batch.model_validate(batch), made)) == told
    assert str(Draw(1, Batch.model_validate(batch), ())).startswith("1 value, ")


ONE_KEY = """\
version: 1
title: One key of a cluster
topology: {cluster: {shards: 3, replicas: 1}}
workload: {kind: list_append, key: orders, values: 100}
property: {values: {min: 0, max: 500}, reshape: true}
"""


def test_a_drawn_change_of_a_cluster_concerns_the_shard_that_is_written_to(load_text: Load) -> None:
    scenario = load_text(ONE_KEY).scenario

    def concerns(draw: Draw) -> None:
        for key, shard in (("orders", "shard0"), ("foo", "shard2")):
            for fault in apply(scenario, draw, key).faults:
                assert (fault.failover or (fault.move_slots and fault.move_slots.source)) == shard
                assert fault.move_slots is None or fault.move_slots.target != shard

    each(scenario, concerns)
    concerns(always(scenario)[-1])
    sharded = load_text(ONE_KEY.replace("kind: list_append, key: orders", 'kind: sharded_list, key: "k:{n}"')).scenario
    drawn = always(sharded)[-1]
    assert apply(sharded, drawn, "k:{n}:draw:1").faults == drawn.faults
