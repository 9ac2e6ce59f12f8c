"""What really reaches endpoints that the harness did not start, by their own MONITOR, through a whole run."""

from __future__ import annotations

from contextlib import closing

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect
from harness.endpoint.view import NodeView
from harness.errors import SetupError
from harness.history import Ledger
from harness.kinds import LIST, KeyRef
from harness.resp.connection import Connection
from harness.resp.key_reader import read_key
from harness.runtime.canary import CanaryLag, canary_key, lag_key, seen, write_canary
from harness.runtime.external import ExternalDeployment, ExternalRuntime
from harness.runtime.own_keys import KeyNaming
from harness.runtime.readiness import wait_until
from harness.topology import Node, Topology
from harness.workload.base import Route
from harness.workload.numbered import SHAPES, NumberedWriter, WritePlan
from tests.support.managed import hiding
from tests.support.monitor import Monitor, Seen
from tests.support.pairs import contents
from tests.support.resp_proxy import RespProxy

PAIR = Topology({"a": Node("a", 6379), "b": Node("b", 10878, replica_of="a")})

# Written anew here, not taken from the list that the harness goes by: where the key or keys of a command stand.
KEYS = {
    "EXISTS": slice(1, None), "GET": slice(1, 2), "LLEN": slice(1, 2), "LRANGE": slice(1, 2), "RPUSH": slice(1, 2),
    "SET": slice(1, 2), "TYPE": slice(1, 2), "UNLINK": slice(1, None),
}  # fmt: skip
KEYLESS = {"INFO", "PING", "SELECT", "MULTI", "EXEC", "DPING", "CLIENT"}
WRITES = {"RPUSH", "SET", "UNLINK"}


def touched(commands: list[Seen], names: set[str]) -> set[str]:
    """The keys that these commands name."""
    return {key for seen in commands if seen.words[0] in names for key in seen.words[KEYS[seen.words[0]]]}


def check_harmless(commands: list[Seen], prefix: str) -> None:
    """Every command is one of those above, and every key has the prefix."""
    assert {seen.words[0] for seen in commands} <= KEYS.keys() | KEYLESS
    assert {key for key in touched(commands, set(KEYS)) if not key.startswith(prefix)} == set()
    clients = {seen.words[:3] for seen in commands if seen.words[0] == "CLIENT"}
    assert {words[:2] for words in clients} <= {("CLIENT", "ID"), ("CLIENT", "KILL")}
    assert all(words[2] == "ID" for words in clients if words[1] == "KILL")


def whole_run(deployment: ExternalDeployment, shape: str) -> None:
    """Prove, claim, write, sample lag, converge by offsets and by a canary, read, clean up."""
    db, values = 3, 2500
    key = deployment.keys.claim("a", "numbers:{list}", db)
    a, b = (deployment.control(node).with_database(db) for node in "ab")
    route = Route("a", deployment.entry("a").with_database(db), deployment.control("a"), deployment.no_fence("a"))
    ledger = Ledger(None)
    with CanaryLag(a, {"b": b}, lag_key("r1", key)) as lag:
        NumberedWriter(WritePlan(key.encode(), values, shape, (7, 500)), route, ledger).run()
        wait_until(lambda: lag.samples > 2, deadline_s=20, what="samples")
    assert (ledger.acknowledged, lag.failures) == (values, ())
    with NodeView(deployment.control("b")) as view, Connection(a) as primary, Connection(b) as replica:
        canary = write_canary(primary.command, canary_key("r1", key))
        wait_until(lambda: seen(replica.command, canary), deadline_s=20, what="the canary")
        assert view.sample([KeyRef(db, key.encode(), LIST)]).lengths == (values,)
        assert read_key(replica, key, lambda run: None, chunk=1000).length == values


@pytest.mark.parametrize("shape", SHAPES)
def test_no_other_command_is_sent_and_no_other_key_is_touched(pair, shape):
    a, b = pair
    runtime = ExternalRuntime({"a": a, "b": b}, KeyNaming("r1"))
    with Monitor(a) as on_a, Monitor(b, a.port) as on_b, runtime.deploy(PAIR) as deployment:
        whole_run(deployment, shape)
    check_harmless(on_a.commands, "harness:r1:")
    check_harmless(on_b.commands, "harness:r1:")
    assert touched(on_a.commands, {"RPUSH"}) == {"harness:r1:numbers:{list}"}
    assert touched(on_b.commands, WRITES) == set()
    assert {seen.db for seen in on_a.commands if seen.words[0] == "RPUSH"} == {3}
    assert contents(a) == {}


def test_a_probe_is_all_that_is_ever_written_to_a_replica(a_and_b):
    a, b = a_and_b
    with closing(connect(b)) as client:
        client.config_set("replica-read-only", "no")
    with RespProxy(b, hiding(b"run_id")) as proxy, Monitor(a) as on_a, Monitor(b, a.port) as on_b:
        runtime = ExternalRuntime({"a": a, "b": proxy.endpoint}, KeyNaming("r1"))
        with runtime.deploy(PAIR) as deployment:
            whole_run(deployment, "variadic")
    check_harmless(on_a.commands, "harness:r1:")
    check_harmless(on_b.commands, "harness:r1:")
    assert touched(on_b.commands, WRITES) == {"harness:r1::probe:b"}
    assert contents(a) == contents(b) == {}


def test_a_refused_deployment_sends_nothing_else_either(a_and_b, stranger):
    a, _ = a_and_b
    runtime = ExternalRuntime({"a": a, "b": stranger}, KeyNaming("r1"), patience_s=0.2)
    with Monitor(a) as on_a, Monitor(stranger) as on_b:
        deployment = runtime.deploy(PAIR)
        with pytest.raises(SetupError, match="does not follow"):
            deployment.attach()
        deployment.close()
    check_harmless(on_a.commands, "harness:r1:")
    check_harmless(on_b.commands, "harness:r1:")
    assert touched(on_a.commands, WRITES) == {"harness:r1::canary:follows:a"}
    assert touched(on_b.commands, WRITES) == set()


def test_exact_keys_are_the_only_ones_beside_the_prefix(a_and_b):
    a, b = a_and_b
    with closing(connect(a.with_database(3))) as client:
        client.rpush("numbers:list", "theirs")
    runtime = ExternalRuntime({"a": a, "b": b}, KeyNaming("r1", exact=True))
    with Monitor(a) as on_a, Monitor(b, a.port) as on_b, runtime.deploy(PAIR) as deployment:
        whole_run(deployment, "pipeline")
    beside = {key for key in touched(on_a.commands, set(KEYS)) if not key.startswith("harness:r1:")}
    assert beside == {"numbers:{list}"}
    assert touched(on_b.commands, WRITES) == set()
    assert contents(a) == {(3, b"numbers:list"): "list"}


def test_monitor_sees_what_it_should(stranger: Endpoint):
    """Who proves by MONITOR that nothing was sent must know that MONITOR would have shown it."""
    with Monitor(stranger) as monitor, closing(connect(stranger.with_database(1))) as client:
        client.set("k", 'a "quoted" value')
        client.delete("k")
    assert [seen.words[0] for seen in monitor.commands] == ["SELECT", "SET", "DEL"]
    assert monitor.commands[1:] == [Seen(1, ("SET", "k", 'a "quoted" value')), Seen(1, ("DEL", "k"))]
