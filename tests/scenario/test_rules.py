"""What depends on other sections: topologies, faults, expectations and workloads that can't be."""

# ruff: noqa: E501 - messages stand whole, each on a line of its own

from __future__ import annotations

import pytest

from harness.endpoint.profile import profiles
from tests.scenario.conftest import GOOD, Load, Mistakes

NO_LINK = "there are a->b, client->a, client->b"
STOPS = "on client->a stops the writer itself: say in seconds when it ends, as in until: 2s"


def with_nodes(a: str, b: str, more: str = "") -> str:
    return GOOD.replace("{port: 6379}", a).replace("{replica_of: a}", b + (f"\n    {more}" if more else ""))


def messages(lines: list[str]) -> list[str]:
    """Without the file's name and the place, which other tests hold."""
    return [line.split(": ", 1)[1] for line in lines]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (with_nodes("{replica_of: b}", "{replica_of: a}"), ["topology.nodes.a.replica_of: a cycle: a follows b follows a"]),
        (with_nodes("{}", "{replica_of: b}"), ["topology.nodes.b.replica_of: a cycle: b follows b"]),
        (with_nodes("{}", "{replica_of: c}"), ["topology.nodes.b.replica_of: no node 'c'; the others are a"]),
        (with_nodes("{port: 7000}", "{replica_of: a, port: 7000}"), ["topology.nodes.b.port: port 7000 is already that of node 'a'"]),
        (
            with_nodes("{role: replica}", "{replica_of: a, role: primary}"),
            [
                "topology.nodes.a.role: a replica needs replica_of: the node that it replicates from",
                "topology.nodes.b.role: a primary replicates from nobody, but replica_of says a; drop one of the two",
            ],
        ),
        (with_nodes("{}", "{replica_of: a}", "c: {}"), ["topology.nodes.c: a scenario has one primary, and here are 2: a, c; add replica_of"]),
        (with_nodes("{}", "{replica_of: a}", "client: {replica_of: a}"), ["topology.nodes.client: 'client' is our own client's name in links"]),
        (
            GOOD.replace("    b: {replica_of: a}\n", ""),
            ["topology.nodes: a scenario needs a replica: there is nothing to compare the primary with"],
        ),
        (with_nodes("{link: replica-of}", "{replica_of: a}"), ["topology.nodes.a.link: a primary follows nobody: replica-of needs replica_of"]),
        (
            with_nodes("{password: secret}", "{replica_of: a, link: online-migration}"),
            ["topology.nodes.b.link: online migration needs a source without a password, and a has one"],
        ),
        (
            with_nodes("{}", "{replica_of: a, profile: redis-entreprise}"),
            [f"topology.nodes.b.profile: expected one of {', '.join(sorted(profiles()))}, not 'redis-entreprise'; did you mean 'redis-enterprise'?"],
        ),
    ],
)  # fmt: skip
def test_topologies(mistakes: Mistakes, text: str, found: list[str]) -> None:
    assert messages(mistakes(text)) == found


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ("port: 6380", "the harness sets this directive itself: write port: on the node"),
        ("PORT: 6380", "the harness sets this directive itself: write port: on the node"),
        ("requirepass: hunter2", "the harness sets this directive itself: write password: on the node"),
        ("replicaof: a 6379", "the harness sets this directive itself: write replica_of: NODE"),
        ("cluster-enabled: true", "the harness sets this directive itself: write topology: {cluster: {shards: 3}}"),
        ("dir: /tmp", "the harness sets this directive itself: the node's files stay in the run's temporary folder"),
        ("daemonize: true", "the harness sets this directive itself: the harness starts and watches the process itself"),
        ("rename-command: SELECT x", "this command can't be renamed: a replica without SELECT writes other databases' keys into database 0"),
        ("hz: .inf", "expected a finite number"),
        ('maxmemory: "1mb\\nport 6380"', "a newline is not allowed here"),
        ('maxmemory: "1\\0"', "a NUL is not allowed here"),
        ("maxmemory: [1]", "expected a directive's value: text, a number, true or false, not a list"),
    ],
)  # fmt: skip
def test_directives(mistakes: Mistakes, directive: str, message: str) -> None:
    name = directive.split(":")[0]
    found = messages(mistakes(with_nodes(f"{{config: {{{directive}}}}}", "{replica_of: a}")))
    assert found == [f"topology.nodes.a.config.{name}: {message}"]


def test_a_directive_whose_name_is_more_than_a_name(mistakes: Mistakes) -> None:
    found = messages(mistakes(with_nodes('{config: {"maxmemory 1\\nport": 2}}', "{replica_of: a}")))
    assert found == [
        "topology.nodes.a.config.maxmemory 1\\nport: a newline is not allowed here",
    ]


def test_one_directive_twice(mistakes: Mistakes) -> None:
    found = messages(mistakes(with_nodes("{config: {hz: 10, Hz: 20}}", "{replica_of: a}")))
    assert found == ["topology.nodes.a.config.Hz: the same directive as 'hz'; directives' names have no case"]


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("at: 1%, link: a->c, toxic: cut", [f"link: there is no link 'a->c'; {NO_LINK}; did you mean 'a->b'?"]),
        ("at: 1%, link: b->a, toxic: cut", [f"link: there is no link 'b->a'; {NO_LINK}"]),
        ("at: 80%, until: 20%, link: a->b, toxic: cut", ["until: ends at 20%, which is not after its beginning, at: 80%"]),
        ("at: 20%, until: 20%, link: a->b, toxic: cut", ["until: ends at 20%, which is not after its beginning, at: 20%"]),
        ("at: 2s, until: 1s, link: a->b, toxic: cut", ["until: ends at 1s, which is not after its beginning, at: 2s"]),
        ("at: 20%, until: 0s, link: a->b, toxic: cut", ["until: ends at 0s, which is not after its beginning, at: 20%"]),
        ("at: written, until: 90%, link: a->b, toxic: cut", ["until: ends at 90%, which is not after its beginning, at: written"]),
        ("at: 100%, until: written, link: a->b, toxic: cut", ["until: ends at written, which is not after its beginning, at: 100%"]),
        ("at: link_up, until: link_up, link: a->b, toxic: cut", ["until: ends with the event that it begins with, link_up"]),
        ("at: written, link: a->b, toxic: cut", ["until: a fault at written begins when all is written: say when it ends, as in until: 2s"]),
        ("at: 100%, link: a->b, toxic: cut", ["until: a fault at 100% begins when all is written: say when it ends, as in until: 2s"]),
        ("at: 1%, link: a->b, toxic: latency", ["toxic: latency needs latency_ms"]),
        ("at: 1%, link: a->b, toxic: bandwidth", ["toxic: bandwidth needs kb_per_s"]),
        ("at: 1%, link: a->b, toxic: slicer", ["toxic: slicer needs average_bytes"]),
        ("at: 1%, link: a->b, toxic: slow_close", ["toxic: slow_close needs delay_ms"]),
        ("at: 1%, link: a->b, toxic: timeout", ["toxic: timeout needs timeout_ms"]),
        ("at: 1%, link: a->b, toxic: reset_peer", ["toxic: reset_peer needs timeout_ms"]),
        ("at: 1%, link: a->b, toxic: limit_data", ["toxic: limit_data needs limit_bytes"]),
        ("at: 1%, link: a->b, toxic: loss", ["toxic: loss needs loss_percent"]),
        (
            "at: 1%, link: client->b, toxic: loss, loss_percent: 5, toxicity: 0.5",
            [
                "link: packets are lost on replication links only, and client->b is a client's",
                "toxicity: loss takes no toxicity: it meets every packet alike; loss_percent says how many vanish",
            ],
        ),
        ("at: 1%, link: a->b, toxic: cut, timeout_ms: 5", ["timeout_ms: timeout_ms does not belong to cut; it takes no figures"]),
        (
            "at: 1%, link: a->b, toxic: latency, latency_ms: 5, kb_per_s: 5",
            ["kb_per_s: kb_per_s does not belong to latency; it takes latency_ms, jitter_ms"],
        ),
        ("at: 1%, link: a->b, toxic: latency, latency_ms: 5, jitter_ms: 6", ["jitter_ms: 6 is above latency_ms, 5: a delay can't be negative"]),
        ("at: 1%, link: a->b, toxic: slicer, average_bytes: 5, variation_bytes: 5", ["variation_bytes: 5 is not below average_bytes, 5"]),
        (
            "at: 1%, link: a->b, toxic: cut, direction: to_replica, toxicity: 0.5",
            [
                "direction: a cut takes no direction: the link is down both ways, for every connection",
                "toxicity: a cut takes no toxicity: the link is down both ways, for every connection",
            ],
        ),
        (
            "at: 1%, link: a->b, toxic: latency, latency_ms: 5, direction: to_client",
            ["direction: on a->b, a replication link, bytes travel to_replica or to_primary, not to_client"],
        ),
        (
            "at: 1%, link: client->b, toxic: latency, latency_ms: 5, direction: to_primary",
            ["direction: on client->b, a client's link, bytes travel to_server or to_client, not to_primary"],
        ),
        (
            "at: full_sync, until: 1s, link: client->b, toxic: cut",
            ["at: full_sync is an event of a replication link, and client->b is a client's"],
        ),
        ("at: 1%, link: client->a, toxic: cut", [f"until: cut {STOPS}"]),
        ("at: 1%, until: 50%, link: client->a, toxic: cut", [f"until: cut {STOPS}"]),
        ("at: 1%, until: written, link: client->a, toxic: timeout, timeout_ms: 5", [f"until: timeout {STOPS}"]),
        ("at: 1%, until: 50%, link: client->a, toxic: bandwidth, kb_per_s: 0", [f"until: bandwidth {STOPS}"]),
        ("at: 1%, until: 50%, link: client->a, toxic: limit_data, limit_bytes: 5", [f"until: limit_data {STOPS}"]),
        ("at: 1%, until: 50%, link: client->a, toxic: reset_peer, timeout_ms: 0", [f"until: reset_peer {STOPS}"]),
        ("at: 1%, until: 50%, link: client->a, toxic: reset_peer, timeout_ms: 50", [f"until: reset_peer {STOPS}"]),
        ("at: 1%, stray_write: {node: c, key: k, element: x}", ["stray_write: there is no node 'c'; there are a, b"]),
        ("at: link_up, stray_write: {node: b, key: k, element: x}", ["at: link_up is an event of a link, and a stray_write names none"]),
        ("at: 1%, latency_ms: 1, stray_write: {node: b, key: k, element: x}", ["latency_ms: latency_ms does not belong to a stray_write"]),
    ],
)  # fmt: skip
def test_faults(mistakes: Mistakes, fault: str, found: list[str]) -> None:
    assert messages(mistakes(f"{GOOD}faults:\n  - {{{fault}}}\n")) == [f"faults.0.{line}" for line in found]


@pytest.mark.parametrize(
    "fault",
    [
        "at: 1%, until: 50%, link: a->b, toxic: cut",
        "at: 1%, link: client->b, toxic: cut",
        "at: 50%, until: 0.2s, link: client->a, toxic: cut",
        "at: 2s, until: 50%, link: a->b, toxic: cut",
        "at: full_sync, until: 0.2s, link: a->b, toxic: cut",
        "at: written, until: link_up, link: a->b, toxic: latency, latency_ms: 0",
        "at: 1%, until: 50%, link: client->a, toxic: bandwidth, kb_per_s: 1",
        "at: 1%, until: 0.2s, link: client->a, toxic: reset_peer, timeout_ms: 50",
        "at: 1%, link: a->b, toxic: slicer, average_bytes: 5, delay_us: 10, direction: to_primary, toxicity: 0.5",
        "at: 100%, stray_write: {node: b, key: k, element: ''}",
    ],
)
def test_faults_that_can_be(load_text: Load, fault: str) -> None:
    assert len(load_text(f"{GOOD}faults:\n  - {{{fault}}}\n").scenario.faults) == 1


@pytest.mark.parametrize(
    ("expect", "found"),
    [
        ("length: 101", ["length: expected 101 elements, but only 100 values are written"]),
        ("newest_first: 101", ["newest_first: expected the newest 101, but only 100 values are written (expect.newest_first=100 fits)"]),
        (
            "newest_first: [100, 101, 0, abc, '099', 100]",
            [
                "newest_first.1: '101' is not written: the values are the numbers 1 to 100",
                "newest_first.2: '0' is not written: the values are the numbers 1 to 100",
                "newest_first.3: 'abc' is not written: the values are the numbers 1 to 100",
                "newest_first.4: '099' is not written: the values are the numbers 1 to 100",
                "newest_first.5: 100 is already there, and each value is written once",
            ],
        ),
        (
            f"newest_first: [{', '.join(map(str, range(101, 0, -1)))}]",
            ["newest_first: 101 elements are listed, but only 100 values are written"],
        ),
        ("unknown: {min: 101}", ["unknown: expected 101 without an answer, but only 100 values are written"]),
        ("nodes: [c]", ["nodes.0: there is no node 'c'; the replicas are b"]),
        ("nodes: [b, a, b]", ["nodes.1: a is the primary that is written to, and replicas are judged; the replicas are b", "nodes.2: b is already there"]),
        ("max_lag_ms: {a: 5}", ["max_lag_ms.a: a is the primary that is written to, and replicas are judged; the replicas are b"]),
        ("full_syncs: {a->c: 0}", ["full_syncs.a->c: there is no link 'a->c'; there are a->b; did you mean 'a->b'?"]),
        ("partial_syncs: {client->a: 0}", ["partial_syncs.client->a: there is no link 'client->a'; there are a->b"]),
        ("list: exact, anomalies: [lost]", ["anomalies.0: where lost must occur, the list can't be exact: drop list or this kind"]),
        ("anomalies: [misplaced]", ["anomalies.0: misplaced occurs in a cluster only"]),
        ("anomalies: [lost, lost]", ["anomalies.1: lost is already there"]),
        ("converges_within_s: 5, give_up_s: 4", ["give_up_s: waiting ends after 4 s, before converges_within_s, 5, is over"]),
    ],
)  # fmt: skip
def test_expectations(mistakes: Mistakes, expect: str, found: list[str]) -> None:
    assert messages(mistakes(f"{GOOD}expect: {{{expect}}}\n")) == [f"expect.{line}" for line in found]


@pytest.mark.parametrize(
    "expect",
    [
        "list: exact, length: 100, newest_first: 100",
        "newest_first: [100, '99', 98]",
        "newest_first: [stray], length: 101, anomalies: [phantom]",
        "list: exact, anomalies: [phantom]",
        "full_syncs: {a->b: {min: 1}}, partial_syncs: {max: 3}, unknown: 5, max_lag_ms: 10.5, nodes: [b]",
    ],
)
def test_expectations_that_can_be(load_text: Load, expect: str) -> None:
    load_text(f"{GOOD}expect: {{{expect}}}\n")


def test_expectations_follow_a_changed_number_of_values(mistakes: Mistakes) -> None:
    text = GOOD + "expect: {newest_first: 5}\n"
    assert mistakes(text) == []
    assert mistakes(text, ["workload.values=4"]) == [
        "s.yaml:8:24: expect.newest_first: expected the newest 5, but only 4 values are written (expect.newest_first=4 fits)"
    ]


TWO = GOOD.replace('{key: "numbers:list", values: 100}', "[{key: k, values: 1}, {key: k, values: 2}]")


def test_two_workloads_on_one_key(mistakes: Mistakes, load_text: Load) -> None:
    assert mistakes(TWO) == ["s.yaml:7:39: workload.1.key: 'k' in database 0 is already written by workload.0"]
    assert len(load_text(TWO.replace("values: 2", "values: 2, db: 1")).scenario.workloads()) == 2


def test_a_workload_on_a_preloads_key(mistakes: Mistakes) -> None:
    found = mistakes(GOOD + 'preload: [{key: "numbers:list", values: 1}]\n')
    assert found == ["s.yaml:7:17: workload.key: 'numbers:list' in database 0 is already written by preload.0"]


def test_a_database_that_a_node_does_not_have(mistakes: Mistakes) -> None:
    text = GOOD.replace("values: 100", "values: 100, db: 16")
    no_database = "16 databases, 0 to 15, so 16 is none of them; set config: {databases: 17} on each node"
    assert mistakes(text) == [f"s.yaml:7:50: workload.db: node a has {no_database}"]
    text = text.replace("{port: 6379}", "{port: 6379, config: {databases: 17}}")
    assert mistakes(text) == [f"s.yaml:7:50: workload.db: node b has {no_database}"]
    assert mistakes(text.replace("replica_of: a", "replica_of: a, config: {databases: 20}")) == []


def test_the_harnesss_own_keys(mistakes: Mistakes) -> None:
    found = mistakes(GOOD.replace("numbers:list", "harness:x"))
    assert found == ["s.yaml:7:17: workload.key: keys that begin with 'harness:' are the harness's own"]


def test_nothing_to_draw(mistakes: Mistakes) -> None:
    assert mistakes(GOOD + "property: {fault_timing: true, batch: {shapes: [multi, multi]}}\n") == [
        "s.yaml:8:26: property.fault_timing: no fault begins at a share of the values (at: 20%), so there is nothing to draw",
        "s.yaml:8:56: property.batch.shapes.1: multi is already there",
    ]


def test_sections_are_checked_against_each_other_even_where_another_is_wrong(mistakes: Mistakes) -> None:
    text = GOOD.replace("title:", "titel:").replace("replica_of: a", "replica_of: b")
    assert mistakes(text + "faults:\n  - {at: 5%, until: 1%, link: a->b, toxic: cut}\nexpect: {length: 101}\n") == [
        "s.yaml:1:1: title: this key is missing: one line: what is shown",
        "s.yaml:2:1: titel: unknown key; did you mean 'title'?",
        "s.yaml:6:21: topology.nodes.b.replica_of: a cycle: b follows b",
        "s.yaml:9:21: faults.0.until: ends at 1%, which is not after its beginning, at: 5%",
        "s.yaml:10:18: expect.length: expected 101 elements, but only 100 values are written",
    ]


CLUSTER = """\
version: 1
title: A cluster
topology: {cluster: {shards: 3, replicas: 1}}
workload: {kind: sharded_list, key: "k:{n}", shards: 3, values: 10}
"""


def test_a_cluster_whose_shards_are_not_all_judged(mistakes: Mistakes, load_text: Load) -> None:
    text = CLUSTER + "expect: {nodes: [shard0-replica0]}\n"
    assert messages(mistakes(text)) == [
        "expect.nodes: no node of shard1, shard2 is named, so that nobody would judge the keys there"
    ]
    load_text(text.replace('kind: sharded_list, key: "k:{n}", shards: 3', "kind: list_append, key: k"))
    load_text(CLUSTER + "expect: {nodes: [shard0-replica0, shard1-replica0, shard2-replica0]}\n")


def test_replicas_to_read_from_that_a_cluster_lacks(mistakes: Mistakes, load_text: Load) -> None:
    text = CLUSTER.replace("replicas: 1", "replicas: 0")
    load_text(text)
    load_text(text.replace("values: 10", "values: 10, read_from: primaries"))
    assert messages(mistakes(text.replace("values: 10", "values: 10, read_from: replicas"))) == [
        "workload.read_from: this cluster has no replicas: read_from: primaries, or replicas: 1 in its topology"
    ]


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (
            "faults: [{at: 50%, failover: shard0}]\nexpect: {lost: {within_s: 2}}",
            "expect.lost: no fault here can cost acknowledged writes (failover with how: force, takeover or kill, or "
            "isolate): drop lost",
        ),
        (
            'faults: [{at: 50%, stray_write: {node: shard1-replica0, key: "k:{1}", element: "x"}}]',
            "faults.0.stray_write: shard1-replica0 is a cluster's replica, and sends whoever writes to its primary",
        ),
        (
            "faults: [{at: 50%, move_slots: {from: shard0, to: shard1, share: 150%}}]",
            "faults.0.move_slots.share: expected a share above 0% and below 100% (who has no slots follows another), as "
            "in 50%, not '150%'",
        ),
    ],
)
def test_what_can_not_be_in_a_cluster(mistakes: Mistakes, more: str, found: str) -> None:
    assert messages(mistakes(f"{CLUSTER}{more}\n")) == [found]


def test_what_may_cost_acknowledged_writes_may_have_a_budget(load_text: Load) -> None:
    for fault in ("failover: shard0, how: force", "isolate: shard0"):
        load_text(f"{CLUSTER}faults: [{{at: 50%, {fault}}}]\nexpect: {{lost: {{within_s: 2}}}}\n")


def test_misplaced_keys_may_be_expected_of_a_cluster(load_text: Load) -> None:
    load_text(CLUSTER + "expect: {anomalies: [misplaced]}\n")
