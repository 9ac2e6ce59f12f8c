"""Servers that are kept running between cells: started when first needed, cleaned after use, and proven clean.

Only servers of our own making are ever flushed or configured here; nobody else's address gets into this module.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.engine.binaries import Engine
from harness.errors import HarnessError, SetupError
from harness.matrix.features.base import Argument, Words
from harness.replication import ReplicationInfo
from harness.resp.connection import CannotConnect, Connection, ConnectionLost, ReplyTimeout
from harness.resp.encode import command
from harness.resp.replication_info import info_fields, parse_replication, replicate_from, stop_replicating
from harness.resp.replies import ErrorReply, Reply
from harness.runtime.loopback import free_ports, own_address
from harness.runtime.owner import Owner
from harness.runtime.readiness import wait_until
from harness.runtime.server import ProcessServer
from harness.runtime.server_config import ServerPlan
from harness.topology import Node, Role

REPLY_S = 20.0
CLEAN_S = 10.0
IDLE_HZ, BUSY_HZ = 10, 500
DATABASES = 16
_DIRECTIVES = (
    ("save", ""),  # said here, so that what a replica saves when it is told to end is there when it starts again
    ("hz", str(IDLE_HZ)),
    ("repl-backlog-size", "64mb"),
    ("databases", str(DATABASES)),
)
_LARGE_BACKLOG = ("repl-backlog-size", "256mb")


class Trouble(Exception):
    """A server of a cell answered what it must not: nothing can be said of that cell."""


class WarmServer:
    """One running server. role: in which the pool lends it; large: its backlog holds values of 64 MB."""

    def __init__(self, engine: Engine, owner: Owner, folder: Path, *, large: bool = False) -> None:
        self.engine = engine
        self.role = "primary"
        self.by_old_sync = False  # whether it follows by the SYNC of before PSYNC
        host = own_address(())
        (port,) = free_ports(host, 1)
        directives = (*_DIRECTIVES[:2], _LARGE_BACKLOG, _DIRECTIVES[3]) if large else _DIRECTIVES
        node = Node(engine.name, port, directives=directives)
        self.folder = folder
        self._owner = owner
        self.server = ProcessServer(ServerPlan(node, host, port, folder), engine, owner)
        self.connection: Connection | None = None
        self._seen = 0
        self._db = 0
        self._known: dict[str, bool] = {}  # settings that not every engine has
        self._settings: dict[str, str] = {}  # that differ from the file's, and what they were

    @property
    def address(self) -> tuple[str, int]:
        return self.server.plan.host, self.server.plan.port

    def start(self) -> None:
        """SetupError with the log's end where it does not come up."""
        self.server.start()
        self.connection = self.server.await_answer()
        self.connection.timeout_s = REPLY_S
        self._db, self._settings = 0, {}

    def ask(self, *words: Argument, db: int = 0) -> Reply:
        """One command. Trouble where it is answered with an error; ConnectionLost where the server is gone."""
        (reply,) = self.ask_all([words], db)
        if isinstance(reply, ErrorReply):
            raise Trouble(f"{self.engine.name} answered {_name(words)} with {reply}")
        return reply

    def ask_all(self, commands: Sequence[Words], db: int = 0) -> list[Reply]:
        """Commands in one go, and their replies, error replies included. ReplyTimeout where it hangs: nobody waits for
        it a second time, since its connection is closed with that.
        """
        connection = self._connected()
        first: list[Words] = [("SELECT", db)] if db != self._db else []
        words = [*first, *commands]
        try:
            connection.send(b"".join(_encoded(one) for one in words))
            replies = [connection.take_reply() for _ in words]
        except ReplyTimeout:
            self._disconnect()
            what = (
                f"{self.role} {self.engine.name} did not answer {_name(commands[0])} within {connection.timeout_s:g} s"
            )
            raise ReplyTimeout(f"{what}; its process runs on") from None
        self._db = db
        if first and isinstance(replies[0], ErrorReply):
            self._db = -1
            raise Trouble(f"{self.engine.name} answered SELECT {db} with {replies[0]}")
        return replies[len(first) :]

    def replication(self) -> ReplicationInfo:
        return parse_replication(self.info("replication"))

    def info(self, section: str) -> str:
        reply = self.ask("INFO", section)
        return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""

    def follow(self, other: WarmServer) -> None:
        host, port = other.address
        replicate_from(self.ask, host, port)

    def set(self, settings: Mapping[str, str]) -> None:
        """CONFIG SET, to be undone by `clean`. Trouble where the server has no such setting."""
        for name, value in settings.items():
            if name not in self._settings:
                before = self.ask("CONFIG", "GET", name)
                if not isinstance(before, list) or len(before) != 2 or not isinstance(before[1], bytes):
                    raise Trouble(f"{self.engine.name} has no setting {name}")
                self._settings[name] = before[1].decode()
            self.ask("CONFIG", "SET", name, value)

    def turn_off(self, settings: Iterable[str]) -> None:
        """Set to `no` each that this server has, to be undone by `clean`."""
        for name in settings:
            if name not in self._known:
                self._known[name] = bool(self.ask("CONFIG", "GET", name))
            if self._known[name]:
                self.set({name: "no"})

    def mark(self) -> None:
        """What the log says from here on is new."""
        self._seen = self._size()

    def new_log(self) -> str:
        """What the log says since the mark."""
        try:
            with self.server.plan.log.open("rb") as file:
                file.seek(self._seen)
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def pause(self) -> None:
        """Freeze it with all the processes that it consists of."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def death(self, wait_s: float = 0.0) -> str | None:
        """How it ended, in words; None while it runs."""
        return self.server.ended(wait_s)

    def restart(self, follows: tuple[str, int], meanwhile: Callable[[], object]) -> None:
        """End it so that it saves what it holds, and start it again as a replica. meanwhile: done while it is down."""
        connection = self._connected()
        connection.send(command("SHUTDOWN", "SAVE"))
        if self.death(REPLY_S) is None:
            raise Trouble(f"{self.engine.name} did not end within {REPLY_S:.0f} s of SHUTDOWN SAVE")
        self._disconnect()
        meanwhile()
        self.server.plan = replace(self.server.plan, follows=follows)
        try:
            self.start()
        finally:
            self.server.plan = replace(self.server.plan, follows=None)

    def clean(self) -> None:
        """No data, no functions, no primary, no changed setting; proven by asking. Raises where that can't be had."""
        stop_replicating(self.ask)
        for name, value in self._settings.items():
            self.ask("CONFIG", "SET", name, value)
        self._settings, self.by_old_sync = {}, False
        for left in self.folder.glob("temp-*.rdb"):  # by its second of time, a name that the next sync may want
            left.unlink(missing_ok=True)
        self.ask("FLUSHALL")
        replies = self.ask_all([("FUNCTION", "FLUSH"), ("SCRIPT", "FLUSH"), ("FUNCTION", "LIST"), ("INFO", "keyspace")])
        functions, keyspace = replies[2], replies[3]
        if functions and not isinstance(functions, ErrorReply):
            raise Trouble(f"{self.engine.name} still holds functions after FUNCTION FLUSH")
        if not isinstance(keyspace, bytes) or any(name.startswith("db") for name in info_fields(keyspace.decode())):
            raise Trouble(f"{self.engine.name} still holds keys after FLUSHALL")
        if self.replication().role is not Role.PRIMARY:
            raise Trouble(f"{self.engine.name} still follows a primary after REPLICAOF NO ONE")

    def await_alone(self) -> None:
        """Until no replica hangs on it any more."""
        wait_until(
            lambda: self.replication().connected_replicas == 0, deadline_s=CLEAN_S, what="a replica to have gone"
        )

    def close(self) -> None:
        self._disconnect()
        self.server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _connected(self) -> Connection:
        if self.connection is None:
            raise ConnectionLost(f"{self.engine.name} is not running")
        return self.connection

    def _disconnect(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _size(self) -> int:
        try:
            return self.server.plan.log.stat().st_size
        except OSError:
            return 0

    def _signal(self, number: signal.Signals) -> None:
        pid = self.server.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)


class Pool:
    """Warm servers of all engines; usable from several threads. large: their backlogs hold values of 64 MB."""

    def __init__(self, owner: Owner, *, large: bool = False) -> None:
        self._owner, self._large = owner, large
        self._folder = owner.folder("replication-harness")
        self._lock = threading.Lock()
        self._free: dict[tuple[Engine, str], list[WarmServer]] = {}
        self._all: list[WarmServer] = []

    def lease(self, engine: Engine, role: str = "primary") -> WarmServer:
        """A clean server that nobody else uses, and that was never in another role: a primary that has followed its
        replica would give it a partial resync. SetupError where it can't be started.
        """
        with self._lock:
            if free := self._free.get((engine, role)):
                return free.pop()
            server = WarmServer(engine, self._owner, self._folder / str(len(self._all)), large=self._large)
            server.role = role
            self._all.append(server)
        server.start()
        return server

    def give_back(self, servers: Iterable[WarmServer]) -> None:
        """After use. Whatever can't be proven clean is ended, and the next lease starts another one."""
        servers = list(servers)
        cleaned = [server for server in servers if self._tried(server, server.clean)]
        for server in cleaned:  # once none of them follows another any more
            if self._tried(server, server.await_alone):
                with self._lock:
                    self._free.setdefault((server.engine, server.role), []).append(server)

    @staticmethod
    def _tried(server: WarmServer, step: Callable[[], None]) -> bool:
        try:
            step()
        except (Trouble, HarnessError, ConnectionLost, CannotConnect, SetupError):
            server.close()
            return False
        except BaseException:
            server.close()
            raise
        return True

    def close(self) -> None:
        for server in self._all:
            server.server.condemn()
        for server in self._all:
            server.close()
        self._owner.remove(self._folder)


def _encoded(words: Words) -> bytes:
    return command(*[word if isinstance(word, bytes) else str(word) for word in words])


def _name(words: Sequence[object]) -> str:
    return " ".join(str(word) for word in words[:2])
