"""What servers will need, as sums; and the refusal that shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ExitCode, SetupError
from harness.memory_need import Available, Need, _of_groups, available_memory, memory_need, require_memory
from harness.options import Options
from harness.runner import run
from harness.scenario.loader import load

PAIR = """\
version: 1
title: A pair
why: To be sized.
topology: {nodes: {a: {role: primary}, b: {replica_of: a}}}
workload: {kind: list_append, key: k, values: 100000000}
property: {values: {min: 0, max: 5000}}
"""
FAN_OUT = PAIR.replace("b: {replica_of: a}", "b: {replica_of: a}, c: {replica_of: a}") + (
    "preload: [{key: before, values: 1000000}]\n"
)


def load_text(folder: Path, text: str):
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


@pytest.fixture
def loaded(tmp_path: Path):
    return lambda text: load_text(tmp_path, text)


COMMAND = len("*3 $5 RPUSH $1 k $9 100000000".replace(" ", "\r\n")) + 2  # the longest of a hundred million
BACKLOGS, WAITING = 2 * (10 << 20), 256 << 20


def test_both_servers_hold_every_value_and_what_waits_has_the_servers_own_limits(loaded):
    need = memory_need(loaded(PAIR))

    assert need == Need(servers=2, values=100_000_000, data=700_000_000, copies=2, buffers=BACKLOGS + WAITING)
    assert need.total == 2 * 700_000_000 + 2 * 10_000_000 + BACKLOGS + WAITING


def test_preloads_count_and_each_replica_has_a_buffer_of_its_own(loaded):
    assert memory_need(loaded(FAN_OUT)) == Need(
        servers=3, values=101_000_000, data=707_000_000, copies=3, buffers=3 * (10 << 20) + 2 * WAITING
    )


def test_a_transaction_waits_whole_on_the_primary(loaded):
    text = PAIR.replace("values: 100000000}", "values: 100000000, batch: {shape: multi, sizes: [10, 1000000]}}")
    need = memory_need(loaded(text))
    assert need.queued == 1_000_000 * (COMMAND + 140)
    assert need.total == memory_need(loaded(PAIR)).total + need.queued
    assert str(need).endswith(f"and {need.queued / 1e9:.2f} GB for commands queued until EXEC")
    assert memory_need(loaded(text.replace("100000000,", "5,"))).queued == 5 * (COMMAND - len("00000000") + 140)


def test_a_small_run_needs_no_more_buffer_than_it_sends(loaded):
    sent = 1000 * (COMMAND - len("00000"))  # and the length of "1000" has one digit, as that of "100000000"
    assert memory_need(loaded(PAIR.replace("100000000", "1000"))) == Need(2, 1000, 7000, 2, (2 + 1) * sent)


def test_a_property_needs_what_its_largest_draw_does(loaded):
    need = memory_need(loaded(PAIR), "property")
    assert (need.values, need.data, need.copies) == (5000, 35_000, 2)


@pytest.mark.parametrize(
    ("kind", "bytes_a_value"),
    [("list_append", 7), ("sorted_set", 130), ("string", 120), ("stream", 22), ("hash", 95), ("set", 80)],
)
def test_each_type_has_its_own_size(loaded, kind, bytes_a_value):
    text = PAIR.replace("list_append", kind).replace("100000000", "1000000")
    assert memory_need(loaded(text)).data == 1_000_000 * bytes_a_value


CLUSTER = PAIR.replace("nodes: {a: {role: primary}, b: {replica_of: a}}", "cluster: {shards: 3, replicas: 2}").replace(
    "property: {values: {min: 0, max: 5000}}\n", ""
)


@pytest.mark.parametrize(("kind", "bytes_a_value"), [("sharded_list", 7), ("sharded_sorted_set", 130)])
def test_a_cluster_holds_every_value_once_a_primary_and_once_a_replica(loaded, kind, bytes_a_value):
    sharded = CLUSTER.replace("list_append", kind).replace("key: k", 'key: "k:{n}"')
    data = 100_000_000 * bytes_a_value
    assert memory_need(loaded(sharded)) == Need(9, 100_000_000, data, 3, 9 * (10 << 20) + 6 * (256 << 20))


def test_a_cluster_that_cannot_fit_is_refused(loaded):
    with pytest.raises(SetupError, match=r"3\.89 GB: 9 servers with 3 times 100,000,000 values in 0\.70 GB"):
        require_memory(loaded(CLUSTER), available=Available(3_000_000_000, "MemAvailable"))
    require_memory(loaded(CLUSTER), available=Available(5_000_000_000, "MemAvailable"))


@pytest.mark.parametrize(
    ("directive", "buffers"),
    [
        ("repl-backlog-size: 256mb", (256 << 20) + (10 << 20) + WAITING),
        ("Repl-Backlog-Size: 1G", 10**9 + (10 << 20) + WAITING),
        ("repl-backlog-size: 16384", 16384 + (10 << 20) + WAITING),
        ("repl-backlog-size: 900gb", COMMAND * 100_000_000 + (10 << 20) + WAITING),  # all that is sent, and no more
        ('client-output-buffer-limit: "normal 0 0 0 replica 1mb 1mb 60"', BACKLOGS + (1 << 20)),
        ('client-output-buffer-limit: "slave 0 0 0"', BACKLOGS + COMMAND * 100_000_000),
        ('client-output-buffer-limit: "pubsub 1mb 1mb 60"', BACKLOGS + WAITING),
    ],
)
def test_what_the_primary_is_configured_to_keep_counts(loaded, directive, buffers):
    text = PAIR.replace("a: {role: primary}", f"a: {{role: primary, config: {{{directive}}}}}")
    assert memory_need(loaded(text)).buffers == buffers


def test_what_fits_is_not_refused(loaded):
    require_memory(loaded(PAIR), available=Available(1_710_000_000, "MemAvailable"))


def test_what_cannot_fit_is_refused_with_the_sum(loaded):
    with pytest.raises(SetupError) as refused:
        require_memory(loaded(PAIR), available=Available(1_200_000_000, "MemAvailable"))

    assert str(refused.value) == (
        "the servers of this run need about 1.71 GB: 2 servers with 2 times 100,000,000 values in 0.70 GB, 0.02 GB for "
        "the programs and 0.29 GB for backlogs and what waits during a full sync; 1.20 GB are free here (MemAvailable)."
        " Write fewer values (--set workload.values=…), or use a machine with more memory"
    )
    assert refused.value.exit_code is ExitCode.MACHINE_LACKS


def test_a_run_that_cannot_fit_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("harness.memory_need.available_memory", lambda: Available(1_000_000, "a test"))

    with pytest.raises(SetupError, match=r"2 times 100,000,000 values in 0\.70 GB.* 0\.00 GB are free here \(a test\)"):
        run(load_text(tmp_path, PAIR), Options(out=tmp_path / "runs"))

    assert not (tmp_path / "runs").exists()


def test_this_machine_tells_how_much_it_has():
    found = available_memory()
    assert found is None or found.size > 0


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def test_the_limit_of_a_control_group_counts_less_what_is_used_more_what_can_be_given_up(tmp_path: Path):
    group(tmp_path / "fs/job", memory__max="1000", memory__current="700", memory__stat="anon 1\ninactive_file 100")
    (tmp_path / "cgroup").write_text("0::/job\n")

    (left,) = _of_groups(tmp_path / "fs", tmp_path / "cgroup")

    assert left == Available(400, f"the limit of control group {tmp_path / 'fs/job'}")


def test_a_group_without_a_limit_is_passed_over_and_one_around_it_counts(tmp_path: Path):
    group(tmp_path / "fs/out/in", memory__max="max", memory__current="7", memory__stat="inactive_file 0")
    group(tmp_path / "fs/out", memory__max="50", memory__current="20", memory__stat="inactive_file 0")
    (tmp_path / "cgroup").write_text("0::/out/in\n")

    assert [left.size for left in _of_groups(tmp_path / "fs", tmp_path / "cgroup")] == [30]


def test_older_control_groups_are_read_too(tmp_path: Path):
    group(
        tmp_path / "fs/memory/job",
        memory__limit_in_bytes="1000",
        memory__usage_in_bytes="900",
        memory__stat="inactive_file 3\ntotal_inactive_file 50",
    )
    (tmp_path / "cgroup").write_text("9:name=systemd:/\n4:memory:/job\n0::/\n")

    assert [left.size for left in _of_groups(tmp_path / "fs", tmp_path / "cgroup")] == [150]


def test_a_group_that_is_not_to_be_seen_here_says_nothing(tmp_path: Path):
    (tmp_path / "cgroup").write_text("4:memory:/elsewhere\n0::/elsewhere\n")
    assert list(_of_groups(tmp_path / "fs", tmp_path / "cgroup")) == []
