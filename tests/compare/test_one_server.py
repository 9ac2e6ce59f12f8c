"""Whether A and B are two servers at all, and how much of them was looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.endpoint.address import Endpoint
from harness.errors import ExitCode, UsageError
from tests.compare.made import client_of, look, on_both, seen
from tests.compare.pretend import pretending, without_run_id

Pair = tuple[Endpoint, Endpoint]


def test_one_server_behind_another_address(pair: Pair) -> None:
    on_both(pair, lambda client: client.set("k", "v"))
    with pretending(pair[0], lambda words, ask: ask()) as front, pytest.raises(UsageError, match="one and the same"):
        look((pair[0], front))


def test_where_nobody_can_tell_it_is_unknown(pair: Pair) -> None:
    on_both(pair, lambda client: client.set("k", "v"))
    with pretending(pair[0], without_run_id) as front:
        for other in (pair[0], pair[1]):
            outcome = look((other, front))
            assert outcome.exit_code == ExitCode.UNKNOWN
            assert "B hides its run_id, so that nobody can tell whether A and B are two" in outcome.not_checked[0]
        assert look((pair[1], front), different_servers=True).verdict == "equal"
        with client_of(pair[1]) as client:
            client.set("k", "other")
        assert seen(look((pair[1], front))) == [("k", "value", 0, b"other", b"v")]


def test_a_database_in_the_url_is_refused(pair: Pair) -> None:
    with pytest.raises(UsageError, match=r"a database in the URL is not taken here; choose with --db 3"):
        look((replace(pair[0], db=3), pair[1]))
