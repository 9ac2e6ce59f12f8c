"""Properties: clean draws alarm nobody; one that fails is shrunk, told, kept, and reproduced."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import redis

import harness.cycle
import harness.reading
from harness import property_run
from harness.checker.verdict import Kind, Outcome
from harness.endpoint.client import connect
from harness.errors import ExitCode, SetupError
from harness.options import Options
from harness.resp.kept import KeptConnections
from harness.runner import Result, judge_again, replay, run
from harness.runtime.local import LocalRuntime
from harness.scenario.loader import load

SCENARIO = """\
version: 1
title: Any list arrives as it was written
topology: {nodes: {a: {port: 6379}, b: {replica_of: a, port: 6380, config: {replica-read-only: "no"}}}}
workload: {key: "numbers:list", values: 100, batch: {shape: variadic, size: 10}}
"""
SMALL = "property: {values: {min: 0, max: 200}, batch: {size: {min: 1, max: 20}}, examples: 60}"
SLOW_WRITER = "faults: [{at: 20%, until: 80%, link: client->a, toxic: latency, latency_ms: 1}]"
Tamper = Callable[[redis.Redis, str, int], object]  # B, the list's key, how many values were written


def run_it(folder: Path, *more: str, part: str = "property", **options: object) -> Result:
    path = folder / "drawn.yaml"
    path.write_text(SCENARIO + "".join(f"{line}\n" for line in more or (SMALL,)))
    chosen = {"out": folder / "runs", "keep": True, "seed": 7, **options}
    return run(load(path), Options(**chosen), part=part)  # type: ignore[arg-type]


def tampering(monkeypatch: pytest.MonkeyPatch, tamper: Tamper) -> None:
    """Each time when the draw has converged, and before it is read."""
    real = harness.reading.read

    def read(deployment, node, plan, *rest, **how):
        with closing(connect(deployment.control("b"))) as b:
            tamper(b, plan.key.decode(), plan.values)
        return real(deployment, node, plan, *rest, **how)

    monkeypatch.setattr(harness.reading, "read", read)


class TestClean:
    def test_two_hundred_draws_give_no_alarm(self, tmp_path):
        result = run_it(tmp_path, examples=200)
        assert (result.exit_code, result.part) == (ExitCode.AS_EXPECTED, "property")
        assert result.verdict is not None
        assert (result.verdict.anomalies, result.verdict.doubts) == ((), ())
        draws = result.report["draws"]
        assert draws["examples"] >= 100  # hypothesis leaves out what it has drawn already
        assert draws["valid"] == draws["examples"]
        assert (draws["invalid"], draws["unknown"], draws["smallest"]) == (0, 0, None)

    def test_nothing_and_a_single_value_are_always_drawn(self, tmp_path, monkeypatch):
        seen = []
        tampering(monkeypatch, lambda b, key, values: seen.append(values))
        run_it(tmp_path, examples=1)
        assert seen[:2] == [0, 1]

    def test_every_draw_has_a_key_of_its_own_which_is_removed(self, tmp_path, monkeypatch):
        keys: list[str] = []
        others: list[int] = []

        def look(b: redis.Redis, key: str, values: int) -> None:
            keys.append(key)
            others.append(len([found for found in b.scan_iter() if found.decode() != key]))

        tampering(monkeypatch, look)
        run_it(tmp_path, examples=20)
        assert len(set(keys)) == len(keys)
        assert set(others) == {0}

    def test_the_same_seed_draws_the_same(self, tmp_path, monkeypatch):
        runs: list[list[int]] = []
        tampering(monkeypatch, lambda b, key, values: runs[-1].append(values))
        for seed in (3, 3, 4):
            runs.append([])
            run_it(tmp_path, examples=15, seed=seed)
        assert runs[0] == runs[1] != runs[2]

    def test_a_seed_is_chosen_and_told_where_none_is_given(self, tmp_path):
        assert isinstance(run_it(tmp_path, examples=2, seed=None).report["seed"], int)

    def test_the_servers_stay_the_same_from_draw_to_draw(self, tmp_path, monkeypatch):
        deployed = []
        deploy = LocalRuntime.deploy
        monkeypatch.setattr(LocalRuntime, "deploy", lambda self, *rest: deployed.append(1) or deploy(self, *rest))
        run_it(tmp_path, examples=20)
        assert deployed == [1]

    @pytest.mark.parametrize(("fault", "opened_anew"), [("", False), (SLOW_WRITER, True)])
    def test_draws_share_connections_unless_a_fault_could_meet_them(self, tmp_path, monkeypatch, fault, opened_anew):
        reused = []
        take = KeptConnections.take

        def watched(self, *where, **how):
            found = take(self, *where, **how)
            if not how.get("reader"):  # views of nodes are opened once, and read over what they have
                reused.append(found)
            return found

        monkeypatch.setattr(KeptConnections, "take", watched)
        result = run_it(tmp_path, *([fault] if fault else []), SMALL, examples=20)
        assert result.exit_code == ExitCode.AS_EXPECTED
        assert any(reused) is not opened_anew
        assert bool(reused) is not opened_anew

    def test_preloads_are_there_and_alarm_nobody(self, tmp_path):
        result = run_it(tmp_path, "preload: [{key: before, values: 50, db: 2}]", SMALL, examples=10)
        assert result.exit_code == ExitCode.AS_EXPECTED

    def test_what_binds_the_written_run_alone_binds_no_draw(self, tmp_path):
        expect = "expect: {length: 100, newest_first: [100, 99], full_syncs: 3, converges_within_s: 0.000001}"
        assert run_it(tmp_path, expect, SMALL, examples=5).exit_code == ExitCode.AS_EXPECTED
        assert run_it(tmp_path, expect, SMALL, part="written").exit_code == ExitCode.NOT_AS_EXPECTED


def drop_the_tenth(b: redis.Redis, key: str, values: int) -> None:
    b.lrem(key, 1, "10")


class TestFailing:
    """B loses the tenth element: the smallest list that shows it has ten or eleven."""

    def test_it_is_shrunk_and_named(self, tmp_path, monkeypatch):
        tampering(monkeypatch, drop_the_tenth)
        result = run_it(tmp_path)
        assert result.exit_code == ExitCode.NOT_AS_EXPECTED
        assert result.verdict is not None
        (anomaly,) = result.verdict.anomalies
        assert anomaly.kind in (Kind.LOST, Kind.TRUNCATED)
        draws = result.report["draws"]
        smallest = draws["smallest"]
        assert smallest == ("10 values, single" if anomaly.kind is Kind.TRUNCATED else "11 values, single")
        assert draws["invalid"] >= 1
        assert draws["intermittent"] is False
        assert draws["examples"] == draws["valid"] + draws["invalid"] + draws["unknown"]

    def test_its_scenario_fails_the_same_way(self, tmp_path, monkeypatch):
        tampering(monkeypatch, drop_the_tenth)
        first = run_it(tmp_path)
        assert first.run_dir is not None
        reproduce = first.run_dir / "reproduce.yaml"
        again = run(load(reproduce), Options(out=tmp_path / "again"))
        assert again.part == "written"
        assert again.exit_code == ExitCode.NOT_AS_EXPECTED
        assert again.verdict is not None
        assert first.verdict is not None
        assert [(each.kind, each.first) for each in again.verdict.anomalies] == [
            (each.kind, each.first) for each in first.verdict.anomalies
        ]
        monkeypatch.undo()
        assert run(load(reproduce), Options(out=tmp_path / "again")).exit_code == ExitCode.AS_EXPECTED

    def test_its_evidence_is_judged_and_replayed_as_it_was(self, tmp_path, monkeypatch):
        tampering(monkeypatch, drop_the_tenth)
        first = run_it(tmp_path, "expect: {length: 100, full_syncs: 0}", SMALL)
        assert first.run_dir is not None
        assert judge_again(first.run_dir).verdict == first.verdict
        again = replay(first.run_dir, Options(out=tmp_path / "again"))
        assert (again.part, again.exit_code) == ("written", ExitCode.NOT_AS_EXPECTED)

    def test_the_deployment_is_made_anew_after_a_failed_draw(self, tmp_path, monkeypatch):
        """Its leftovers would make later draws fail for a reason that is not theirs."""
        left = []

        def leave_a_key(b: redis.Redis, key: str, values: int) -> None:
            left.append(b.exists("left over"))
            if values >= 10:
                b.set("left over", "x")

        tampering(monkeypatch, leave_a_key)
        result = run_it(tmp_path)
        assert result.exit_code == ExitCode.NOT_AS_EXPECTED
        assert set(left) == {0}
        assert result.report["draws"]["smallest"] == "10 values, single"

    def test_a_failure_that_does_not_come_again_is_intermittent_and_still_one(self, tmp_path, monkeypatch):
        failed = []

        def once(b: redis.Redis, key: str, values: int) -> None:
            if values >= 10 and not failed:
                failed.append(values)
                b.lrem(key, 1, "1")

        tampering(monkeypatch, once)
        result = run_it(tmp_path)
        assert result.exit_code == ExitCode.NOT_AS_EXPECTED
        assert result.verdict is not None
        assert [each.kind for each in result.verdict.anomalies] == [Kind.LOST]
        assert result.report["draws"]["intermittent"] is True
        assert result.report["draws"]["smallest"].startswith(f"{failed[0]} values, ")

    def test_shrinking_ends_after_a_while(self, tmp_path, monkeypatch):
        monkeypatch.setattr(property_run, "SHRINK_WITHIN_S", 0.0)
        seen = []

        def lose_one(b: redis.Redis, key: str, values: int) -> None:
            seen.append(values)
            b.lpop(key)

        tampering(monkeypatch, lose_one)
        result = run_it(tmp_path, "property: {values: {min: 2, max: 200}, examples: 60}")
        assert result.exit_code == ExitCode.NOT_AS_EXPECTED
        assert len(seen) == 2  # the one that failed, and the same once more
        assert result.report["draws"]["smallest"].startswith(f"{seen[0]} values, ")

    def test_a_stray_write_that_nobody_expects_is_shrunk(self, tmp_path):
        stray = '{node: b, key: "numbers:list", element: x}'
        result = run_it(tmp_path, f"faults: [{{at: 50%, stray_write: {stray}}}]", SMALL)
        assert result.verdict is not None
        assert [each.kind for each in result.verdict.anomalies] == [Kind.PHANTOM]
        assert result.report["draws"]["smallest"] == "0 values, single; stray write to b at 50%"
        assert result.run_dir is not None
        again = run(load(result.run_dir / "reproduce.yaml"), Options(out=tmp_path / "again"))
        assert again.verdict is not None
        assert [each.kind for each in again.verdict.anomalies] == [Kind.PHANTOM]

    def test_the_same_where_it_is_expected(self, tmp_path):
        stray = '{node: b, key: "numbers:list", element: x}'
        more = [f"faults: [{{at: 50%, stray_write: {stray}}}]", "expect: {anomalies: [phantom]}", SMALL]
        assert run_it(tmp_path, *more, examples=10).exit_code == ExitCode.AS_EXPECTED


class TestUnknown:
    def test_a_draw_that_can_not_be_judged_makes_the_whole_unknown(self, tmp_path, monkeypatch):
        real, seen = harness.cycle.take_target, []

        def far(root, *rest, **how):
            found = real(root, *rest, **how)
            seen.append(found)
            return replace(found, offset=found.offset + 10_000) if len(seen) in (5, 6) else found

        monkeypatch.setattr(harness.cycle, "take_target", far)
        result = run_it(tmp_path, "expect: {give_up_s: 0.2}", SMALL, examples=10)
        assert result.verdict is not None
        assert (result.verdict.outcome, result.exit_code) == (Outcome.UNKNOWN, ExitCode.UNKNOWN)
        draws = result.report["draws"]
        assert (draws["unknown"], draws["invalid"]) == (1, 0)
        assert draws["valid"] == draws["examples"] - 1
        assert result.run_dir is not None
        assert judge_again(result.run_dir).verdict.outcome is Outcome.UNKNOWN  # type: ignore[union-attr]

    def test_a_failed_draw_weighs_more(self, tmp_path, monkeypatch):
        real, seen = harness.cycle.take_target, []

        def far(root, *rest, **how):
            found = real(root, *rest, **how)
            seen.append(found)
            return replace(found, offset=found.offset + 10_000) if len(seen) == 1 else found

        monkeypatch.setattr(harness.cycle, "take_target", far)
        tampering(monkeypatch, drop_the_tenth)
        result = run_it(tmp_path, "expect: {give_up_s: 0.2}", SMALL)
        assert result.exit_code == ExitCode.NOT_AS_EXPECTED
        assert result.report["draws"]["unknown"] == 1

    def test_a_fault_must_have_met_one_draw_at_least(self, tmp_path):
        never = "faults: [{at: 3000s, until: 3001s, link: a->b, toxic: latency, latency_ms: 1}]"
        result = run_it(tmp_path, never, SMALL, examples=3)
        assert result.exit_code == ExitCode.UNKNOWN
        assert result.verdict is not None
        assert result.verdict.doubts == ("latency latency_ms=1 on a->b at 3000s met nothing: 3000s never came",)
        assert result.run_dir is not None
        assert judge_again(result.run_dir).verdict == result.verdict

    def test_one_that_met_some_draw_is_enough(self, tmp_path):
        cut = "faults: [{at: 30%, until: 60%, link: a->b, toxic: latency, latency_ms: 1}]"
        result = run_it(tmp_path, cut, SMALL, examples=5)
        assert result.exit_code == ExitCode.AS_EXPECTED
        assert [fault["met"] for fault in result.report["faults"]] == [True]

    def test_what_keeps_it_from_any_draw_is_raised(self, tmp_path, monkeypatch):
        monkeypatch.setattr(harness.cycle, "take_target", lambda *rest, **how: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_it(tmp_path, examples=3)
        assert not (tmp_path / "runs").exists()

    def test_ctrl_c_ends_it_at_once_and_leaves_nothing(self, tmp_path, monkeypatch):
        def interrupt(b: redis.Redis, key: str, values: int) -> None:
            if values > 1:
                raise KeyboardInterrupt

        tampering(monkeypatch, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_it(tmp_path)
        assert not (tmp_path / "runs").exists()

    def test_a_machine_that_lacks_something_says_so_once(self, tmp_path, monkeypatch):
        def refuse(self, *rest):
            raise SetupError("no engine")

        monkeypatch.setattr(LocalRuntime, "deploy", refuse)
        with pytest.raises(SetupError, match=r"^no engine$"):
            run_it(tmp_path)
        assert not (tmp_path / "runs").exists()


def test_a_kept_run_without_failures_is_drawn_again_by_replay(tmp_path):
    first = run_it(tmp_path, SMALL, examples=8)
    assert first.run_dir is not None
    judged = judge_again(first.run_dir).verdict
    assert judged is not None
    assert first.verdict is not None
    assert judged == replace(first.verdict, notes=())  # the number of draws is no matter of judging
    again = replay(first.run_dir, Options(out=tmp_path / "again", keep=True))
    assert (again.part, again.exit_code) == ("property", ExitCode.AS_EXPECTED)
    assert again.report["seed"] == 7
    assert again.report["draws"]["examples"] >= first.report["draws"]["examples"]
