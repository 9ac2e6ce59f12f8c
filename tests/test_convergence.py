"""Waiting for replicas: by offsets of one history, until each has processed what its primary held."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from harness.checker.evidence import Target
from harness.convergence import Patience, await_offsets, digits_up_to, give_up_after, take_target
from harness.endpoint.client import connect
from harness.endpoint.view import NodeView, Sample
from harness.errors import SetupError
from harness.kinds import LIST, KeyRef
from harness.replication import ReplicationInfo
from harness.resp.connection import CannotConnect, ConnectionLost
from harness.topology import Role
from tests.support.pairs import ENGINES, FAST, chain, follow, stop_following
from tests.support.servers import running

ONE, OTHER = "1" * 40, "2" * 40
A = ReplicationInfo(Role.PRIMARY, ONE, "", 500, -1, None, None, None, False, 1)
B = ReplicationInfo(Role.REPLICA, ONE, "", 500, -1, 500, 500, True, False, 0)


class View:
    """A NodeView that says these things one after another, and the last one for ever."""

    def __init__(self, *says: ReplicationInfo | Exception, lengths: tuple[int | None, ...] = ()) -> None:
        self._says, self._lengths = list(says), lengths
        self.asked = self.closed = 0

    def replication(self) -> ReplicationInfo:
        self.asked += 1
        said = self._says.pop(0) if len(self._says) > 1 else self._says[0]
        if isinstance(said, Exception):
            raise said
        return said

    def sample(self, keys: Iterable[object] = ()) -> Sample:
        return Sample(self.replication(), self._lengths, 0)

    def close(self) -> None:
        self.closed += 1


def behind(processed: int, **changes: object) -> ReplicationInfo:
    return replace(B, processed_offset=processed, read_offset=500, offset=processed, **changes)  # type: ignore[arg-type]


def target(offset: int = 500, replication_id: str = ONE) -> Target:
    return Target(replication_id, offset, {"workload": 10})


def patience(**changes: object) -> Patience:
    return Patience(time.monotonic(), **{"give_up_s": 20.0, **changes})  # type: ignore[arg-type]


def wait(view: View, *targets: Target, **changes: object):
    """Convergence of one node; the targets are told one after another, the last one for ever."""
    told = list(targets or [target()])
    found, (convergence,) = await_offsets(
        {"b": view},  # type: ignore[dict-item]
        lambda: told.pop(0) if len(told) > 1 else told[0],
        patience(**changes),
    )
    return found, convergence


class TestReached:
    def test_a_node_is_asked_until_it_has_processed_the_target(self):
        view = View(behind(100), behind(499), behind(500))
        _, convergence = wait(view)
        assert (convergence.node, convergence.reached, convergence.how) == ("b", True, "offset")
        assert convergence.seconds is not None
        assert 0 <= convergence.seconds < 20
        assert convergence.last_seen == "offset 500 of 500, link up"
        assert view.asked == 3

    def test_what_was_received_is_not_processed(self):
        view = View(behind(100), behind(500))  # it has received all 500 from the first
        assert wait(view)[1].reached
        assert view.asked == 2

    def test_another_history_does_not_count_however_far_it_is(self):
        view = View(behind(9000, replication_id=OTHER), behind(500))
        assert wait(view)[1].reached
        assert view.asked == 2

    def test_it_counts_from_the_last_write_or_heal(self):
        view = View(B)
        _, (convergence,) = await_offsets({"b": view}, target, Patience(time.monotonic() - 7))  # type: ignore[dict-item]
        assert convergence.seconds is not None
        assert 7 <= convergence.seconds < 27

    def test_a_primary_that_changed_its_history_is_asked_again(self):
        view = View(B, behind(0, replication_id=OTHER), behind(40, replication_id=OTHER))
        found, convergence = wait(view, target(), target(40, OTHER))
        assert (found.replication_id, found.offset) == (OTHER, 40)
        assert (convergence.reached, convergence.last_seen) == (True, "offset 40 of 40, link up")

    def test_a_history_that_ended_is_not_waited_for(self, monkeypatch):
        """A replica that follows its primary to another history never gets to the old target."""
        monkeypatch.setattr("harness.convergence.LOOK_AROUND_S", 0.0)
        view = View(behind(40, replication_id=OTHER))
        found, convergence = wait(view, target(), target(40, OTHER), give_up_s=3600.0)
        assert (found.replication_id, convergence.reached) == (OTHER, True)

    def test_a_primary_that_wrote_on_keeps_the_first_target(self):
        found, convergence = wait(View(B), target(500), target(900))
        assert (found.offset, convergence.reached) == (500, True)

    def test_every_node_is_waited_for(self):
        views = {"b": View(B), "c": View(behind(1), B)}
        _, convergences = await_offsets(views, target, patience())  # type: ignore[arg-type]
        assert [(each.node, each.reached) for each in convergences] == [("b", True), ("c", True)]


class TestGivingUp:
    def test_the_last_value_seen_is_told(self):
        _, convergence = wait(View(behind(100, link_up=False)), give_up_s=0.05)
        assert (convergence.reached, convergence.seconds) == (False, None)
        assert convergence.last_seen == "offset 100 of 500, link down"

    def test_a_node_that_was_there_in_the_end_is_not_given_up(self):
        """The last look comes after the time is over, not before."""
        assert wait(View(B), give_up_s=0.0)[1].reached

    def test_one_that_can_never_get_there_is_not_waited_for(self, monkeypatch):
        monkeypatch.setattr("harness.convergence.LOOK_AROUND_S", 0.0)
        asked = []

        def hopeless(node: str) -> str | None:
            asked.append(node)
            return "it is too old" if len(asked) == 3 else None

        _, convergence = wait(View(behind(100, link_up=False)), give_up_s=3600.0, hopeless=hopeless)
        assert convergence.last_seen == "offset 100 of 500, link down: it is too old"
        assert asked == ["b", "b", "b"]

    def test_one_whose_link_is_up_is_never_hopeless(self, monkeypatch):
        monkeypatch.setattr("harness.convergence.LOOK_AROUND_S", 0.0)
        view = View(behind(1), behind(2), behind(3), B)
        assert wait(view, hopeless=lambda node: "never")[1].reached

    @pytest.mark.parametrize("error", [CannotConnect("b: refused"), ConnectionLost("b: closed")])
    def test_a_node_that_is_gone_is_waited_for_and_told(self, error):
        assert wait(View(error, error, B))[1].reached
        _, convergence = wait(View(error), give_up_s=0.02)
        assert (convergence.reached, convergence.last_seen) == (False, str(error))

    def test_a_connection_that_was_closed_is_opened_again(self):
        view = View(ConnectionLost("quiet for too long"), B)
        assert wait(view)[1].reached
        assert view.closed == 1

    def test_a_primary_that_is_gone_is_an_error_of_its_own(self):
        view = View(CannotConnect("a: refused"), lengths=(1,))
        with pytest.raises(CannotConnect, match="a: refused"):
            take_target(view, {"workload": KeyRef(0, b"k", LIST)}, Sample(A, (), 0), 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("converges_within_s", "give_up_s", "seconds"),
    [(None, None, 60), (10, None, 60), (30, None, 90), (None, 5, 5), (10, 5, 30), (0.0, None, 60), (None, 0.0, 0)],
)
def test_patience_is_at_least_three_times_what_is_expected(converges_within_s, give_up_s, seconds):
    assert give_up_after(converges_within_s, give_up_s) == seconds


@pytest.mark.parametrize("last", [0, 1, 9, 10, 11, 99, 100, 12345])
def test_digits_of_all_numbers(last):
    assert digits_up_to(last) == sum(len(str(number)) for number in range(1, last + 1))


class TestTarget:
    BEFORE = Sample(replace(A, offset=100), (), 0)

    def taken(self, after: ReplicationInfo, acknowledged: int) -> Target:
        streams = {"preload.0": KeyRef(1, b"p", LIST), "workload": KeyRef(0, b"k", LIST)}
        view = View(after, lengths=(None, acknowledged))
        return take_target(view, streams, self.BEFORE, acknowledged)  # type: ignore[arg-type]

    def test_it_is_what_the_primary_holds(self):
        found = self.taken(A, 50)
        assert (found.replication_id, found.offset) == (ONE, 500)
        assert found.lengths == {"preload.0": 0, "workload": 50}

    @pytest.mark.parametrize(
        ("offset", "acknowledged", "counts"),
        [(291, 100, False), (292, 100, True), (100, 0, True), (100, 1, False), (0, 5, False)],
    )
    def test_offsets_count_where_they_grew_by_what_was_written(self, offset, acknowledged, counts):
        assert self.taken(replace(A, offset=offset), acknowledged).offset_counts is counts

    def test_a_new_history_began_from_nothing(self):
        assert self.taken(replace(A, offset=0, replication_id=OTHER), 50).offset_counts


@pytest.fixture(scope="module", params=ENGINES)
def pair(request, tmp_path_factory) -> Iterator[tuple]:
    with chain(request.param, tmp_path_factory.mktemp("pair")) as endpoints:
        yield tuple(endpoints)


class TestRealServers:
    def test_a_replica_gets_to_what_its_primary_held(self, pair):
        a, b = pair
        with NodeView(a) as look_a, NodeView(b) as look_b, closing(connect(a)) as client:
            before = look_a.sample()
            client.rpush("k", *range(1, 2001))
            found, (convergence,) = await_offsets(
                {"b": look_b},
                lambda: take_target(look_a, {"workload": KeyRef(0, b"k", LIST)}, before, 2000),
                patience(),
            )
            assert (found.lengths, found.offset_counts, convergence.reached) == ({"workload": 2000}, True, True)
            with closing(connect(b)) as reader:
                assert reader.llen("k") == 2000

    def test_one_that_stopped_following_never_does(self, pair, tmp_path):
        a, _ = pair
        with running(ENGINES[0], tmp_path / "c", *FAST) as c, closing(connect(a)) as client:
            follow(c, a)
            with NodeView(a) as look_a, NodeView(c) as look_c:
                before = look_a.sample()
                stop_following(c)
                client.rpush("k", *range(1, 101))
                _, (convergence,) = await_offsets(
                    {"c": look_c},
                    lambda: take_target(look_a, {"workload": KeyRef(0, b"k", LIST)}, before, 100),
                    patience(give_up_s=0.2),
                )
        assert not convergence.reached
        assert convergence.last_seen.endswith("link none")

    def test_errors_of_the_primary_are_no_lengths(self, pair):
        a, _ = pair
        with NodeView(a) as look_a, closing(connect(a)) as client:
            client.set("text", "x")
            found = take_target(
                look_a, {"workload": KeyRef(0, b"text", LIST), "other": KeyRef(3, b"none", LIST)}, look_a.sample(), 0
            )
            assert found.lengths == {"workload": 0, "other": 0}

    def test_a_password_that_is_wrong_is_an_error(self, pair):
        with pytest.raises(SetupError), NodeView(replace(pair[0], password="wrong")) as view:
            view.sample()
