"""Which engine can feed which, and with what data: a few rules, each with its reason and where that is known from.

The rules are the expectation that the compatibility matrix is held against, so they come from what the projects say of
themselves (source text, issues, release notes), never from what the matrix found. The first rule that applies counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.engine.catalogue import version_key

# family: (from this version on, the newest RDB version of the common count that it writes and reads), newest first.
# Valkey left the common count at 11 and calls its own formats 80 and up; to whoever doesn't know those it writes 11.
_RDB: dict[str, tuple[tuple[tuple[int, ...], int], ...]] = {
    "redis": (((7, 4), 12), ((7, 2), 11), ((7, 0), 10), ((5, 0), 9), ((4, 0), 8), ((0,), 7)),
    "redict": (((7, 3), 12), ((0,), 11)),
    "valkey": (((0,), 11),),
}
FIELD_TTLS_SINCE = {"redis": (7, 4), "valkey": (9,)}  # one family does not read the other's
_IN_SNAPSHOT = frozenset(
    {"full_disk", "full_diskless", "full_diskless_load", "chained", "restart", "rdb_channel", "dual_channel"}
)
_IN_STREAM = frozenset({"partial", "stream"})


@dataclass(frozen=True)
class Case:
    """One cell as far as rules look at it. primary, replica: family and version; the lacks: features and syncs."""

    primary: tuple[str, str]
    replica: tuple[str, str]
    feature: str
    sync: str
    primary_lacks: frozenset[str] = frozenset()
    replica_lacks: frozenset[str] = frozenset()

    def primary_is(self, family: str, *since: int) -> bool:
        return _is(self.primary, family, since)

    def replica_is(self, family: str, *since: int) -> bool:
        return _is(self.replica, family, since)

    @property
    def in_snapshot(self) -> bool:
        """Whether the data travels in a snapshot, not as commands."""
        return self.sync in _IN_SNAPSHOT


@dataclass(frozen=True)
class Rule:
    """outcome: in the matrix's words; source: where it is known from."""

    name: str
    outcome: str
    reason: str
    source: str
    applies: Callable[[Case], bool]


def rdb_version(family: str, version: str) -> int | None:
    """None for a family that is not known."""
    return next((rdb for since, rdb in _RDB.get(family, ()) if version_key(version) >= since), None)


def _is(engine: tuple[str, str], family: str, since: tuple[int, ...]) -> bool:
    return engine[0] == family and version_key(engine[1]) >= since


def _too_old(case: Case) -> bool:
    written, readable = rdb_version(*case.primary), rdb_version(*case.replica)
    return written is not None and readable is not None and written > readable


def _knows_field_ttls(engine: tuple[str, str]) -> bool:
    since = FIELD_TTLS_SINCE.get(engine[0])
    return since is not None and version_key(engine[1]) >= since


def _unreadable_by_redict(case: Case, feature: str) -> bool:
    return case.feature == feature and case.primary[0] == "redis" and case.replica[0] == "redict"


_EXITS = "redis 7.2 src/rdb.c, rdbReportError: what it takes for a corrupt snapshot ends the server"
_IGNORES = "redis src/networking.c, afterErrorReply: a replica logs an error to its primary's command, and goes on"

RULES: tuple[Rule, ...] = (
    Rule(
        "feature_lacking",
        "n/a",
        "the primary has no such feature, by its own list of commands",
        "COMMAND INFO, asked of the running server",
        lambda case: case.feature in case.primary_lacks,
    ),
    Rule(
        "sync_lacking",
        "n/a",
        "one of the two has no setting for this kind of sync",
        "CONFIG GET, asked of the running servers",
        lambda case: case.sync in case.primary_lacks | case.replica_lacks,
    ),
    Rule(
        "rdb_version",
        "refused",
        "the primary's snapshots have an RDB version that the replica does not read",
        "src/rdb.h, RDB_VERSION of each release; redis #994; valkey #845 and #1604 on versions 12 to 79",
        _too_old,
    ),
    Rule(
        "field_ttl_not_for_older",
        "refused",
        "Valkey 9 gives no snapshot with fields that expire to a replica that does not read its format 80",
        "valkey pull request #2735: such a full sync is aborted and the connection closed",
        lambda case: (
            case.feature == "hash_field_ttl"
            and case.in_snapshot
            and case.primary_is("valkey", 9)
            and not case.replica_is("valkey", 9)
        ),
    ),
    Rule(
        "field_ttl_kills_redict",
        "crashed",
        "Redis's RDB types for fields that expire are unknown to Redict, which ends over them",
        f"{_EXITS}; the types came with redis 7.4 (#13391), after Redict had split off",
        lambda case: _unreadable_by_redict(case, "hash_field_ttl") and case.in_snapshot,
    ),
    Rule(
        "vector_set_kills_redict",
        "crashed",
        "a vector set is data of a module that Redict does not have, and it ends over it",
        f"{_EXITS}; rdbLoadObject calls a missing module type corrupt",
        lambda case: _unreadable_by_redict(case, "vector_set") and case.in_snapshot,
    ),
    Rule(
        "field_ttl_unknown_command",
        "changed",
        "the replica does not know HPEXPIREAT, so that its field never expires",
        _IGNORES,
        lambda case: (
            case.feature == "hash_field_ttl" and case.sync in _IN_STREAM and not _knows_field_ttls(case.replica)
        ),
    ),
    Rule(
        "vector_set_unknown_command",
        "lost",
        "the replica does not know VADD, so that the key never comes to be",
        _IGNORES,
        lambda case: case.feature == "vector_set" and case.sync in _IN_STREAM and not case.replica_is("redis", 8),
    ),
    Rule(
        "older_snapshot_by_sockets",
        "n/a",
        "Valkey 9 makes a snapshot in an older format for this one replica only, and sends it without a file",
        "valkey pull request #2735: REPLCONF VERSION is respected in diskless full syncs",
        lambda case: case.sync == "full_disk" and case.primary_is("valkey", 9) and not case.replica_is("valkey", 9),
    ),
)
EQUAL = Rule(
    "compatible",
    "ok",
    "nothing stands against it",
    "an RDB version that the replica reads, and commands that it knows",
    lambda case: True,
)


def rule_for(case: Case) -> Rule:
    """The first rule that applies; a family that no rule knows is expected to be compatible, and so shows itself."""
    return next((rule for rule in RULES if rule.applies(case)), EQUAL)
