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
# name of a feature or a kind of sync: family: the first version that has it. What is not named here, each version has.
# JSON is a module's, which no version need have been built with.
SINCE: dict[str, dict[str, tuple[int, ...]]] = {
    "functions": {"redis": (7, 0), "valkey": (0,), "redict": (0,)},
    "hash_field_ttl": FIELD_TTLS_SINCE,
    "vector_set": {"redis": (8, 0)},
    "json": {},
    "rdb_channel": {"redis": (8, 0)},
    "dual_channel": {"valkey": (8, 0)},
}
_IN_SNAPSHOT = frozenset(
    {"full_disk", "full_diskless", "full_diskless_load", "chained", "restart", "rdb_channel", "dual_channel"}
)
_FROM_SOCKET = frozenset({"full_diskless_load", "chained", "restart"})
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

    def lacking(self, name: str, *, in_replica: bool) -> bool:
        """Whether one of the two was found to lack it, and is of a version that does; a version that should have it and
        lacks it is no known difference.
        """
        return (name in self.primary_lacks and _may_lack(self.primary, name)) or (
            in_replica and name in self.replica_lacks and _may_lack(self.replica, name)
        )

    def primary_is(self, family: str, *since: int) -> bool:
        return _is(self.primary, family, since)

    def primary_is_before(self, family: str, *version: int) -> bool:
        return self.primary[0] == family and not _is(self.primary, family, version)

    def replica_is(self, family: str, *since: int) -> bool:
        return _is(self.replica, family, since)

    @property
    def in_snapshot(self) -> bool:
        """Whether the data travels in a snapshot, not as commands."""
        return self.sync in _IN_SNAPSHOT

    @property
    def from_socket(self) -> bool:
        """Whether the replica loads the snapshot as it comes, without a file of its own."""
        return self.sync in _FROM_SOCKET


@dataclass(frozen=True)
class Rule:
    """outcome: in the matrix's words; source: where it is known from; also: outcomes that chance may give instead."""

    name: str
    outcome: str
    reason: str
    source: str
    applies: Callable[[Case], bool]
    also: tuple[str, ...] = ()


def rdb_version(family: str, version: str) -> int | None:
    """None for a family that is not known."""
    return next((rdb for since, rdb in _RDB.get(family, ()) if version_key(version) >= since), None)


def _is(engine: tuple[str, str], family: str, since: tuple[int, ...]) -> bool:
    return engine[0] == family and version_key(engine[1]) >= since


def _may_lack(engine: tuple[str, str], name: str) -> bool:
    family, version = engine
    if name not in SINCE:
        return family not in _RDB
    since = SINCE[name].get(family)
    return since is None or version_key(version) < since


def _too_old(case: Case) -> bool:
    written, readable = rdb_version(*case.primary), rdb_version(*case.replica)
    return written is not None and readable is not None and written > readable


def _knows_field_ttls(engine: tuple[str, str]) -> bool:
    since = FIELD_TTLS_SINCE.get(engine[0])
    return since is not None and version_key(engine[1]) >= since


def _unreadable_by_redict(case: Case, feature: str) -> bool:
    return case.feature == feature and case.primary[0] == "redis" and case.replica[0] == "redict"


_READ_ERROR = "redis 7.2 src/rdb.c, rdbReportError: of a file it ends the server, of a socket it is a broken connection"
_CORRUPT = "redis 7.2 src/rdb.c, rdbReportError: what counts as corrupt ends the server, of a file and of a socket"
_IGNORES = "redis src/networking.c, afterErrorReply: a replica logs an error to its primary's command, and goes on"

RULES: tuple[Rule, ...] = (
    Rule(
        "feature_lacking",
        "n/a",
        "the primary's version has no such feature yet, and its own list of commands says so too",
        "redis 7.0, 7.4 and 8.0 and valkey 9.0 release notes; COMMAND INFO, asked of the running server",
        lambda case: case.lacking(case.feature, in_replica=False),
    ),
    Rule(
        "sync_lacking",
        "n/a",
        "the version of one of the two has no such kind of sync, and no setting for it",
        "redis 8.0 and valkey 8.0 release notes; CONFIG GET, asked of the running servers",
        lambda case: case.lacking(case.sync, in_replica=True),
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
        f"{_READ_ERROR}; an unknown type is a read error; the types came with redis 7.4, after Redict had split off",
        lambda case: _unreadable_by_redict(case, "hash_field_ttl") and case.in_snapshot and not case.from_socket,
    ),
    Rule(
        "field_ttl_not_for_redict",
        "refused",
        "Redis's RDB types for fields that expire are unknown to Redict, which breaks off and tries again",
        _READ_ERROR,
        lambda case: _unreadable_by_redict(case, "hash_field_ttl") and case.from_socket,
    ),
    Rule(
        "vector_set_kills_redict",
        "crashed",
        "a vector set is data of a module that Redict does not have, and it ends over it",
        f"{_CORRUPT}; rdbLoadObject calls a missing module type corrupt",
        lambda case: _unreadable_by_redict(case, "vector_set") and case.in_snapshot,
    ),
    Rule(
        "vector_set_of_newer_encoding",
        "crashed",
        "newer vector sets keep more of each node than an older Redis 8 reads, which takes them for corrupt",
        f"redis pull request #14144 (8.0.3): old data is read by new servers, not the other way round; {_CORRUPT}",
        lambda case: (
            case.feature == "vector_set"
            and case.in_snapshot
            and case.primary_is("redis", 8, 0, 3)
            and not case.replica_is("redis", 8, 0, 3)
        ),
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
        "relative_expiry",
        "changed",
        "before Redis 7.0 a time to live travels as such, and begins anew when the replica gets it",
        "redis pull request #8474: always replicate times to live as absolute timestamps",
        lambda case: case.feature == "ttl" and case.sync in _IN_STREAM and case.primary_is_before("redis", 7),
        also=("ok",),
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
