"""Writes through the source what the target must then show: small keys for lag, and a list for order.

Only asked for by --canary; only under a prefix of this run's own, on a scope that lets nothing else pass; and removed
after, whatever happens.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from harness.acceptance.model import Check, Grade
from harness.compare.side import Side
from harness.endpoint.allowed import Scope, own_key, scoped_key
from harness.errors import SetupError
from harness.resp.connection import Connection
from harness.resp.replies import ErrorReply, Reply
from harness.waiting import WaitedTooLongError, wait_until

BEATS = 50
NUMBERS = 10_000
_AT_ONCE = 1_000
_EXPIRES_S = 60
_LIST_EXPIRES_S = 600
_SLOW_S = 1.0  # a lag above which readers will notice


@dataclass(frozen=True)
class Canary:
    """percentiles of lag in milliseconds; newest: what the target shows first, newest first."""

    checks: tuple[Check, ...]
    figures: dict[str, float | int | str]


def canary(source: Side, target: Side, deadline_s: float = 10.0) -> Canary:
    """Write, read on the target, remove. A write that is refused, or never arrives, fails."""
    run_id = f"accept-{secrets.token_hex(4)}"
    key = scoped_key(run_id, "numbers").encode()
    try:
        _removable(source, target, run_id, key)
    except _RefusedError as problem:
        todo = "let this user send UNLINK to keys under harness:, without which nothing is written"
        return Canary((Check("canary", Grade.NOT_POSSIBLE, str(problem), todo),), {})
    written = _written(source, target, run_id, key, deadline_s)
    beat = own_key(run_id, "canary", "beat").encode()
    left = [name.decode() for name in (beat, key) if _left(source, target, run_id, name)]
    if not left:
        return written
    found, todo = f"left on the source: {', '.join(left)}", "`harness clean --endpoint URL` removes it"
    return replace(written, checks=(*written.checks, Check("canary removed", Grade.FAIL, found, todo)))


def _written(source: Side, target: Side, run_id: str, key: bytes, deadline_s: float) -> Canary:
    try:
        lags = [_beat(source, target, run_id, number, deadline_s) for number in range(BEATS)]
    except (WaitedTooLongError, _RefusedError, SetupError) as problem:
        todo = "check that the target follows the source, and that this user may write under harness:"
        return Canary((Check("canary lag", Grade.FAIL, str(problem), todo),), {})
    figures: dict[str, float | int | str] = {
        f"lag p{share} ms": round(_percentile(lags, share) * 1000, 3) for share in (50, 95, 99)
    }
    text = ", ".join(f"{name.removeprefix('lag ')} {value}" for name, value in figures.items())
    grade = Grade.WARN if _percentile(lags, 99) > _SLOW_S else Grade.PASS
    todo = "find out what holds the link back" if grade is Grade.WARN else ""
    return Canary((Check("canary lag", grade, text, todo), _order(source, target, run_id, key, deadline_s)), figures)


class _RefusedError(Exception):
    """A write or a read of the canary was answered with an error."""


def _removable(source: Side, target: Side, run_id: str, key: bytes) -> None:
    """_RefusedError where a key of ours, which is not there yet, could not be removed later."""
    with _connections(source, target, run_id, key) as (writer, _):
        _good(writer.command("UNLINK", key))


def _left(source: Side, target: Side, run_id: str, key: bytes) -> bool:
    """Whether a key of ours may still be there: it is removed once more, and looked for."""
    try:
        with _connections(source, target, run_id, key) as (writer, _):
            writer.command("UNLINK", key)
            return writer.command("EXISTS", key) != 0
    except SetupError:
        return True


def _remove(writer: Connection, key: bytes) -> None:
    """As far as that goes now; what is left is found at the end (see `_left`)."""
    with suppress(SetupError):
        writer.command("UNLINK", key)


def _beat(source: Side, target: Side, run_id: str, number: int, deadline_s: float) -> float:
    """Seconds from the acknowledgement of one write until the target shows it."""
    key, value = own_key(run_id, "canary", "beat").encode(), b"%d" % number
    with _connections(source, target, run_id, key) as (writer, reader):
        _good(writer.command("SET", key, value, "EX", _EXPIRES_S))
        began = time.monotonic()
        try:
            wait_until(
                lambda: _good(reader.command("GET", key)) == value,
                deadline_s=deadline_s,
                what="a canary on the target",
                describe=lambda: reader.command("GET", key),
            )
            return time.monotonic() - began
        finally:
            _remove(writer, key)


def _order(source: Side, target: Side, run_id: str, key: bytes, deadline_s: float) -> Check:
    """A list of numbers, written in order through the source and read newest first from the target."""
    with _connections(source, target, run_id, key) as (writer, reader):
        if _good(writer.command("EXISTS", key)) != 0:
            return Check("canary order", Grade.FAIL, f"{key.decode()} is there already", "run it again")
        assert writer.endpoint.scope is not None
        writer.endpoint.scope.writable_claims.add((0, key))
        try:
            for first in range(1, NUMBERS + 1, _AT_ONCE):
                _good(writer.command("RPUSH", key, *range(first, first + _AT_ONCE)))
                writer.command("EXPIRE", key, _LIST_EXPIRES_S)  # should we be killed; who can't lets us remove it
            wait_until(
                lambda: _good(reader.command("LLEN", key)) == NUMBERS,
                deadline_s=deadline_s,
                what=f"{NUMBERS} numbers on the target",
                describe=lambda: reader.command("LLEN", key),
            )
            return _judge(_good(reader.command("LRANGE", key, 0, NUMBERS - 1)))
        except (WaitedTooLongError, _RefusedError, SetupError) as problem:
            return Check("canary order", Grade.FAIL, str(problem), "check that the target follows the source")
        finally:
            _remove(writer, key)


def _judge(reply: Reply) -> Check:
    newest = (
        [bytes(each) if isinstance(each, bytes) else b"" for each in reversed(reply)] if isinstance(reply, list) else []
    )
    expected = [b"%d" % number for number in range(NUMBERS, 0, -1)]
    shown = ", ".join(each.decode("utf-8", "backslashreplace") for each in newest[:5])
    if newest == expected:
        return Check("canary order", Grade.PASS, f"{NUMBERS} numbers in order; newest first: {shown}, …")
    pairs = enumerate(zip(expected, newest, strict=False))
    at = next((index for index, (one, other) in pairs if one != other), min(len(newest), NUMBERS))
    there = newest[at].decode(errors="backslashreplace") if at < len(newest) else "nothing"
    wanted = expected[at].decode() if at < NUMBERS else "nothing"
    found = f"newest first, place {at} shows {there}, not {wanted}"
    return Check("canary order", Grade.FAIL, found, "do not cut over: the target changes the order")


@contextmanager
def _connections(source: Side, target: Side, run_id: str, key: bytes) -> Iterator[tuple[Connection, Connection]]:
    """To the source's primary, allowed to write this run's keys; to the target, allowed to read them."""
    primary = source.shards[source.shard_of(key)].primary
    other = target.shards[target.shard_of(key)].primary
    writing, reading = Scope(run_id, writes=True), Scope(run_id, writes=False)
    with (
        Connection(replace(primary, scope=writing, db=0), timeout_s=source.timeout_s) as writer,
        Connection(replace(other, scope=reading, db=0), timeout_s=target.timeout_s) as reader,
    ):
        yield writer, reader


def _good(reply: Reply) -> Reply:
    if isinstance(reply, ErrorReply):
        raise _RefusedError(f"a canary was answered with {reply}")
    return reply


def _percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
