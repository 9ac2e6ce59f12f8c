"""The logs in the folder beside this file were written by real servers: `engine.what_happened.log`."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.checker.evidence import SyncCounts
from harness.replication_log import count_syncs, refusal

LOGS = Path(__file__).parent / "logs"
ENGINES = ["redis-7.0.15", "valkey-9.1.2", "valkey-9.1.2-two-channels"]


def log(engine: str, what: str) -> str:
    return (LOGS / f"{engine}.{what}.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("what", "counts"),
    [
        ("first_sync", SyncCounts(full_started=1, full_finished=1, partial=0)),
        ("partial", SyncCounts(full_started=0, full_finished=0, partial=1)),
        ("overrun", SyncCounts(full_started=1, full_finished=1, partial=0)),
    ],
)
def test_resyncs_of_real_servers(engine: str, what: str, counts: SyncCounts) -> None:
    assert count_syncs(log(engine, what)) == counts
    assert refusal(log(engine, what)) is None


@pytest.mark.parametrize(("engine", "finished"), [(ENGINES[0], 0), (ENGINES[1], 1), (ENGINES[2], 0)])
def test_a_full_sync_that_was_cut_begins_twice(engine: str, finished: int) -> None:
    assert count_syncs(log(engine, "cut_inside")) == SyncCounts(full_started=2, full_finished=finished, partial=0)


def test_a_whole_log_adds_up() -> None:
    text = "".join(log("valkey-9.1.2", what) for what in ("first_sync", "partial", "partial", "cut_inside", "overrun"))
    assert count_syncs(text) == SyncCounts(full_started=4, full_finished=3, partial=2)
    assert count_syncs("") == SyncCounts(0, 0, 0)


OTHER_WORDINGS = {
    "SYNC, which has no answer of its own": """\
* Retrying with SYNC...
* MASTER <-> REPLICA sync: receiving 175 bytes from master to disk
* MASTER <-> REPLICA sync: Finished with success
""",
    "before replicas were called so": """\
* MASTER <-> SLAVE sync started
* Full resync from master: 593da712f35f894c9a586ea84bf073810039db88:251573
* MASTER <-> SLAVE sync: receiving 175 bytes from master
* MASTER <-> SLAVE sync: Finished with success
""",
    "a channel for the RDB, Redis 8": """\
* MASTER <-> REPLICA sync started
* PSYNC is not possible, initialize RDB channel.
* MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to disk
* Successful partial resynchronization with master.
* MASTER <-> REPLICA sync: Finished with success
""",
}


@pytest.mark.parametrize("text", OTHER_WORDINGS.values(), ids=OTHER_WORDINGS.keys())
def test_other_wordings_of_one_full_sync(text: str) -> None:
    assert count_syncs(text) == SyncCounts(full_started=1, full_finished=1, partial=0)


@pytest.mark.parametrize(
    ("engine", "what", "reason"),
    [
        ("redis-7.0.15", "too_old", "it is too old to read its primary's RDB format, version 11"),
        ("redis-7.0.15", "no_password", "its primary refuses to replicate to it: NOAUTH Authentication required."),
        ("valkey-9.1.2", "no_password", "its primary refuses to replicate to it: NOAUTH Authentication required."),
        (
            "redis-7.0.15",
            "wrong_password",
            "its primary refuses its credentials: WRONGPASS invalid username-password pair or user is disabled.",
        ),
        (
            "valkey-9.1.2",
            "wrong_password",
            "its primary refuses its credentials: WRONGPASS invalid username-password pair or user is disabled.",
        ),
    ],
)
def test_why_a_replica_cannot_follow(engine: str, what: str, reason: str) -> None:
    assert refusal(log(engine, what)) == reason


def test_a_link_that_came_up_later_was_cured() -> None:
    text = log("redis-7.0.15", "no_password") + log("redis-7.0.15", "partial")
    assert refusal(text) is None
    assert refusal(text + log("redis-7.0.15", "too_old")) == (
        "it is too old to read its primary's RDB format, version 11"
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "1:S 01 Jan 2026 00:00:00.000 # Unknown RDB encoding type 24",
            "its primary's data has an RDB encoding that it does not know, type 24",
        ),
        (
            "# FATAL: Data file was created with a Redis server configured to handle more than 1 databases. Exiting",
            "its primary uses databases beyond its own 1",
        ),
        ("# Can't handle foreign RDB format version 80", "it is too old to read its primary's RDB format, version 80"),
        (
            "# Write error writing to the DB dump file: No space left on device",
            "it can't keep its primary's data: No space left on device",
        ),
        ("# I/O error trying to sync with PRIMARY: connection lost", None),
        ("# Failed trying to load the PRIMARY synchronization DB from socket, check server logs.", None),
        ("=== REDIS BUG REPORT START: Cut & paste ===", "it crashed (REDIS bug report in its log)"),
        ("# Error condition on socket for SYNC: Connection refused", None),
        ("# MASTER aborted replication with an error: NOMASTERLINK Can't SYNC while not connected", None),
        ("# MASTER aborted replication with an error: LOADING Redis is loading the dataset in memory", None),
    ],
)
def test_other_reasons_and_what_passes_by_itself(line: str, reason: str | None) -> None:
    assert refusal(line + "\n") == reason
