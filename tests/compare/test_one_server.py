"""Whether A and B are two servers at all, and how much of them was looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.endpoint.address import Endpoint
from harness.errors import ExitCode, UsageError
from tests.compare.made import client_of, look, on_both, seen
from tests.compare.pretend import pretending, refusing, without_run_id
from tests.support.servers import running

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


def test_databases_that_nobody_can_name_are_unknown(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running("valkey-server", tmp_path_factory.mktemp("many"), "databases 20") as many:
        on_both((many, pair[0]), lambda client: client.set("k", "v"))
        with client_of(many, 17) as client:
            client.set("beyond", "v")
        with pretending(many, refusing(b"INFO")) as front:
            outcome = look((front, pair[0]), different_servers=True)
            assert outcome.exit_code == ExitCode.UNKNOWN
            assert outcome.not_checked == ("A hides which databases hold keys; name them with --db",)
            assert look((front, pair[0]), different_servers=True, databases=(0,)).verdict == "equal"
        assert [row[:2] for row in seen(look((many, pair[0])))] == [("", "missing_database")]
