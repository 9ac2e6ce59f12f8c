"""Nodes and links: pairs, fan-out and chains, and what is none of them."""

from __future__ import annotations

import pytest

from harness.topology import Link, Node, Role, Topology, TopologyMistake


def nodes(**replica_of: str | None) -> dict[str, Node]:
    return {
        name: Node(name, port=6379 + index, replica_of=source)
        for index, (name, source) in enumerate(replica_of.items())
    }


def mistakes(made: dict[str, Node]) -> list[tuple[str, str, str]]:
    return [(mistake.node, mistake.key, str(mistake)) for mistake in Topology.mistakes(made)]


def test_a_pair() -> None:
    pair = Topology(nodes(a=None, b="a"))
    assert pair.nodes["a"].role is Role.PRIMARY
    assert pair.nodes["b"].role is Role.REPLICA
    assert [str(link) for link in pair.links] == ["a->b", "client->a", "client->b"]
    assert [str(link) for link in pair.replication_links] == ["a->b"]


def test_primaries_come_before_those_that_follow_them() -> None:
    chain = Topology(nodes(c="b", b="a", a=None))
    assert list(chain.nodes) == ["a", "b", "c"]
    assert chain.root_of("c").name == "a"
    assert chain.root_of("a").name == "a"
    assert [node.name for node in chain.replicas_below("a")] == ["b", "c"]
    assert [node.name for node in chain.replicas_below("b")] == ["c"]
    assert chain.replicas_below("c") == ()


def test_a_fan_out() -> None:
    fan = Topology(nodes(a=None, b="a", c="a", d="a"))
    assert [node.name for node in fan.replicas] == ["b", "c", "d"]
    assert [node.name for node in fan.primaries] == ["a"]


def test_no_node_at_all() -> None:
    assert mistakes({}) == [("", "", "a topology needs at least one node")]


def test_a_primary_that_is_not_there() -> None:
    assert mistakes(nodes(a=None, b="x")) == [("b", "replica_of", "no node 'x'; the others are a")]
    assert mistakes(nodes(b="x")) == [("b", "replica_of", "no node 'x'; the others are none")]


def test_the_clients_name() -> None:
    assert mistakes(nodes(client=None)) == [("client", "", "'client' is our own client's name in links")]


def test_a_shared_port() -> None:
    made = {"a": Node("a", 6379), "b": Node("b", 6379, "a"), "c": Node("c", 6379, "a")}
    assert mistakes(made) == [
        ("b", "port", "port 6379 is already that of node 'a'"),
        ("c", "port", "port 6379 is already that of node 'a'"),
    ]


def test_each_cycle_is_named_once() -> None:
    made = nodes(r=None, a="c", b="a", c="b", d="a", s="s", t="r")
    assert mistakes(made) == [
        ("a", "replica_of", "a cycle: a follows c follows b follows a"),
        ("s", "replica_of", "a cycle: s follows s"),
    ]


def test_a_topology_that_is_none_is_not_made() -> None:
    with pytest.raises(TopologyMistake, match=r"^a cycle: a follows b follows a$"):
        Topology(nodes(a="b", b="a"))


def test_a_link_is_written_with_an_arrow() -> None:
    assert Link.parse(" a -> b ") == Link("a", "b")
    assert Link.parse("client->a").is_client
    assert not Link.parse("a->b").is_client


@pytest.mark.parametrize("text", ["", "a", "a->", "->b", "a->b->c", "a-b", "a>b"])
def test_what_is_no_link(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a link is written source->target, as in a->b or client->a, not "):
        Link.parse(text)


def test_a_password_does_not_show() -> None:
    assert "hunter2" not in repr(Topology({"a": Node("a", 6379, password="hunter2")}))
