"""What a run leaves comes back exactly; secrets do not get in, and other versions are refused."""

from __future__ import annotations

import dataclasses
import json
import stat
from pathlib import Path

import pytest

from harness.checker.evidence import Evidence
from harness.errors import UsageError
from harness.report.store import RunDirectory
from tests.report.made import ENTRIES, EVIDENCE, FACTS, RUNS, VERDICT


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "runs", "one_replica/list_append", "r1", {"s3cret", "p/w"})


def without_callables(evidence: Evidence) -> Evidence:
    """Equal for equal contents: callables are replaced by what they give."""
    return dataclasses.replace(
        evidence,
        streams=tuple(dataclasses.replace(stream, entries=tuple(stream.entries())) for stream in evidence.streams),
        readings=tuple(dataclasses.replace(reading, runs=tuple(reading.runs())) for reading in evidence.readings),
    )


def test_it_lies_under_the_scenarios_name_and_is_its_owners_alone(directory: RunDirectory, tmp_path: Path) -> None:
    assert directory.path.parent == tmp_path / "runs/one_replica/list_append"
    assert directory.path.name.endswith("Z-r1")
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700


def test_two_runs_of_one_second_and_one_id_have_two_directories(tmp_path: Path) -> None:
    made = {RunDirectory.create(tmp_path, "x", "r1").path for _ in range(5)}
    assert len(made) == 5


def test_a_name_can_not_leave_the_folder(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "runs", "/../../etc/./x", "../../r")
    assert directory.path.parent == tmp_path / "runs/etc/x"
    assert "/" not in directory.path.name


def test_evidence_comes_back_as_it_was(directory: RunDirectory) -> None:
    directory.save_evidence(EVIDENCE)
    loaded = RunDirectory.open(directory.path).load_evidence()
    assert without_callables(loaded) == without_callables(EVIDENCE)


def test_loaded_evidence_can_be_read_again_and_again(directory: RunDirectory) -> None:
    directory.save_evidence(EVIDENCE)
    loaded = directory.load_evidence()
    assert list(loaded.readings[0].runs()) == list(loaded.readings[0].runs()) == list(RUNS)
    assert list(loaded.streams[0].entries()) == list(loaded.streams[0].entries()) == list(ENTRIES)


def test_files_that_the_run_wrote_itself_are_not_written_again(directory: RunDirectory) -> None:
    directory.save_evidence(EVIDENCE)
    before = directory.readings("b", "workload").stat().st_mtime_ns
    directory.save_evidence(EVIDENCE)
    assert directory.readings("b", "workload").stat().st_mtime_ns == before


def test_what_could_not_be_measured_stays_apart_from_nothing(directory: RunDirectory) -> None:
    directory.save_evidence(dataclasses.replace(EVIDENCE, syncs=None, max_lag_ms=None))
    loaded = directory.load_evidence()
    assert loaded.syncs is None
    assert loaded.max_lag_ms is None


def test_facts_verdict_and_report_come_back(directory: RunDirectory) -> None:
    directory.save_facts(FACTS)
    directory.save_verdict(VERDICT)
    directory.save_report({"version": 1, "verdict": "invalid"})
    opened = RunDirectory.open(directory.path)
    assert opened.load_facts() == FACTS
    assert opened.load_verdict() == VERDICT
    assert opened.load_report() == {"version": 1, "verdict": "invalid"}
    assert (opened.run_id, opened.name) == ("r1", "one_replica/list_append")


def test_the_replay_file_is_a_shell_script_that_may_be_moved(directory: RunDirectory) -> None:
    directory.save_replay("harness replay x")
    text = (directory.path / "replay.sh").read_text()
    assert text == '#!/bin/sh\n# harness replay x\nexec harness replay "$(dirname -- "$0")" "$@"\n'


def test_passwords_are_hidden_in_logs_and_info(directory: RunDirectory) -> None:
    directory.save_log("a", "AUTH s3cret failed, also p/w and p%2Fw\n\udcff")
    directory.save_info("a", "before", "requirepass:s3cret")
    assert (directory.path / "logs/a.log").read_text() == "AUTH <hidden> failed, also <hidden> and <hidden>\n\\udcff"
    assert (directory.path / "info/a.before.txt").read_text() == "requirepass:<hidden>"


def test_the_longest_of_overlapping_passwords_is_hidden_whole(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path, "r", {"ab", "abcd", ""}).hide("xabcdx ab") == "x<hidden>x <hidden>"


def test_a_draw_has_a_directory_of_its_own_inside(directory: RunDirectory) -> None:
    draw = directory.part("draws/17")
    draw.save_evidence(EVIDENCE)
    draw.save_log("a", "s3cret")
    assert without_callables(RunDirectory.open(directory.path / "draws/17").load_evidence()) == without_callables(
        EVIDENCE
    )
    assert (draw.path / "logs/a.log").read_text() == "<hidden>"


def test_discarding_leaves_nothing_of_the_run(directory: RunDirectory, tmp_path: Path) -> None:
    directory.discard()
    assert list(tmp_path.iterdir()) == []


def test_discarding_leaves_other_runs_and_the_users_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    first = RunDirectory.create(tmp_path / "mine", "x/y", "r1")
    second = RunDirectory.create(tmp_path / "mine", "x/y", "r2")
    first.discard()
    assert second.path.is_dir()
    second.discard()
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("version", [0, 2, None, "1"])
def test_evidence_of_another_version_is_refused(directory: RunDirectory, version: object) -> None:
    directory.save_evidence(EVIDENCE)
    path = directory.path / "evidence.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": version}))
    with pytest.raises(UsageError, match=r"evidence\.json has version .*, and this harness reads version 1"):
        directory.load_evidence()


def test_a_run_directory_of_another_version_is_refused(directory: RunDirectory) -> None:
    (directory.path / "run.json").write_text('{"version": 9}')
    with pytest.raises(UsageError, match=r"run\.json has version 9, and this harness reads version 1; use the harness"):
        RunDirectory.open(directory.path)


def test_any_other_folder_is_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run directory"):
        RunDirectory.open(tmp_path)
    with pytest.raises(UsageError, match="is no run directory"):
        RunDirectory.open(tmp_path / "missing")


def test_a_run_that_ended_early_says_so(directory: RunDirectory) -> None:
    with pytest.raises(UsageError, match=r"evidence\.json is not there: the run ended before it was written"):
        directory.load_evidence()


def test_damaged_evidence_names_the_place(directory: RunDirectory) -> None:
    directory.save_evidence(EVIDENCE)
    path = directory.path / "evidence.json"
    stored = json.loads(path.read_text())
    del stored["evidence"]["convergences"][0]["reached"]
    path.write_text(json.dumps(stored))
    with pytest.raises(UsageError, match=r"evidence\.json is damaged at convergences\.0\.reached"):
        directory.load_evidence()


def test_half_a_file_is_not_evidence(directory: RunDirectory) -> None:
    (directory.path / "evidence.json").write_text('{"version": 1, "evid')
    with pytest.raises(UsageError, match=r"evidence\.json can't be read"):
        directory.load_evidence()


def test_a_ledger_that_is_gone_is_named_when_it_is_read(directory: RunDirectory) -> None:
    directory.save_evidence(EVIDENCE)
    directory.ledger("workload").unlink()
    loaded = directory.load_evidence()
    with pytest.raises(UsageError, match=r"the run directory is damaged: .*workload\.jsonl"):
        list(loaded.streams[0].entries())


def test_a_folder_that_can_not_be_made_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"no run directory can be made under .*; choose another place with --out"):
        RunDirectory.create(tmp_path / "file", "x", "r1")
