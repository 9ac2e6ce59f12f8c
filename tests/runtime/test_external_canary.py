from __future__ import annotations

from contextlib import closing

import pytest

from harness.endpoint.client import connect
from harness.resp.connection import Connection
from harness.runtime.canary import CanaryLag, CanaryRefusedError, _Written, canary_key, lag_key, seen, write_canary
from harness.runtime.external import ExternalRuntime
from harness.runtime.own_keys import KeyNaming
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.topology import Node, Topology
from tests.support.managed import enterprise, hiding, refusing
from tests.support.pairs import contents, follow, stop_following
from tests.support.resp_proxy import Error, RespProxy

KEY = lag_key("r1", "harness:r1:numbers:list")


def test_a_canary_is_seen_where_everything_before_it_was_processed(a_and_b):
    a, b = a_and_b
    with Connection(a.with_database(2)) as primary, Connection(b.with_database(2)) as replica:
        canary = write_canary(primary.command, canary_key("r1", "k"))
        wait_until(lambda: seen(replica.command, canary), deadline_s=10, what="the canary")
        later = write_canary(primary.command, canary_key("r1", "k"))
        wait_until(lambda: seen(replica.command, later), deadline_s=10, what="the later canary")
        assert not seen(replica.command, canary)
        assert 0 < primary.command("TTL", canary.key) <= 3600
    assert contents(a).keys() == {(2, b"harness:r1::canary:{k}")}


def test_a_canary_is_not_seen_on_a_server_that_does_not_follow(a_and_b, stranger):
    with Connection(a_and_b[0]) as primary, Connection(stranger) as other:
        assert not seen(other.command, write_canary(primary.command, canary_key("r1", "k")))


def test_a_client_of_redis_py_can_send_canaries_too(a_and_b):
    with closing(connect(a_and_b[0])) as client:
        assert seen(client.execute_command, write_canary(client.execute_command, canary_key("r1", "k")))


def test_a_primary_that_refuses_a_canary_is_named_by_its_words(a_and_b):
    with Connection(a_and_b[1]) as replica, pytest.raises(CanaryRefusedError, match="is refused: READONLY") as caught:
        write_canary(replica.command, canary_key("r1", "k"))
    assert caught.value.code == "READONLY"


@pytest.mark.parametrize("error", [b"LOADING loading the dataset", b"MASTERDOWN Link with MASTER is down"])
def test_a_replica_that_serves_nothing_for_now_shows_no_canary(a_and_b, error):
    a, b = a_and_b
    with RespProxy(b, lambda request, ask: Error(error)) as proxy, Connection(a) as primary:
        canary = write_canary(primary.command, canary_key("r1", "k"))
        with Connection(proxy.endpoint) as replica:
            assert not seen(replica.command, canary)


def test_a_replica_that_refuses_to_be_read_is_no_replica_without_the_canary(a_and_b):
    a, b = a_and_b
    with RespProxy(b, refusing(b"GET", b"NOPERM no")) as proxy, Connection(a) as primary:
        canary = write_canary(primary.command, canary_key("r1", "k"))
        with Connection(proxy.endpoint) as replica, pytest.raises(CanaryRefusedError, match="NOPERM no"):
            seen(replica.command, canary)


def sampled(lag: CanaryLag, times: int = 5) -> None:
    enough = lag.samples + times
    wait_until(lambda: lag.samples >= enough, deadline_s=20, what="samples", describe=lambda: str(lag.failures))


def test_lag_is_sampled_and_its_key_removed(a_and_b):
    a, b = a_and_b
    recorded = []
    with CanaryLag(a, {"b": b}, KEY, lambda *sample: recorded.append(sample), interval_s=0.005) as lag:
        sampled(lag, 20)
    assert lag.failures == ()
    assert contents(a) == {}
    seconds, nodes, lags, canaries = zip(*recorded, strict=True)
    assert len(recorded) >= 20
    assert list(seconds) == sorted(seconds)
    assert set(nodes) == {"b"}
    assert min(lags) >= 0
    assert lag.max_lag_ms == {"b": max(lags)}
    assert list(canaries) == sorted(canaries)
    assert canaries[-1] > 0


def test_lag_grows_while_a_replica_does_not_follow_and_ends_when_it_does_again(a_and_b):
    a, b = a_and_b
    recorded = []
    with CanaryLag(a, {"b": b}, KEY, lambda *sample: recorded.append(sample)) as lag:
        wait_until(lambda: recorded and recorded[-1][3] > 0, deadline_s=20, what="the first canary on b")
        stop_following(b)
        wait_until(lambda: lag.max_lag_ms["b"] > 300, deadline_s=20, what="lag", describe=lambda: recorded[-1])
        follow(b, a)
        wait_until(lambda: recorded[-1][2] < 300, deadline_s=20, what="no lag", describe=lambda: recorded[-1])
    assert lag.failures == ()


def test_a_sampler_that_can_not_sample_says_why(a_and_b):
    a, b = a_and_b
    with RespProxy(b, refusing(b"GET", b"NOPERM no")) as proxy, CanaryLag(a, {"b": proxy.endpoint}, KEY) as lag:
        wait_until(lambda: bool(lag.failures), deadline_s=20, what="the failure")
    (failure,) = lag.failures
    assert "the lag sampler died: CanaryRefusedError: the canary" in failure
    assert contents(a) == {}


def test_a_sampler_without_a_server_says_why(a_and_b):
    with RespProxy(a_and_b[0]) as proxy:
        gone = proxy.endpoint
    with CanaryLag(gone, {"b": a_and_b[1]}, KEY) as lag:
        wait_until(lambda: bool(lag.failures), deadline_s=20, what="the failure")
    assert "the lag sampler died: CannotConnect" in str(lag.failures)


def test_the_age_of_the_oldest_canary_that_was_not_seen():
    written = _Written()
    assert written.age_s(0, 100.0) == 0.0
    values = []
    for now in (10.0, 11.0, 13.0):
        values.append(written.next_value())
        written.acknowledge(now)
    assert [written.number(value) for value in (None, b"", b"theirs:3", *values)] == [0, 0, 0, 1, 2, 3]
    assert [written.age_s(shown, 20.0) for shown in (0, 1, 2, 3)] == [10.0, 9.0, 7.0, 0.0]


def test_a_canary_that_is_seen_before_its_answer_has_no_age():
    written = _Written()
    value = written.next_value()
    assert written.age_s(written.number(value), 20.0) == 0.0


def test_a_canary_that_was_forgotten_counts_as_the_oldest_that_was_not(monkeypatch):
    monkeypatch.setattr(_Written, "REMEMBERED", 2)
    written = _Written()
    for now in (10.0, 11.0, 13.0):
        written.acknowledge(now)
    assert written.age_s(0, 20.0) == 9.0


PAIR = Topology({"a": Node("a", 6379), "b": Node("b", 10878, replica_of="a")})


def test_a_replica_whose_offset_can_be_compared_needs_no_canary(a_and_b):
    with ExternalRuntime(dict(zip("ab", a_and_b, strict=True)), KeyNaming("r1")).deploy(PAIR) as deployment:
        deployment.attach()
        assert deployment.by_canary == set()


@pytest.mark.parametrize("fields", [(b"master_replid",), (b"role",)])
def test_one_that_hides_its_history_or_its_role_is_asked_by_canary(a_and_b, fields):
    a, b = a_and_b
    with RespProxy(b, hiding(*fields)) as proxy:
        runtime = ExternalRuntime({"a": a, "b": proxy.endpoint}, KeyNaming("r1"))
        with runtime.deploy(PAIR) as deployment:
            deployment.attach()
            assert deployment.by_canary == {"b"}


def test_a_canary_is_awaited_on_the_connection_that_then_reads(a_and_b):
    a, b = a_and_b
    with RespProxy(b, enterprise()) as proxy:
        runtime = ExternalRuntime({"a": a, "b": proxy.endpoint}, KeyNaming("r1"))
        with runtime.deploy(PAIR) as deployment:
            key = deployment.keys.claim("a", "k", 3)
            assert deployment.by_canary == {"b"}
            with Connection(deployment.endpoint("b").with_database(3)) as reader:
                deployment.await_canary("b", reader, key, 20)
                assert proxy.requests[-1] == [b"GET", b"harness:r1::canary:{harness:r1:k}"]
                stop_following(b)
                with pytest.raises(WaitedTooLongError, match="b to show a canary written after the last value"):
                    deployment.await_canary("b", reader, key, 0.2)
            with deployment.canary_lag(["b"], key, 3, lambda *sample: None) as lag:
                sampled(lag)
            assert lag.failures == ()
    assert contents(a) == {}
