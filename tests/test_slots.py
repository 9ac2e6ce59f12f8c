"""Slots, shards and the names of sharded keys; and which producer writes which key."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.plan import block_size, plan_streams, producers_of, writers_of
from harness.scenario.model import Workload
from harness.slots import SLOTS, hash_tag, key_names, shard_of, shard_ranges, slot_of


@pytest.mark.parametrize(
    ("key", "slot"),
    [(b"foo", 12182), (b"123456789", 12739), (b"{user1000}.following", 3443), (b"user1000", 3443), (b"", 0)],
)
def test_slots_are_those_of_the_servers(key: bytes, slot: int) -> None:
    assert slot_of(key) == slot


@pytest.mark.parametrize(
    ("key", "tag"),
    [(b"a{b}c", b"b"), (b"a{}c", b"a{}c"), (b"a{b", b"a{b"), (b"{{b}}", b"{b"), (b"a{b}{c}", b"b")],
)
def test_hash_tags(key: bytes, tag: bytes) -> None:
    assert hash_tag(key) == tag


@given(st.integers(1, 16))
def test_shards_share_all_slots_out(shards: int) -> None:
    ranges = shard_ranges(shards)
    assert [slot for slots in ranges for slot in slots] == list(range(SLOTS))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


@given(st.integers(1, 40), st.integers(1, 16))
def test_every_shard_gets_its_share_of_the_keys(keys: int, shards: int) -> None:
    names = key_names("numbers:shard:{n}", keys, shards)
    assert len(set(names)) == keys
    of_shard = [shard_of(slot_of(name.encode()), shards) for name in names]
    assert of_shard == [key % shards for key in range(keys)]


def test_names() -> None:
    assert key_names("myzset:{n}", 4, 3) == ("myzset:{3}", "myzset:{1}", "myzset:{0}", "myzset:{7}")
    assert key_names("myzset:{n}", 3, 1) == ("myzset:{0}", "myzset:{1}", "myzset:{2}")
    assert key_names("{mine}:{n}", 2, 3) == ("{mine}:{0}", "{mine}:{1}")


@pytest.mark.parametrize(
    ("keys", "producers", "shards", "expected"),
    [
        (6, 3, 3, [0, 1, 2, 0, 1, 2]),
        (6, 4, 3, [0, 1, 2, 3, 1, 2]),
        (6, 2, 3, [0, 1, 0, 0, 1, 0]),
        (4, 1, 3, [0, 0, 0, 0]),
        (4, 4, 1, [0, 1, 2, 3]),
    ],
)
def test_a_producer_has_keys_of_one_shard_where_there_are_enough(
    keys: int, producers: int, shards: int, expected: list[int]
) -> None:
    assert producers_of(keys, producers, shards) == expected


def sharded(**changes: object) -> Workload:
    return Workload.model_validate({"kind": "sharded_list", "key": "k:{n}", "values": 100, "shards": 6} | changes)


@given(st.integers(0, 400), st.integers(1, 8), st.integers(1, 8), st.integers(1, 60), st.integers(1, 4))
def test_every_number_goes_to_one_key(values: int, keys: int, producers: int, size: int, shards: int) -> None:
    load = sharded(values=values, shards=keys, producers=producers, batch={"size": size})
    plans = plan_streams("workload", [load], shards=shards)
    numbers = Counter(plan.numbers.at(index) for plan in plans for index in range(plan.values))
    assert numbers == Counter(range(1, values + 1))
    assert len(plans) == keys
    assert len(writers_of(plans)) <= max(producers, 1)


def test_blocks_are_batches_where_every_key_gets_some() -> None:
    assert block_size(sharded(values=300_000, batch={"size": 500}), 6) == 500
    assert block_size(sharded(values=60, batch={"size": 500}), 6) == 10
    assert block_size(sharded(values=100_000_000, batch={"size": 500}), 6) == 167_000
    assert block_size(sharded(values=0), 6) == 1


def test_plans_are_named_by_workload_and_key() -> None:
    plans = plan_streams("workload", [sharded(values=12, producers=2)], shards=3)
    assert [plan.name for plan in plans] == [f"workload.key{index}" for index in range(6)]
    assert {name: [plan.name for plan in group] for name, group in writers_of(plans).items()} == {
        "workload.producer0": ["workload.key0", "workload.key2", "workload.key3", "workload.key5"],
        "workload.producer1": ["workload.key1", "workload.key4"],
    }
