"""The kinds of sync by their names: how the two servers are set, what is done, and how a log proves that it was that.

A cell is only worth something if the sync was of the kind that its name says: a server may choose another way without
a word. What each way looks like in the logs stands here, in one place; the servers' own words included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.checker.evidence import SyncCounts
from harness.matrix.following import WHO, await_caught_up, await_link
from harness.matrix.warm import BUSY_HZ, Trouble, WarmServer
from harness.replication_log import count_syncs

_PRIMARY = "(?:MASTER|PRIMARY|[Mm]aster|[Pp]rimary)"
TO_DISK = r"BGSAVE for SYNC with target: disk"
TO_SOCKETS = r"BGSAVE for SYNC with target: replicas sockets"
PARTIAL = rf"Successful partial resynchronization with {_PRIMARY}"
RECEIVED_FILE = rf"receiving \d+ bytes from {_PRIMARY} to disk"
RECEIVED_STREAM_TO_FILE = rf"receiving streamed RDB from {_PRIMARY} with EOF to disk"
RECEIVED_BY_PARSER = rf"receiving (?:\d+ bytes|streamed RDB) from {_PRIMARY}(?: with EOF)? to parser"
SERVED = r"BGSAVE for SYNC with target"
BY_CHANNEL = r"initialize RDB channel|\(rdb-channel\)|using: dual-channel"


@dataclass(frozen=True)
class Stage:
    """The servers of a cell. between: the replica in the middle of a chain. write: writes the data set to the primary;
    afterwards: writes one key more, which is part of what is compared; begun: called when the data's sync has begun, so
    that a key which was to expire meanwhile is seen to be there.
    """

    primary: WarmServer
    replica: WarmServer
    between: WarmServer | None
    write: Callable[[], None]
    afterwards: Callable[[], None]
    begun: Callable[[], None]


@dataclass(frozen=True)
class Sync:
    """One kind. primary, replica: settings of the two; needs: settings without which an engine lacks it.

    proofs: patterns for the primary's, the middle replica's and the replica's new log. full_syncs, partials: how many
    it takes from the mark on. keeps_mark: whether the replica may hold data of its own before.
    """

    name: str
    title: str
    run: Callable[[Stage], None]
    primary: Mapping[str, str] = field(default_factory=dict)
    replica: Mapping[str, str] = field(default_factory=dict)
    primary_says: str = ""
    replica_says: str = ""
    between_says: str = ""
    full_syncs: int = 1
    partials: int = 0
    keeps_mark: bool = True
    chained: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Settings that not every engine has."""
        return tuple(name for name in self.primary if name in CHANNELS)

    @property
    def without(self) -> tuple[str, ...]:
        """Settings to be off where an engine has them: they would make another kind of it without a word."""
        return tuple(name for name in CHANNELS if name not in self.needs)


CHANNELS = ("repl-rdb-channel", "dual-channel-replication-enabled")
_DISK = {"repl-diskless-sync": "no", "hz": str(BUSY_HZ)}
_SOCKETS = {"repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0", "hz": str(BUSY_HZ)}
_BY_FILE = {"repl-diskless-load": "disabled"}
_FAST = {"repl-diskless-load": "on-empty-db"}


def _full(stage: Stage) -> None:
    """All that there is travels in the snapshot."""
    stage.write()
    stage.replica.follow(stage.primary)
    stage.begun()
    await_link(stage.primary, stage.replica)


def _attached(stage: Stage) -> None:
    """The replica has begun with a full sync and follows; what the logs say from here on is of what comes next."""
    stage.replica.follow(stage.primary)
    stage.begun()
    await_caught_up(stage.primary, stage.replica)
    _began_with_full_sync(stage.replica)
    stage.replica.mark()
    stage.primary.mark()


def _began_with_full_sync(replica: WarmServer) -> None:
    """Trouble where a warm server went on where an earlier cell had left it."""
    counts = count_syncs(replica.new_log())
    if counts.full_finished < 1 or counts.partial:
        raise Trouble(f"{replica.engine.name} did not begin with a full sync: {counts}")


def _stream(stage: Stage) -> None:
    """The snapshot is empty; everything travels as commands."""
    _attached(stage)
    stage.write()
    stage.begun()
    await_caught_up(stage.primary, stage.replica)


def _partial(stage: Stage) -> None:
    """Everything is written while the replica is frozen and its link cut, and travels out of the backlog."""
    _attached(stage)
    stage.replica.pause()
    try:
        if stage.primary.ask("CLIENT", "KILL", "TYPE", "replica") == 0:
            raise Trouble("the primary had no replica's connection to cut")
        stage.write()
    finally:
        stage.replica.resume()
    stage.begun()
    await_caught_up(stage.primary, stage.replica)


def _chained(stage: Stage) -> None:
    """A replica's replica: the one between passes on what it was given."""
    assert stage.between is not None
    stage.write()
    stage.between.follow(stage.primary)
    stage.begun()
    await_link(stage.primary, stage.between)
    _began_with_full_sync(stage.between)
    stage.replica.follow(stage.between)
    await_caught_up(stage.primary, stage.between, stage.replica)
    stage.afterwards()
    await_caught_up(stage.primary, stage.between, stage.replica)


def _restart(stage: Stage) -> None:
    """The replica saves, ends, and goes on from its own file where it was."""
    stage.write()
    _attached(stage)
    stage.replica.restart(stage.primary.address, stage.afterwards)
    await_caught_up(stage.primary, stage.replica)


SYNCS: dict[str, Sync] = {
    sync.name: sync
    for sync in (
        Sync("full_disk", "snapshot as a file on both sides", _full, _DISK, _BY_FILE, TO_DISK, RECEIVED_FILE),
        Sync(
            *("full_diskless", "snapshot sent without a file", _full, _SOCKETS, _BY_FILE),
            *(TO_SOCKETS, RECEIVED_STREAM_TO_FILE),
        ),
        Sync(
            *("full_diskless_load", "snapshot sent and loaded without a file", _full, _SOCKETS),
            *({"repl-diskless-load": "swapdb"}, TO_SOCKETS, RECEIVED_BY_PARSER),
        ),
        Sync(
            *("partial", "partial resync out of the backlog", _partial, _DISK, _FAST, "", PARTIAL),
            full_syncs=0,
            partials=1,
            keeps_mark=False,
        ),
        Sync("stream", "the command stream alone", _stream, _DISK, _FAST, full_syncs=0, keeps_mark=False),
        Sync(
            *("chained", "a replica of a replica", _chained, _DISK, _FAST),
            between_says=SERVED,
            keeps_mark=False,
            chained=True,
        ),
        Sync(
            *("restart", "the replica restarts and resumes", _restart, _DISK, _FAST, "", PARTIAL),
            full_syncs=0,
            partials=1,
            keeps_mark=False,
        ),
        Sync(
            *("rdb_channel", "snapshot over a connection of its own (Redis 8)", _full),
            *({**_SOCKETS, "repl-rdb-channel": "yes"}, {**_BY_FILE, "repl-rdb-channel": "yes"}),
            *(r"\(rdb-channel\)", r"PSYNC is not possible, initialize RDB channel"),
        ),
        Sync(
            *("dual_channel", "snapshot over a connection of its own (Valkey 8)", _full),
            {**_SOCKETS, "dual-channel-replication-enabled": "yes"},
            {**_BY_FILE, "dual-channel-replication-enabled": "yes"},
            *(r"dual.channel", r"PSYNC is not possible, initialize RDB channel"),
        ),
    )
}
FULL = ("full_disk", "full_diskless", "full_diskless_load")
GROUPS = {"full": FULL, "all": tuple(SYNCS)}


def proven(sync: Sync, logs: Mapping[str, str]) -> str | None:
    """Why the logs, by the servers' roles, don't prove this kind of sync; None where they do."""
    says = {"primary": sync.primary_says, "between": sync.between_says, "replica": sync.replica_says}
    for role, log in logs.items():
        if says[role] and not re.search(says[role], log):
            return f"the {WHO[role]}'s log does not show this kind of sync"
        if not sync.needs and (other := re.search(BY_CHANNEL, log)):
            return f'the {WHO[role]}\'s log shows a sync over a connection of its own: "{other[0]}"'
    return None


def beyond(sync: Sync, counts: SyncCounts) -> str | None:
    """What a replica's log shows more of than this kind of sync takes; None where it is nothing."""
    if counts.full_started > sync.full_syncs:
        return f"{counts.full_started} full syncs instead of {sync.full_syncs}"
    if counts.partial > sync.partials:
        return f"{counts.partial} partial resyncs instead of {sync.partials}"
    return None


def short_of(sync: Sync, counts: SyncCounts) -> str | None:
    """What a replica's log does not show although this kind of sync takes it; None where it is nothing."""
    if counts.full_finished != sync.full_syncs:
        return "the replica's log does not show that the full sync was finished"
    if counts.partial < sync.partials:
        return "the replica's log does not show a partial resync"
    return None


def chose_sockets(sync: Sync, primary_log: str) -> bool:
    """Whether the primary sent its snapshot by sockets although it was set to write a file."""
    return (
        sync.primary_says == TO_DISK
        and not re.search(TO_DISK, primary_log)
        and bool(re.search(TO_SOCKETS, primary_log))
    )
