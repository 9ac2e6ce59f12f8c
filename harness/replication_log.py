"""Reads a replica's own log: how often it synchronised, and why it can't follow its primary. Pure.

Servers count resyncs at the primary only and not by replica, so the log is the one source for a link. The table below
holds the servers' own wordings, wire words included: Redis 6 to 8 and Redict say "master", Valkey 8 and 9 "primary".
"""

from __future__ import annotations

import re

from harness.checker.evidence import SyncCounts

_PEER = "(?:MASTER|PRIMARY|[Mm]aster|[Pp]rimary)"
_EVENTS = {
    "connecting": rf"{_PEER} <-> (?:REPLICA|SLAVE) sync started",
    "full": rf"Full resync from {_PEER}: |PSYNC is not possible, initialize RDB channel",
    "receiving": rf"{_PEER} <-> (?:REPLICA|SLAVE) sync: receiving ",  # after SYNC, which has no answer of its own
    "finished": rf"{_PEER} <-> (?:REPLICA|SLAVE) sync: Finished with success",
    "partial": rf"Successful partial resynchronization with {_PEER}",
}
_IN_EVERY_EVENT = ("sync", "RDB channel")  # one of these
_EVENT = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _EVENTS.items()))

_PASSING = "LOADING|NOMASTERLINK|MASTERDOWN|BUSY|ERR [^\\r\\n]*not connected"  # errors that go away by themselves

# What no patience cures: the server's words, and ours. A link that came up later shows that it was cured.
_REFUSALS = {
    r"Can't handle (?:\w+ )?RDB format version (\d+)": "it is too old to read its primary's RDB format, version {}",
    r"Unknown RDB encoding type (\d+)": "its primary's data has an RDB encoding that it does not know, type {}",
    r"((?:Unknown|Invalid) (?:RDB|object)(?! encoding type)[^\r\n]*)": "it does not know its primary's data: {}",
    r"(No space left on device)": "it can't keep its primary's data: {}",
    rf"Unable to AUTH to {_PEER}: -?([^\r\n]+)": "its primary refuses its credentials: {}",
    rf"{_PEER} aborted replication with an error: -?((?!{_PASSING})[^\r\n]+)": (
        "its primary refuses to replicate to it: {}"
    ),
    r"configured to handle more than (\d+) databases": "its primary uses databases beyond its own {}",
    r"=== (\w+) BUG REPORT START": "it crashed ({} bug report in its log)",
}


def count_syncs(log_text: str) -> SyncCounts:
    """Full syncs begun and finished and partial ones, in a replica's log or a part of it."""
    started = finished = partial = 0
    pending = False
    for event in _EVENT.finditer(_worth_a_look(log_text)):
        kind = event.lastgroup
        if kind == "connecting":
            pending = False
        elif kind in ("full", "receiving"):
            started += not pending
            pending = True
        elif kind == "finished":
            finished += 1
            pending = False
        elif not pending:  # within a full sync over two channels, the stream beside it is no partial resync
            partial += 1
    return SyncCounts(full_started=started, full_finished=finished, partial=partial)


def _worth_a_look(log_text: str) -> str:
    """The lines that can tell of an event; the search for all of them at once would cost ten times as much."""
    return "\n".join([line for line in log_text.splitlines() if any(word in line for word in _IN_EVERY_EVENT)])


def refusal(log_text: str) -> str | None:
    """Why the replica can't follow its primary, as the end of its log tells; None where nothing says so."""
    synced = 0
    for event in _EVENT.finditer(log_text):
        if event.lastgroup in ("finished", "partial"):
            synced = event.end()
    last: tuple[int, str] | None = None
    for pattern, reason in _REFUSALS.items():
        for found in re.finditer(pattern, log_text[synced:]):
            if last is None or found.start() > last[0]:
                last = found.start(), reason.format(found[1])
    return last[1] if last else None
