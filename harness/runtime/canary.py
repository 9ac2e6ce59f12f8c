"""Canaries: values of our own that are written through a primary and looked for on its replicas.

They tell what offsets can't where an endpoint shows none (managed ones say 0 for ever): a replica that shows a canary
has processed everything that its primary wrote before it, in the same database and slot. Canary keys expire by
themselves, should we be killed.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import own_key, slot_tag
from harness.errors import SetupError
from harness.resp.connection import Connection
from harness.resp.replies import ErrorReply

EXPIRES_S = 3600
INTERVAL_S = 0.02

_NOT_SERVING = frozenset({"LOADING", "MASTERDOWN"})  # a replica that shows nothing for now

Send = Callable[..., Any]  # sends one command and returns its reply: Connection.command, or a client's own method
Record = Callable[[float, str, float, int], None]  # seconds since start, node, lag in ms, canaries seen there


class CanaryRefusedError(SetupError):
    """The primary took no canary, or the replica would not say whether it has it. code: the server's word for it."""

    def __init__(self, key: str, reply: ErrorReply) -> None:
        self.code = reply.code
        super().__init__(f"the canary {key!r} is refused: {reply.text}")


@dataclass(frozen=True)
class Canary:
    """A value that was written under key, and stands there until the next one replaces it."""

    key: str
    value: bytes


def canary_key(run_id: str, key: str) -> str:
    """The key of the canaries that vouch for `key`, in the same slot."""
    return own_key(run_id, "canary", slot_tag(key))


def lag_key(run_id: str, key: str) -> str:
    """The key of the canaries that measure lag while `key` is written, in the same slot."""
    return own_key(run_id, "lag", slot_tag(key))


def write_canary(send: Send, key: str) -> Canary:
    """Write a new canary; `send` belongs to a connection to the primary, in the database that it shall vouch for.

    CanaryRefusedError where the primary answers with an error.
    """
    canary = Canary(key, secrets.token_hex(8).encode())
    _put(send, key, canary.value)
    return canary


def seen(send: Send, canary: Canary) -> bool:
    """Whether the connection that `send` belongs to shows this canary. A replica that serves nothing for now does not.

    CanaryRefusedError for any other error reply.
    """
    return _shown(send, canary.key) == canary.value


def _put(send: Send, key: str, value: bytes) -> None:
    reply = send("SET", key, value, "EX", EXPIRES_S)
    if isinstance(reply, ErrorReply):
        raise CanaryRefusedError(key, reply)


def _shown(send: Send, key: str) -> bytes | None:
    reply = send("GET", key)
    if isinstance(reply, ErrorReply) and reply.code not in _NOT_SERVING:
        raise CanaryRefusedError(key, reply)
    return reply if isinstance(reply, bytes) else None


class CanaryLag:
    """Samples lag by canaries while a run lasts: the age of the oldest one that a replica does not show yet.

    A thread of its own looks at every replica, then writes the next canary through the primary. key: from `lag_key`;
    the endpoints' database is the one that is measured. `failures` says why the sampler died, if it did.
    """

    def __init__(
        self,
        primary: Endpoint,
        replicas: Mapping[str, Endpoint],
        key: str,
        record: Record = lambda seconds, node, lag_ms, canaries: None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._endpoints = (primary, dict(replicas))
        self._key, self._record, self._interval_s = key, record, interval_s
        self._written = _Written()
        self._max_ms = dict.fromkeys(replicas, 0.0)
        self._ended = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._sample_until_ended, name="canary lag sampler", daemon=True)
        self.samples = 0
        self.failures: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        self._started = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples, and remove the canaries; waits for the sample under way."""
        self._ended.set()
        self._thread.join()

    @property
    def max_lag_ms(self) -> Mapping[str, float]:
        """The largest lag seen, by node, in milliseconds."""
        return dict(self._max_ms)

    def _sample_until_ended(self) -> None:
        try:
            with ExitStack() as opened:
                self._sample_over(opened)
        except Exception as error:  # noqa: BLE001 - whatever kills the sampler is told as a doubt, and decides
            self.failures = (f"the lag sampler died: {type(error).__name__}: {error}",)

    def _sample_over(self, opened: ExitStack) -> None:
        endpoint, endpoints = self._endpoints
        primary = opened.enter_context(Connection(endpoint))
        replicas = {node: opened.enter_context(Connection(replica)) for node, replica in endpoints.items()}
        opened.callback(primary.command, "UNLINK", self._key)
        while not self._ended.is_set():
            self._sample(primary, replicas)
            self._ended.wait(self._interval_s)

    def _sample(self, primary: Connection, replicas: Mapping[str, Connection]) -> None:
        """Every replica first, then the primary: what a replica shows is never newer than what we know of."""
        for node, connection in replicas.items():
            asked = time.monotonic()
            shown = self._written.number(_shown(connection.command, self._key))
            lag_ms = self._written.age_s(shown, asked) * 1000
            self._max_ms[node] = max(self._max_ms[node], lag_ms)
            self._record(asked - self._started, node, lag_ms, shown)
        _put(primary.command, self._key, self._written.next_value())
        self._written.acknowledge(time.monotonic())
        self.samples += 1


class _Written:
    """The canaries of one sampler: numbered from 1, with the times of those that some replica may not show yet."""

    REMEMBERED = 1_000_000  # at 50 a second, more than five hours behind; older ones count as the oldest remembered

    def __init__(self) -> None:
        self._mark = secrets.token_hex(8).encode()
        self._newest = 0
        self._times: deque[float] = deque(maxlen=self.REMEMBERED)

    def next_value(self) -> bytes:
        return b"%s:%d" % (self._mark, self._newest + 1)

    def acknowledge(self, now: float) -> None:
        self._newest += 1
        self._times.append(now)

    def number(self, value: bytes | None) -> int:
        """The number of the canary that this value is, 0 for none of ours."""
        mark, _, number = (value or b"").partition(b":")
        return int(number) if mark == self._mark else 0

    def age_s(self, shown: int, now: float) -> float:
        """How long ago the oldest canary after number `shown` was acknowledged, in seconds; 0 where there is none."""
        unseen = self._newest - shown
        if unseen <= 0:
            return 0.0
        return max(0.0, now - self._times[max(0, len(self._times) - unseen)])
