"""Who can read whose data: the measured table, row feeds column."""

from __future__ import annotations

import pytest

from harness.acceptance.feeding import cannot_feed

ENGINES = {
    "redis 6.0.16": ("redis", "6.0.16"),
    "redis 7.0.15": ("redis", "7.0.15"),
    "redict 7.3.6": ("redict", "7.3.6"),
    "valkey 8.1.1": ("valkey", "8.1.1"),
    "redis 8.0.6": ("redis", "8.0.6"),
}
MEASURED = {
    "redis 6.0.16": "ok ok ok ok ok",
    "redis 7.0.15": "no ok ok ok ok",
    "redict 7.3.6": "no no ok no ok",
    "valkey 8.1.1": "no no ok ok ok",
    "redis 8.0.6": "no no ok no ok",
}


@pytest.mark.parametrize("source", ENGINES)
def test_the_measured_table(source: str) -> None:
    row = ["no" if cannot_feed(ENGINES[source], target, field_ttls=False) else "ok" for target in ENGINES.values()]
    assert " ".join(row) == MEASURED[source]


def test_the_reason_names_both_versions() -> None:
    assert cannot_feed(("valkey", "9.1.2"), ("redis", "7.0.15"), field_ttls=False) == (
        "redis-7.0.15 can't read what valkey-9.1.2 writes: its RDB has version 11, and 10 is the newest that the target"
        " knows"
    )


def test_one_hash_field_that_expires_changes_the_answer() -> None:
    valkey, redis = ("valkey", "9.1.2"), ("redis", "8.0.6")
    assert cannot_feed(valkey, redis, field_ttls=False) is None
    assert "in a form that only valkey knows" in str(cannot_feed(valkey, redis, field_ttls=True))
    assert cannot_feed(valkey, ("valkey", "9.0.0"), field_ttls=True) is None
    assert "in a form that only redis knows" in str(cannot_feed(redis, ("redict", "7.3.6"), field_ttls=True))


def test_a_family_that_is_not_known_is_no_promise() -> None:
    assert "no rule for dragonfly" in str(cannot_feed(("redis", "7.0.15"), ("dragonfly", "1.0"), field_ttls=False))
