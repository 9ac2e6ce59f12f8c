"""The canary leaves nothing, or says what it left; and what it reads back is judged whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.acceptance.canary import NUMBERS, _judge, canary
from harness.acceptance.model import Grade
from harness.compare.side import look_at
from harness.endpoint.address import Endpoint
from harness.resp.replies import ErrorReply, Reply
from tests.compare.made import client_of
from tests.compare.pretend import pretending
from tests.support.pairs import chain
from tests.support.servers import running


@pytest.mark.parametrize("length", [0, 1, NUMBERS - 1, NUMBERS + 1])
def test_a_list_that_ends_early_or_late_is_a_fail(length: int) -> None:
    newest = [b"%d" % number for number in range(NUMBERS, NUMBERS - min(length, NUMBERS), -1)] + [b"0"] * (
        length > NUMBERS
    )
    check = _judge(list(reversed(newest)))
    assert check.grade is Grade.FAIL
    assert f"place {min(length, NUMBERS)} shows" in check.found


def test_a_user_who_may_not_unlink_writes_nothing(tmp_path: Path) -> None:
    with running("valkey-server", tmp_path / "a") as a, running("valkey-server", tmp_path / "b") as b:
        with client_of(a) as client:
            client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-unlink")
        source = Endpoint(a.host, a.port, user="app", password="pw")
        result = canary(look_at("source", source, 10), look_at("target", b, 10), 10)
        with client_of(a) as client:
            assert client.dbsize() == 0
            assert "cmdstat_set" not in client.info("commandstats")
    assert [(check.name, check.grade) for check in result.checks] == [("canary", Grade.NOT_POSSIBLE)]
    assert "NOPERM" in result.checks[0].found


def test_what_could_not_be_removed_is_named_and_expires(tmp_path: Path) -> None:
    count = 0

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        nonlocal count
        if words[0] == b"UNLINK":
            count += 1
            return ErrorReply("READONLY not now") if count > 1 else ask()
        return ask()

    with chain("valkey-server", tmp_path) as (source, target), pretending(source, change) as front:
        result = canary(look_at("source", front, 10), look_at("target", target, 10), 30)
        with client_of(source) as client:
            left = sorted(client.scan_iter())
            assert all(client.ttl(key) > 0 for key in left)
    assert len(left) == 2
    last = result.checks[-1]
    assert (last.name, last.grade) == ("canary removed", Grade.FAIL)
    assert all(key.decode() in last.found for key in left)
    assert "harness clean --endpoint" in last.todo
