"""A writer that loses its connection amid a pipeline, from the first byte to the verdict.

What was acknowledged must be there, what A executed without an answer as well; what came late is no alarm.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import redis

import harness.cycle
import harness.reading
from harness.checker.verdict import Kind
from harness.cycle import Cycle
from harness.endpoint.client import connect
from harness.errors import ExitCode
from harness.history import Acknowledged, Broken, Entry, Unanswered, read_ledger
from harness.options import Options
from harness.plan import StreamPlan
from harness.runner import Result, judge_again, run
from harness.scenario.loader import load
from harness.workload.base import Route
from tests.support.disturbed import eventually
from tests.support.relay import Cut, Relay, after_lines, after_pushes

KEY = "numbers:list"
VALUES = 6000
SCENARIO = f"""\
version: 1
title: The writer's own way breaks
topology: {{nodes: {{a: {{port: 6379}}, b: {{replica_of: a, port: 6380, config: {{replica-read-only: "no"}}}}}}}}
workload: {{key: "numbers:list", values: {VALUES}, batch: {{shape: pipeline, size: 1000}}}}
faults: [{{at: 0%, until: 100%, link: client->a, toxic: latency, latency_ms: 0}}]
expect: {{list: exact}}
"""


class Way:
    """The writer's way to A through a relay, which breaks the first connection. late: lets the held bytes come."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.late = threading.Event()
        self._relays: list[Relay] = []
        self.control: Callable[[], redis.Redis] = lambda: pytest.fail("nothing was written")

    def breaks(self, cut: Cut, *, no_fence: str = "") -> None:
        real = harness.cycle._route

        def route(cycle: Cycle, plan: StreamPlan) -> Route:
            found = real(cycle, plan)
            relay = Relay(found.entry, cut)
            self._relays.append(relay)
            self.control = lambda: connect(found.control)
            return replace(found, entry=relay.endpoint, no_fence=no_fence or found.no_fence)

        self._monkeypatch.setattr(harness.cycle, "_route", route)

    def before_reading(self, act: Callable[[redis.Redis, redis.Redis], object]) -> None:
        """act(a, b) once everybody has converged."""
        real, done = harness.reading.read, []

        def read(deployment, *rest, **how):
            if not done:
                done.append(True)
                with closing(connect(deployment.control("a"))) as a, closing(connect(deployment.control("b"))) as b:
                    act(a, b)
            return real(deployment, *rest, **how)

        self._monkeypatch.setattr(harness.reading, "read", read)

    def close(self) -> None:
        self.late.set()
        for relay in self._relays:
            relay.__exit__()


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    made = Way(monkeypatch)
    yield made
    made.close()


def run_it(folder: Path) -> tuple[Result, list[Entry]]:
    path = folder / "broken.yaml"
    path.write_text(SCENARIO)
    result = run(load(path), Options(out=folder / "runs", keep=True))
    assert result.verdict is not None
    assert result.run_dir is not None
    assert judge_again(result.run_dir).verdict == result.verdict
    return result, list(read_ledger(result.run_dir / "ledger" / "workload.jsonl"))


def lost_at(result: Result) -> list[tuple[Kind, str | None, int]]:
    assert result.verdict is not None
    return [(each.kind, each.first.expected, each.count) for each in result.verdict.anomalies]


class TestCutAfterFourHundredReplies:
    @pytest.fixture(autouse=True)
    def cut(self, way: Way) -> None:
        way.breaks(Cut(after_lines(400)))

    def test_four_hundred_are_acknowledged_and_nothing_is_alarming(self, tmp_path):
        result, entries = run_it(tmp_path)
        assert entries[0] == Acknowledged(1, 1, 400, 1)
        (opened,) = [entry for entry in entries if isinstance(entry, Unanswered)]
        assert opened.first == 401
        assert (result.exit_code, result.report["verdict"]) == (ExitCode.AS_EXPECTED, "valid"), result.report
        assert result.report["acknowledged"] == VALUES - (opened.last - 400)
        assert result.report["unknown"] == opened.last - 400

    @pytest.mark.parametrize("number", [1, 400, 401, VALUES])
    def test_losing_any_that_a_holds_is_found(self, way, tmp_path, number):
        """400 was acknowledged; 401 was executed, and nobody was told."""

        def lose(a: redis.Redis, b: redis.Redis) -> None:
            assert str(number).encode() in a.lrange(KEY, 0, -1)
            assert b.lrem(KEY, 1, str(number)) == 1

        way.before_reading(lose)
        result, _ = run_it(tmp_path)
        kind = Kind.TRUNCATED if number == VALUES else Kind.LOST
        assert lost_at(result) == [(kind, str(number), 1)]
        assert result.exit_code == ExitCode.NOT_AS_EXPECTED

    def test_an_element_that_both_lost_is_found(self, way, tmp_path):
        """A forgets what it had acknowledged, and so does B: comparing the two would show nothing."""

        def lose(a: redis.Redis, b: redis.Redis) -> None:
            a.lrem(KEY, 1, "400")
            a.wait(1, 5000)

        way.before_reading(lose)
        result, _ = run_it(tmp_path)
        assert lost_at(result) == [(Kind.LOST, "400", 1)]
        assert result.verdict is not None
        assert "a holds" not in result.verdict.anomalies[0].message


def after_length_400(replies: bytes) -> int | None:
    """Where a connection has no introduction: let the replies pass up to the one that tells this length."""
    position = replies.find(b":400\r\n")
    return None if position < 0 else position + len(b":400\r\n")


def late_ones_came(a: redis.Redis, b: redis.Redis) -> None:
    """What the relay still held has come, also to B, and stands after newer elements."""
    eventually(lambda: b"701" in b.lrange(KEY, 0, -1) and a.llen(KEY) == b.llen(KEY))
    held = b.lrange(KEY, 0, -1)
    assert held.index(b"701") > held.index(b"4000")


class TestBytesThatComeLate:
    """Of the first connection A gets 700 commands; the rest of what was sent comes when newer elements are there."""

    @pytest.fixture(autouse=True)
    def cut(self, way: Way) -> Iterator[None]:
        way.breaks(Cut(after_length_400, hold=after_pushes(700), late=way.late), no_fence="its profile is not oss")

        def release() -> None:
            with closing(way.control()) as a:
                eventually(lambda: way.late.is_set() or a.lpos(KEY, 4000) is not None)
            way.late.set()

        helper = threading.Thread(target=lambda: (eventually(lambda: way._relays), release()), daemon=True)
        helper.start()
        yield
        way.late.set()
        helper.join(20)
        assert not helper.is_alive()

    def test_it_is_no_alarm(self, way, tmp_path):
        way.before_reading(late_ones_came)
        result, entries = run_it(tmp_path)
        assert [entry.fenced for entry in entries if isinstance(entry, Broken)] == [False]
        assert result.verdict is not None
        assert result.verdict.anomalies == ()
        assert any("unfenced" in note for note in result.verdict.notes), result.verdict.notes
        assert result.exit_code == ExitCode.AS_EXPECTED, result.report

    @pytest.mark.parametrize("number", [1, 400, 5000])
    def test_an_element_really_lost_is_one(self, way, tmp_path, number):
        def lose(a: redis.Redis, b: redis.Redis) -> None:
            late_ones_came(a, b)
            assert b.lrem(KEY, 1, str(number)) == 1

        way.before_reading(lose)
        result, _ = run_it(tmp_path)
        assert lost_at(result) == [(Kind.LOST, str(number), 1)]
        assert result.exit_code == ExitCode.NOT_AS_EXPECTED
