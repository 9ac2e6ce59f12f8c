"""One cell: on servers that are warm and clean, from the settings to the outcome. It never says ok by default.

`ok` needs all of: the sync was of the kind that the cell is about, by the logs; the replica is on its primary's history
and has loaded the snapshot that holds the data, or processed the stream that does; every fact was read on both servers
and is as written; and the replica holds these keys and no others.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from harness.errors import HarnessError, SetupError
from harness.matrix.cells import Anomaly, Outcome
from harness.matrix.comparison import LOST_KINDS, compare
from harness.matrix.features.base import DataSet, Fact, Feature, Write, as_bytes, shown
from harness.matrix.following import OLD_SYNC, WHO, Ended, crashed, last_warning, plain
from harness.matrix.syncs import Stage, Sync, beyond, chose_sockets, proven, short_of
from harness.matrix.warm import Trouble, WarmServer
from harness.replication_log import count_syncs
from harness.resp.connection import CannotConnect, ConnectionLost, ReplyTimeout
from harness.resp.replies import ErrorReply

MARK = b"of the replica's own, before it followed"
_CAUSES = ("unknown command", "unsupported", "Failed", "This replica is sending an error", "DENIED")
_EVIDENCE_LINES = 24
_LOG_END = 1500  # of a log that says nothing new, in characters


@dataclass(frozen=True)
class Found:
    """What running a cell gave; `harness.matrix.cells.Cell` has the meanings."""

    outcome: Outcome
    reason: str = ""
    anomalies: tuple[Anomaly, ...] = ()
    old_data: bool | None = None
    evidence: tuple[str, ...] = ()
    unmet: bool = False


class TooLate(Exception):
    """The servers or this machine were so slow that the cell did not show what it is for."""


@dataclass(frozen=True)
class Bench:
    """The leased servers of a cell."""

    primary: WarmServer
    replica: WarmServer
    between: WarmServer | None

    @property
    def servers(self) -> tuple[WarmServer, ...]:
        return tuple(server for server in (self.primary, self.between, self.replica) if server is not None)


class CellRun:
    """One cell on one bench. prefix: of all its keys, used by no other cell; lead_ms: how much longer than usual keys
    live that are to expire during the sync.
    """

    def __init__(self, bench: Bench, feature: Feature, sync: Sync, prefix: bytes, lead_ms: int = 0) -> None:
        self._bench, self._feature, self._sync, self._prefix = bench, feature, sync, prefix
        self._lead_ms = lead_ms
        self._data = DataSet((), (), {})
        self._marked = False

    def run(self) -> Found:
        """How it ended; whatever goes wrong with a server is an outcome, never an exception."""
        bench = self._bench
        for server in bench.servers:
            server.mark()
        try:
            self._prepare()
            self._sync.run(self._stage())
            found = self._judged()
        except Ended as ended:
            found = Found(ended.outcome, ended.reason, old_data=self._old_data(ended.outcome))
        except ReplyTimeout as error:
            found = Found(Outcome.UNKNOWN, str(error))
        except (ConnectionLost, CannotConnect):
            crash = crashed(bench.servers)
            found = Found(crash.outcome, crash.reason)
        except SetupError as error:
            dead = any(server.death() for server in bench.servers)
            found = Found(Outcome.CRASHED if dead else Outcome.UNKNOWN, str(error))
        except (Trouble, HarnessError) as error:
            found = Found(Outcome.UNKNOWN, str(error))
        return replace(found, evidence=self._evidence(found))

    def _stage(self) -> Stage:
        bench = self._bench
        return Stage(bench.primary, bench.replica, bench.between, self._write, self._afterwards, self._begun)

    def _prepare(self) -> None:
        for server in self._bench.servers:
            server.turn_off(self._sync.without)
        self._bench.primary.set(self._sync.primary)
        self._bench.replica.set(self._sync.replica)
        if self._bench.between is not None:  # it is both
            self._bench.between.set({**self._sync.primary, **self._sync.replica})
        if self._sync.keeps_mark:
            self._bench.replica.ask("SET", self._prefix + b"mark", MARK)
            self._marked = True

    def _write(self) -> None:
        """The data set, on the primary. Trouble where it does not take it."""
        now_ms = int(time.time() * 1000) + self._lead_ms
        data = self._feature.build(self._prefix, now_ms)
        self._send(data.writes)
        self._check_encodings(data)
        self._data = data

    def _begun(self) -> None:
        """TooLate where a key that was to expire during the sync had gone when that began."""
        for key in self._data.expiring:
            if self._bench.primary.ask("EXISTS", key) != 1:
                raise TooLate(f"{shown(key)} was to expire during the sync and had expired before it began")

    def _afterwards(self) -> None:
        """One key more, written while the snapshot is done with."""
        key = self._prefix + b"afterwards"
        self._send((Write(("SET", key, "1")),))
        keys = {**self._data.keys, 0: self._data.keys.get(0, frozenset()) | {key}}
        self._data = replace(self._data, facts=(*self._data.facts, Fact(("GET", key), b"1")), keys=keys)

    def _send(self, writes: tuple[Write, ...]) -> None:
        primary, start = self._bench.primary, 0
        for number in range(1, len(writes) + 1):
            if number < len(writes) and writes[number].db == writes[start].db:
                continue
            group = writes[start:number]
            for write, reply in zip(group, primary.ask_all([one.words for one in group], group[0].db), strict=True):
                unwanted = isinstance(reply, ErrorReply) or (write.reply is not None and reply != write.reply)
                if unwanted:
                    wanted = "success" if write.reply is None else shown(write.reply)
                    raise Trouble(
                        f"the primary answered {shown(as_bytes(write.words[0]))} with {shown(reply)}, expected {wanted}"
                    )
            start = number

    def _check_encodings(self, data: DataSet) -> None:
        for key, allowed in data.encodings.items():
            encoding = self._bench.primary.ask("OBJECT", "ENCODING", key)
            if encoding not in [name.encode() for name in allowed]:
                raise Trouble(f"the primary keeps {shown(key)} as {shown(encoding)}, meant was {' or '.join(allowed)}")

    def _judged(self) -> Found:
        primary, replica, sync = self._bench.primary, self._bench.replica, self._sync
        compared = compare(self._data, primary, replica)
        logs = {server.role: server.new_log() for server in self._bench.servers}
        log = logs["replica"]
        if compared.anomalies:
            lost = any(anomaly.kind in LOST_KINDS for anomaly in compared.anomalies)
            reason = compared.anomalies[0].what + _why(log)
            return Found(Outcome.LOST if lost else Outcome.CHANGED, reason, compared.anomalies)
        if old := OLD_SYNC.search(log):
            return Found(Outcome.DEGRADED, f"the replica fell back to the old SYNC: {plain(_line(log, old.start()))}")
        counts = count_syncs(log)
        if many := beyond(sync, counts):
            return Found(Outcome.DEGRADED, f"{many}: {last_warning(log) or 'no log says why'}")
        if short := short_of(sync, counts):
            return Found(Outcome.UNKNOWN, short)
        if chose_sockets(sync, logs["primary"]):
            return Found(
                Outcome.NOT_APPLICABLE, "the primary sent its snapshot by sockets although set to use its disk"
            )
        if why := proven(sync, logs):
            return Found(Outcome.UNKNOWN, why)
        return Found(Outcome.OK, f"{compared.facts} facts and {compared.keys} keys are as written")

    def _old_data(self, outcome: Outcome) -> bool | None:
        """Whether a refused replica still has what it held before."""
        if outcome is not Outcome.REFUSED or not self._marked:
            return None
        replica = self._bench.replica
        try:
            replica.ask("REPLICAOF", "NO", "ONE")
            return replica.ask("GET", self._prefix + b"mark") == MARK
        except (Trouble, HarnessError, ConnectionLost):
            return None

    def _evidence(self, found: Found) -> tuple[str, ...]:
        """Log lines that tell of the sync, the replica's first; few where all went well."""
        limit = 4 if found.outcome is Outcome.OK else _EVIDENCE_LINES
        lines: list[str] = []
        for server in reversed(self._bench.servers):
            who = WHO[server.role]
            log = server.new_log() or server.server.log()[-_LOG_END:]
            said = [plain(line) for line in log.splitlines() if line.strip()]
            chosen = [line for line in said if "sync" in line.lower() or found.outcome is not Outcome.OK]
            lines += [f"{who}: {line[:300]}" for line in list(dict.fromkeys(chosen))[:limit]]
            lines += _info(who, server)
        return tuple(lines)


def _info(who: str, server: WarmServer) -> list[str]:
    """What a server says of its own replication when the cell has ended."""
    try:
        info = server.replication()
    except (Trouble, HarnessError, ConnectionLost):
        return []
    link = {None: "", True: " link=up", False: " link=down"}[info.link_up]
    offset = info.offset if info.processed_offset is None else info.processed_offset
    replicas = "" if info.processed_offset is not None else f" replicas={info.connected_replicas}"
    return [f"{who} INFO: role={info.role}{link}{replicas} offset={offset} history={info.replication_id}"]


def _why(log: str) -> str:
    """The replica's own words about a difference, where it has any."""
    for line in log.splitlines():
        if any(cause in line for cause in _CAUSES):
            return f'; its log: "{plain(line)[:200]}"'
    return ""


def _line(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    return text[start : end if end >= 0 else len(text)]
