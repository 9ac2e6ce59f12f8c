"""A scenario's faults as the proxy understands them: names, units and directions, and the links that are proxied."""

from __future__ import annotations

import pytest

from harness.fault.schedule import disturbances, proxied_links
from harness.fault.toxic import Direction, Toxic, stream_of
from harness.scenario.model import Fault
from harness.scenario.moment import Moment
from harness.topology import Link, Node, Topology

A_TO_B, TO_A = Link.parse("a->b"), Link.parse("client->a")


def made(**keys: object):
    (disturbance,) = disturbances([Fault.model_validate({"at": "20%", "until": "80%", "link": "a->b", **keys})])
    return disturbance


@pytest.mark.parametrize(
    ("written", "kind", "attributes", "what"),
    [
        (
            {"toxic": "latency", "latency_ms": 100, "jitter_ms": 20},
            "latency",
            {"latency": 100, "jitter": 20},
            "latency latency_ms=100 jitter_ms=20",
        ),
        ({"toxic": "latency", "latency_ms": 0}, "latency", {"latency": 0}, "latency latency_ms=0"),
        ({"toxic": "bandwidth", "kb_per_s": 0}, "bandwidth", {"rate": 0}, "bandwidth kb_per_s=0"),
        (
            {"toxic": "slicer", "average_bytes": 48, "variation_bytes": 40, "delay_us": 20},
            "slicer",
            {"average_size": 48, "size_variation": 40, "delay": 20},
            "slicer average_bytes=48 variation_bytes=40 delay_us=20",
        ),
        ({"toxic": "slow_close", "delay_ms": 7}, "slow_close", {"delay": 7}, "slow_close delay_ms=7"),
        ({"toxic": "timeout", "timeout_ms": 9}, "timeout", {"timeout": 9}, "timeout timeout_ms=9"),
        ({"toxic": "reset_peer", "timeout_ms": 9}, "reset_peer", {"timeout": 9}, "reset_peer timeout_ms=9"),
        ({"toxic": "reset_peer"}, "reset_peer", {}, "reset_peer"),
        ({"toxic": "limit_data", "limit_bytes": 5}, "limit_data", {"bytes": 5}, "limit_data limit_bytes=5"),
    ],
)
def test_a_toxic_in_toxiproxys_words(written, kind, attributes, what):
    disturbance = made(**written)
    assert disturbance.toxic == Toxic(kind, attributes, Direction.TO_TARGET, 1.0)
    assert (disturbance.what, disturbance.place) == (what, "a->b")
    assert (disturbance.at, disturbance.until) == (Moment(percent=20.0), Moment(percent=80.0))


def test_every_toxic_of_a_scenario_has_its_translation():
    from harness.fault import schedule
    from harness.scenario.toxics import TOXICS

    assert {name: set(figures.all) for name, figures in TOXICS.items() if name != "cut"} == {
        name: set(theirs) for name, theirs in schedule._ATTRIBUTES.items()
    }


@pytest.mark.parametrize(
    ("link", "direction", "stream"),
    [
        ("a->b", None, "downstream"),  # the replica dials: data travels from the listening primary to it
        ("a->b", "to_replica", "downstream"),
        ("a->b", "to_primary", "upstream"),
        ("client->a", None, "upstream"),
        ("client->a", "to_server", "upstream"),
        ("client->a", "to_client", "downstream"),
    ],
)
def test_which_way_the_disturbed_bytes_travel(link, direction, stream):
    given = {} if direction is None else {"direction": direction}
    disturbance = made(link=link, toxic="latency", latency_ms=1, **given)
    assert stream_of(Link.parse(link), disturbance.toxic.direction) == stream


@pytest.mark.parametrize(
    ("toxic", "severs"), [("cut", True), ("reset_peer", True), ("timeout", False), ("slow_close", False)]
)
def test_what_takes_the_link_down(toxic, severs):
    figures = {"delay_ms": 1} if toxic == "slow_close" else {"timeout_ms": 1} if toxic == "timeout" else {}
    disturbance = made(toxic=toxic, **figures)
    assert disturbance.severs is severs
    assert (disturbance.toxic is None) is (toxic == "cut")


def test_the_share_of_connections_is_kept():
    assert made(toxic="latency", latency_ms=1, toxicity=0.25).toxic.toxicity == 0.25


def test_a_stray_write_is_placed_at_its_node():
    stray = {"node": "b", "key": "k", "element": "x", "db": 3}
    (disturbance,) = disturbances([Fault.model_validate({"at": "50%", "stray_write": stray})])
    assert (disturbance.what, disturbance.place, disturbance.link) == ("stray write", "client->b", None)
    assert (disturbance.stray.node, disturbance.stray.db, disturbance.until) == ("b", 3, None)


def test_the_links_of_all_faults_once_each_in_the_topologys_order():
    topology = Topology({"a": Node("a", 1), "b": Node("b", 2, "a"), "c": Node("c", 3, "b")})
    names = ["client->c", "b->c", "client->c", "a->b"]
    faults = [Fault.model_validate({"at": "0%", "link": name, "toxic": "cut"}) for name in names]
    stray = Fault.model_validate({"at": "0%", "stray_write": {"node": "a", "key": "k", "element": "x"}})
    found = proxied_links([*faults, stray], topology)
    assert sorted(map(str, found)) == ["a->b", "b->c", "client->c"]
    assert list(found) == [link for link in topology.links if link in found]
    assert proxied_links([stray], topology) == ()
