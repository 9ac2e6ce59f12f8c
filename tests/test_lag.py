"""The lag sampler beside real servers: its figures, what it sees shrink, and how it tells that it died."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import harness
from harness.api import Deployed
from harness.endpoint.client import connect
from harness.kinds import LIST, KeyRef
from harness.lag import Followed, LagSampler
from harness.options import Options
from harness.runtime.local import LocalDeployment
from tests.support.disturbed import eventually

PAIR = """\
version: 1
title: A pair
topology: {nodes: {a: {port: 6379}, b: {replica_of: a, port: 6380, config: {replica-read-only: "no"}}}}
workload: {key: "numbers:list", values: 1}
"""
KEY = "numbers:list"


@dataclass
class Curve:
    """Everything that was recorded: seconds, node, lag in ms, offset."""

    points: list[tuple[float, str, float, int]] = field(default_factory=list)

    def add(self, seconds: float, node: str, lag_ms: float, offset: int) -> None:
        self.points.append((seconds, node, lag_ms, offset))

    def goes_on(self, samples: int = 3) -> None:
        """Wait for some more."""
        before = len(self.points)
        eventually(lambda: len(self.points) >= before + samples)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    path: Path = tmp_path_factory.mktemp("pair") / "pair.yaml"
    path.write_text(PAIR)
    with harness.deploy(path) as deployed:
        yield deployed


@contextmanager
def sampling(pair: Deployed, curve: Curve) -> Iterator[LagSampler]:
    deployment = pair.deployment
    streams = {"other": KeyRef(3, b"none", LIST), "workload": KeyRef(0, KEY.encode(), LIST)}
    sampler = LagSampler([Followed(deployment.control("a"), {"b": deployment.control("b")}, streams)], curve.add)
    with sampler:
        yield sampler
    assert not any(thread.name == "lag sampler" for thread in threading.enumerate())


def test_a_stalled_link_shows_as_lag_until_it_is_healed(pair):
    curve = Curve()
    with sampling(pair, curve) as sampler, closing(connect(pair.endpoint("a"))) as client:
        curve.goes_on()
        eventually(lambda: curve.points[-1][2] == 0)
        pair.link("a->b").add("bandwidth", rate=0)
        client.rpush(KEY, "1")
        eventually(lambda: curve.points[-1][2] > 50)
        pair.link("a->b").heal()
        eventually(lambda: curve.points[-1][2] == 0)
    assert sampler.failures == ()
    assert sampler.max_lag_ms["b"] == max(point[2] for point in curve.points) > 50
    assert {point[1] for point in curve.points} == {"b"}
    seconds, offsets = [point[0] for point in curve.points], [point[3] for point in curve.points]
    assert seconds == sorted(seconds)
    assert offsets == sorted(offsets)
    assert sampler.shrinks == ()


def test_relaxed_it_still_sees_that_a_list_shrinks(pair):
    curve = Curve()
    with closing(connect(pair.endpoint("a"))) as client, closing(connect(pair.endpoint("b"))) as replica:
        client.delete(KEY)
        client.rpush(KEY, 1, 2)
        client.wait(1, 5000)
        with sampling(pair, curve) as sampler:
            curve.goes_on()
            sampler.relax()
            replica.rpop(KEY)
            curve.goes_on()
    assert [(shrink.before, shrink.after) for shrink in sampler.shrinks] == [(2, 1)]


def test_a_list_that_shrinks_is_seen_though_it_grows_again(pair):
    curve = Curve()
    with closing(connect(pair.endpoint("a"))) as client, closing(connect(pair.endpoint("b"))) as replica:
        client.delete(KEY)
        client.rpush(KEY, *range(10))
        client.wait(1, 5000)
        with sampling(pair, curve) as sampler:
            curve.goes_on()
            replica.rpop(KEY, 4)
            curve.goes_on()
            replica.rpush(KEY, *range(6, 10))
            curve.goes_on()
    (shrink,) = sampler.shrinks
    assert (shrink.node, shrink.stream, shrink.before, shrink.after) == ("b", "workload", 10, 6)


def test_a_key_of_another_type_is_no_length(pair):
    curve = Curve()
    with closing(connect(pair.endpoint("a"))) as client:
        client.delete(KEY)
        client.rpush(KEY, *range(10))
        client.wait(1, 5000)
        with sampling(pair, curve) as sampler:
            curve.goes_on()
            client.set(KEY, "text")
            client.wait(1, 5000)
            curve.goes_on()
        client.delete(KEY)
    assert (sampler.shrinks, sampler.failures) == ((), ())


def test_a_sampler_that_dies_says_so(pair):
    curve = Curve()
    assert isinstance(pair.deployment, LocalDeployment)
    with sampling(pair, curve) as sampler:
        curve.goes_on()
        pair.deployment.kill("b")
        eventually(lambda: sampler.failures)
    (failure,) = sampler.failures
    assert failure.startswith("the lag sampler died: ")
    assert pair.deployment.control("b").address in failure


def test_what_can_not_be_recorded_ends_it_too(tmp_path_factory):
    path = tmp_path_factory.mktemp("pair") / "pair.yaml"
    path.write_text(PAIR)

    def full(*point: object) -> None:
        raise OSError(28, "No space left on device")

    with harness.deploy(path) as deployed:
        control = deployed.deployment.control
        with LagSampler([Followed(control("a"), {"b": control("b")})], full) as sampler:
            eventually(lambda: sampler.failures)
    assert sampler.failures == ("the lag sampler died: OSError: [Errno 28] No space left on device",)


def test_a_replica_that_loads_is_sampled_on(tmp_path):
    """During a full sync that takes long to load, a replica tells its offset and nothing of its keys."""
    slow = "{key-load-delay: 20000, loading-process-events-interval-bytes: 1024}"
    path = tmp_path / "loading.yaml"
    preload = "".join(f'  - {{key: "preloaded:{number}", values: 500}}\n' for number in range(20))
    path.write_text(
        "version: 1\ntitle: A replica that loads for long\n"
        "topology: {nodes: {a: {port: 6379, config: {repl-backlog-size: 16kb}}, "
        f"b: {{replica_of: a, port: 6380, config: {slow}}}}}}}\npreload:\n{preload}"
        "workload: {key: k, values: 20000}\n"
        "faults: [{at: 20%, until: 60%, link: a->b, toxic: cut}]\nexpect: {full_syncs: 1, partial_syncs: 0}\n"
    )
    from harness.options import Options

    verdict = harness.run(path, options=Options(out=tmp_path / "runs"))
    assert (verdict.outcome, verdict.doubts, verdict.unmet) == ("valid", (), ())


def test_a_shard_that_can_not_be_asked_leaves_the_others_sampled(tmp_path_factory):
    path = tmp_path_factory.mktemp("pair") / "pair.yaml"
    path.write_text(PAIR)
    curve = Curve()
    with harness.deploy(path) as one, harness.deploy(path, options=Options(ports="any")) as other:
        followed = [
            Followed(each.deployment.control("a"), {name: each.deployment.control("b")})
            for each, name in ((one, "b"), (other, "d"))
        ]
        with LagSampler(followed, curve.add) as sampler:
            eventually(lambda: {point[1] for point in curve.points} == {"b", "d"})
            assert isinstance(one.deployment, LocalDeployment)
            one.deployment.kill("a")
            eventually(lambda: sampler.failures)
            curve.goes_on()
    assert len(sampler.failures) == 1
    assert curve.points[-1][1] == "d"
