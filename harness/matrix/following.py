"""Waits until a replica has what its primary has, or until a log or a dead process says that it never will.

A refusal is found in the logs, where it stands some milliseconds after it happened; nobody waits for a time-out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from harness.errors import HarnessError
from harness.matrix.cells import Outcome
from harness.matrix.warm import Trouble, WarmServer
from harness.replication import ReplicationInfo
from harness.replication_log import count_syncs, refusal
from harness.resp.connection import CannotConnect, ConnectionLost, ReplyTimeout
from harness.topology import Role

GIVE_UP_S = 20.0
_GLANCE_S = 0.02  # how often logs are looked at
_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.01
_LOOP_S, _LOOP_SYNCS = 1.5, 4  # a replica that began so many full syncs in vain for so long never will
_DEATH_S = 10.0  # how long a server may take to end after its connection broke
CHANNEL = "harness:ready"
WHO = {"primary": "primary", "between": "middle replica", "replica": "replica"}  # a server's role, for a reader

# What a log says when following is in vain, beside what `harness.replication_log` knows of replicas.
_VAIN = re.compile(
    r"[^\r\n]*(?:Can't store key|Can't handle (?:\w+ )?RDB format|module data I can't load|Unknown RDB encoding"
    r"|Unable to AUTH|aborted replication with an error|Unknown RDB|Invalid (?:RDB|object)"
    r"|configured to handle more than)[^\r\n]*"
)
OLD_SYNC = re.compile(r"Retrying with SYNC|(?:[Mm]aster|[Pp]rimary|MASTER|PRIMARY|[Ss]erver) does not support PSYNC")
_CAUSE = re.compile(r"[^\r\n]*(?:Internal error in RDB reading|BUG REPORT START|ASSERTION FAILED)[^\r\n]*")
_STAMP = re.compile(r"^\d+:(?:\w+ )?\d+ \w+ \d+ [\d:.]+ ")
_CHANCE = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"[0-9a-f]{40}", "<id>"),
        (r"127(?:\.\d+){3}(?::\d+)?", "<address>"),
        (r"\b(pid|Pid|RDB child:) \d+", r"\1 <pid>"),
        (r"\(user request from '[^']*'\)", "(user request)"),
        (r"\b(?:client id|client-id) #?\d+", "client <number>"),
        (r"\d+(?:\.\d+)? ([Mm][Bb]|seconds|bytes)\b", r"<n> \1"),
        (r"(<id>):\d+", r"\1:<offset>"),
        (r"offset([:=]?) ?\d+", r"offset\1<n>"),
    )
)
_WARNING = re.compile(r"^\S+ [^\r\n]*\d # [^\r\n]*", re.MULTILINE)


class Ended(Exception):
    """A cell can go no further. who: the log to show."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        self.outcome, self.reason = outcome, reason
        super().__init__(reason)


def await_caught_up(*chain: WarmServer) -> ReplicationInfo:
    """Until the last replica has its link up and has processed all that the primary has produced by now; its last INFO.

    chain: the primary, and its replica or one after another; all are looked after. Raises Ended.
    """
    await_link(*chain)
    primary, replica = chain[0], chain[-1]
    if replica.by_old_sync:
        return _await_canary(chain)
    primary.ask("PUBLISH", CHANNEL, "x")  # moves the offset and leaves no key
    target = primary.replication()

    def processed() -> ReplicationInfo | None:
        info = replica.replication()
        same = info.replication_id == target.replication_id and bool(info.link_up)
        return info if same and (info.processed_offset or 0) >= target.offset else None

    return _await(processed, chain, "to process what its primary has produced")


def await_link(*chain: WarmServer) -> ReplicationInfo:
    """Until the last replica is on the history of the one before it, with its link up. Raises Ended."""
    primary, replica = chain[-2:]

    def linked() -> ReplicationInfo | None:
        info = replica.replication()
        if info.role is not Role.REPLICA or not info.link_up or info.sync_in_progress:
            return None
        replica.by_old_sync = replica.by_old_sync or OLD_SYNC.search(replica.new_log()) is not None
        if replica.by_old_sync:  # which tells a replica no history's name and no offset
            return info
        return info if info.replication_id == primary.replication().replication_id else None

    return _await(linked, chain, "to have its link up")


def _await_canary(chain: Sequence[WarmServer]) -> ReplicationInfo:
    """By a key that comes and goes again, where there are no offsets to compare."""
    primary, replica = chain[0], chain[-1]

    def shows(value: bytes | None) -> Callable[[], ReplicationInfo | None]:
        return lambda: replica.replication() if replica.ask("GET", CHANNEL) == value else None

    primary.ask("SET", CHANNEL, "1")
    _await(shows(b"1"), chain, "to show a key that was just written")
    primary.ask("DEL", CHANNEL)
    return _await(shows(None), chain, "to lose a key that was just deleted")


def _await(probe: Callable[[], ReplicationInfo | None], chain: Sequence[WarmServer], what: str) -> ReplicationInfo:
    began = looked = time.monotonic()
    pause = _PAUSE_S
    while True:
        try:
            if found := probe():
                return found
        except (Trouble, HarnessError):  # LOADING, while it loads what it was sent
            pass
        except ReplyTimeout as error:
            raise Ended(Outcome.UNKNOWN, str(error)) from None
        except (ConnectionLost, CannotConnect):
            raise crashed(chain) from None
        now = time.monotonic()
        if now - looked > _GLANCE_S:
            looked = now
            _look(chain, now - began)
        if now - began > GIVE_UP_S:
            last = last_warning(chain[-1].new_log()) or "its log says nothing"
            raise Ended(Outcome.UNKNOWN, f"waited {GIVE_UP_S:.0f} s for the replica {what}: {last}")
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_PAUSE_S)


def _look(chain: Sequence[WarmServer], waited_s: float) -> None:
    """Raises Ended where a log or a process says that waiting is in vain."""
    if any(server.death() for server in chain):
        raise crashed(chain)
    for place, server in reversed(list(enumerate(chain))):
        said = server.new_log()
        if _VAIN.search(said) or (place and refusal(said)):
            raise _refused(WHO[server.role], said)
        counts = count_syncs(said)
        if place and waited_s > _LOOP_S and counts.full_started >= _LOOP_SYNCS and not counts.full_finished:
            last = last_warning(said) or last_warning(chain[place - 1].new_log()) or "no log says why"
            raise Ended(Outcome.REFUSED, f"{counts.full_started} full syncs were begun in vain: {last}")


def _refused(who: str, log: str) -> Ended:
    line = _VAIN.search(log)
    reason = f'{who}: "{plain(line[0])}"' if line else f"{who}: {refusal(log)}"
    return Ended(Outcome.REFUSED, reason)


def crashed(chain: Sequence[WarmServer]) -> Ended:
    """What to say after a connection was lost: how a server ended, and what its log says of it."""
    deadline = time.monotonic() + _DEATH_S
    while time.monotonic() < deadline:
        for server in reversed(chain):
            who = WHO[server.role]
            if how := server.death(0.01):
                cause = _CAUSE.search(server.new_log()) or _VAIN.search(server.new_log())
                said = plain(cause[0]) if cause else last_warning(server.new_log())
                return Ended(Outcome.CRASHED, f'{who} {how}: "{said}"' if said else f"{who} {how}")
    return Ended(Outcome.UNKNOWN, "a connection to a server was lost, and the server runs on")


def last_warning(log: str) -> str:
    found = _WARNING.findall(log)
    return plain(found[-1]) if found else ""


def neutral(line: str) -> str:
    """A line without what differs from run to run: ids, addresses, processes, sizes of memory."""
    for pattern, name in _CHANCE:
        line = pattern.sub(name, line)
    return line


def plain(line: str) -> str:
    """A log's line without process and time, so that equal events read equal."""
    return _STAMP.sub("", line).strip()
