"""When faults are applied and healed: at marks of the writers, by the clock, by events, and at the end in any case."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from harness.errors import SetupError
from harness.fault import active
from harness.fault import nemesis as module
from harness.fault.nemesis import Nemesis
from harness.fault.schedule import disturbances
from harness.topology import Link
from tests.support.disturbed import World, eventually, fault, nemesis_of, run, together, write_stream

A_TO_B, TO_A = Link.parse("a->b"), Link.parse("client->a")
REFUSED = SetupError("the proxy refuses")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes is not waited for."""
    monkeypatch.setattr(active, "SEEN_WITHIN_S", 0.02)
    monkeypatch.setattr(active, "RECONNECT_WITHIN_S", 0.02)
    monkeypatch.setattr(module, "EVENT_WITHIN_S", 0.05)


def why_not(nemesis: Nemesis) -> list[str]:
    return [record.why_not for record in nemesis.records()]


class TestMarks:
    def test_a_change_is_made_when_so_much_is_sent(self):
        world = World("a->b")
        record = run(world, [fault("20%", "80%")]).records()[0]
        assert world.done == [("add latency to a->b", 2), ("remove latency_1 from a->b", 8)]
        assert (record.fault, record.link, record.at, record.until) == ("latency latency_ms=1", "a->b", "20%", "80%")
        assert (record.values, record.bytes, record.met, record.why_not) == (6, 60, True, "")
        assert record.applied_s is not None
        assert record.healed_s is not None
        assert 0 <= record.applied_s <= record.healed_s

    @pytest.mark.parametrize(
        ("total", "command", "applied", "healed"),
        [
            (3, 1, 2, 3),  # half of three is two
            (20, 7, 14, 20),  # rounded up to the end of a command
            (1000, 1, 500, 900),
            (2, 1, 1, 2),
            (2, 2, 2, 2),
            (1, 1, 1, 1),
            (0, 1, 0, 0),
        ],
    )
    def test_shares_are_rounded_up_to_elements_and_commands(self, total, command, applied, healed):
        world = World("a->b")
        nemesis = run(world, [fault("50%", "90%")], total, command=command)
        assert world.done == [("add latency to a->b", applied), ("remove latency_1 from a->b", healed)]
        met_nothing = "no values were sent while it was active" if applied == healed else ""
        assert why_not(nemesis) == [met_nothing]

    def test_from_before_the_first_element_to_after_the_last(self):
        world = World("a->b")
        assert run(world, [fault("0%", "100%")]).records()[0].values == 10
        assert world.done == [("add latency to a->b", 0), ("remove latency_1 from a->b", 10)]

    def test_at_one_mark_what_ends_goes_before_what_begins(self):
        world = World("a->b")
        run(world, [fault("50%", "80%", toxic="bandwidth", kb_per_s=1), fault("20%", "50%")])
        assert world.done == [
            ("add latency to a->b", 2),
            ("remove latency_1 from a->b", 5),
            ("add bandwidth to a->b", 5),
            ("remove bandwidth_2 from a->b", 8),
        ]

    def test_without_an_end_it_lasts_until_all_is_written(self):
        world = World("a->b")
        with nemesis_of(world, [fault("20%")], [10]) as nemesis:
            write_stream(world, nemesis, 10)
            assert world.done == [("add latency to a->b", 2)]
            nemesis.written()
            assert world.done[1:] == [("remove latency_1 from a->b", 10)]

    def test_several_writers_stop_each_at_its_own_share(self):
        world = World("a->b")
        totals = [10, 1000, 0, 1]
        with nemesis_of(world, [fault("50%", "90%")], totals) as nemesis:
            together(*(partial(write_stream, world, nemesis, total, writer=i) for i, total in enumerate(totals)))
            nemesis.written()
        assert world.done == [("add latency to a->b", 506), ("remove latency_1 from a->b", 910)]

    def test_all_wait_until_the_change_is_confirmed(self):
        """No element is sent between the moment at which a change begins and its confirmation."""
        world = World("a->b")
        seen: list[int] = []
        real_add = world.links[A_TO_B].add

        def slow_add(toxic, link):
            seen.append(world.sent())
            for _ in range(50):
                threading.Event().wait(0.0002)
            seen.append(world.sent())
            return real_add(toxic, link)

        world.links[A_TO_B].add = slow_add  # type: ignore[method-assign]
        with nemesis_of(world, [fault("50%", "90%")], [100, 100, 100]) as nemesis:
            together(*(partial(write_stream, world, nemesis, 100, writer=writer) for writer in range(3)))
            nemesis.written()
        assert seen == [150, 150]

    @pytest.mark.parametrize("stop_after", [0, 1, 6])
    def test_a_writer_that_ends_early_holds_up_nobody(self, stop_after):
        world = World("a->b")
        with nemesis_of(world, [fault("50%", "90%")], [10, 10]) as nemesis:
            together(
                partial(write_stream, world, nemesis, 10, writer=0, stop_after=stop_after),
                partial(write_stream, world, nemesis, 10, writer=1),
            )
            nemesis.written()
        assert [what for what, _ in world.done] == ["add latency to a->b", "remove latency_1 from a->b"]
        assert world.sent() == 10 + stop_after

    def test_a_stray_write_comes_at_its_mark(self):
        world = World()
        stray = {"node": "b", "key": "k", "element": "x"}
        record = run(world, [fault("50%", link=None, toxic=None, stray_write=stray)]).records()[0]
        assert world.done == [("stray x", 5)]
        assert (record.fault, record.link, record.met) == ("stray write", "client->b", True)


class TestCuts:
    def test_a_cut_is_seen_down_before_the_writers_go_on(self):
        world = World("a->b")
        record = run(world, [fault("20%", "80%", toxic="cut")]).records()[0]
        assert world.done == [("cut a->b", 2), ("restore a->b", 8)]
        assert (record.link_seen_down, record.met) == (True, True)

    def test_where_cuts_overlap_the_link_comes_back_with_the_last_one(self):
        world = World("a->b")
        nemesis = run(world, [fault("20%", "60%", toxic="cut"), fault("40%", "80%", toxic="cut")])
        assert world.done == [("cut a->b", 2), ("cut a->b", 4), ("restore a->b", 8)]
        assert why_not(nemesis) == ["", ""]

    def test_a_toxic_under_a_cut_does_not_end_it(self):
        world = World("a->b")
        nemesis = run(world, [fault("20%", "80%", toxic="cut"), fault("40%", "60%")])
        assert [what for what, _ in world.done] == [
            "cut a->b",
            "add latency to a->b",
            "remove latency_1 from a->b",
            "restore a->b",
        ]
        assert why_not(nemesis) == ["", "the link was down all the while"]

    def test_a_toxic_that_met_something_before_a_cut_has_met_it(self):
        world = World("a->b")
        nemesis = run(world, [fault("20%", "80%"), fault("60%", "80%", toxic="cut")])
        assert why_not(nemesis) == ["", ""]

    def test_one_that_takes_nothing_down_has_met_nothing(self):
        world = World("a->b")
        world.links[A_TO_B].cut = lambda: None  # type: ignore[method-assign]
        assert why_not(run(world, [fault("20%", "80%", toxic="cut")])) == ["the link was never seen down"]

    def test_links_are_told_apart(self):
        world = World("a->b", "a->c")
        nemesis = run(world, [fault("20%", "60%", toxic="cut"), fault("40%", "80%", link="a->c", toxic="cut")])
        assert world.done == [("cut a->b", 2), ("cut a->c", 4), ("restore a->b", 6), ("restore a->c", 8)]
        assert why_not(nemesis) == ["", ""]


class Timed(Nemesis):
    """Its clock stands until the test moves it."""

    now = 0.0
    looks = 0

    def clock(self) -> float:
        return self.now

    def _step(self) -> None:
        super()._step()
        self.looks += 1

    def move(self, now: float) -> None:
        """Set the clock, and let the nemesis look at it."""
        self.now, looks = now, self.looks
        eventually(lambda: self.looks > looks + 2 or not self._thread.is_alive())


def timed(world: World, *faults, totals=(10,)) -> Timed:
    return Timed(disturbances(faults), world.links, totals, world, ["b"])


class TestSeconds:
    def test_they_count_from_the_first_write(self):
        world = World("a->b")
        with timed(world, fault("0.5s", "1.5s")) as nemesis:
            assert nemesis.wait_at(0, 0) > 0
            world.write(1)
            nemesis.move(0.49)
            assert world.done == []
            nemesis.move(0.5)
            assert world.done == [("add latency to a->b", 1)]
            world.write(4)
            nemesis.move(1.49)
            assert world.done[1:] == []
            nemesis.move(1.5)
            assert world.done[1:] == [("remove latency_1 from a->b", 5)]
            nemesis.finished(0)
            nemesis.written()
        record = nemesis.records()[0]
        assert (record.applied_s, record.healed_s, record.values, record.met) == (0.5, 1.5, 4, True)

    def test_an_end_counts_from_the_beginning_where_that_is_no_time(self):
        world = World("a->b")
        with timed(world, fault("50%", "0.5s")) as nemesis:
            nemesis.wait_at(0, 0)
            world.write(5)
            nemesis.move(7.0)
            nemesis.wait_at(0, 5)
            world.write(1)
            nemesis.move(7.49)
            assert world.done == [("add latency to a->b", 5)]
            nemesis.move(7.5)
            assert world.done[1:] == [("remove latency_1 from a->b", 6)]

    def test_what_has_not_begun_when_all_is_written_never_came(self):
        world = World("a->b")
        assert why_not(run(world, [fault("60s", "61s")])) == ["60s never came"]
        assert world.done == []

    def test_an_end_that_is_known_is_waited_for(self):
        world = World("a->b")
        with timed(world, fault("0s", "300s")) as nemesis:
            nemesis.wait_at(0, 0)
            nemesis.move(0.0)
            world.write(10)
            nemesis.finished(0)
            ending = threading.Thread(target=nemesis.written, daemon=True)
            ending.start()
            nemesis.move(299.0)
            assert ending.is_alive()
            nemesis.move(300.0)
            ending.join(20)
            assert not ending.is_alive()
        assert why_not(nemesis) == [""]
        assert world.done == [("add latency to a->b", 0), ("remove latency_1 from a->b", 10)]

    def test_the_writers_own_way_is_healed_by_the_clock(self):
        """A writer that can't go on reaches no mark; seconds end its fault, and the break is its own."""
        world = World("client->a")
        with timed(world, fault("50%", "0.2s", link="client->a", toxic="cut")) as nemesis:
            nemesis.wait_at(0, 0)
            world.write(5)
            nemesis.wait_at(0, 5)
            assert world.up[TO_A] is False
            nemesis.move(0.2)
            assert world.up[TO_A] is True
            world.write(5)
            nemesis.finished(0)
            nemesis.written()
        record = nemesis.records()[0]
        assert (record.met, record.link_seen_down) == (True, True)

    def test_before_the_first_write_no_time_passes(self):
        world = World("a->b")
        with timed(world, fault("0s", "1s")) as nemesis:
            nemesis.now = 5.0
            threading.Event().wait(0.02)  # ten looks of the nemesis; it may not act on any of them
            assert world.done == []


class TestEvents:
    def test_a_full_sync_is_met_while_it_goes_on(self):
        world = World("a->b")
        with nemesis_of(world, [fault("full_sync", "0.01s", toxic="cut")], [10]) as nemesis:
            nemesis.wait_at(0, 0)
            world.write(10)
            world.syncs, world.rdb = (1, 0), 4096
            eventually(lambda: world.done)
            world.rdb = 0
            eventually(lambda: world.up[A_TO_B])
            world.syncs = (2, 1)  # begun again, and finished
            nemesis.finished(0)
            nemesis.written()
        record = nemesis.records()[0]
        assert (record.why_not, record.bytes, record.link_seen_down) == ("", 4096, True)

    def test_a_sync_that_ended_all_the_same_was_not_broken(self):
        world = World("a->b")
        with nemesis_of(world, [fault("full_sync", "0.01s", toxic="cut")], [10]) as nemesis:
            nemesis.wait_at(0, 0)
            world.write(10)
            world.syncs, world.rdb = (1, 0), 4096
            eventually(lambda: world.done)
            world.syncs, world.rdb = (1, 1), 0
            nemesis.finished(0)
            nemesis.written()
        assert why_not(nemesis) == ["the full sync was over before the link was down"]

    def test_a_sync_too_short_to_be_seen_makes_the_fault_and_meets_nothing(self):
        world = World("a->b")
        with nemesis_of(world, [fault("full_sync", "0.01s", toxic="cut")], [10]) as nemesis:
            nemesis.wait_at(0, 0)
            world.write(10)
            world.syncs = (1, 1)
            eventually(lambda: world.done)
            nemesis.finished(0)
            nemesis.written()
        assert why_not(nemesis) == ["no RDB bytes were seen on the link"]

    def test_syncs_from_before_the_run_are_no_event(self):
        world = World("a->b")
        world.syncs = (3, 3)
        assert why_not(run(world, [fault("full_sync", "1s")])) == ["full_sync never came"]
        assert world.done == []

    def test_a_link_comes_up_only_after_it_was_down(self):
        world = World("a->b")
        with nemesis_of(world, [fault("link_up", "0.01s")], [10]) as nemesis:
            nemesis.wait_at(0, 0)
            world.write(5)
            looked = world.questions
            eventually(lambda: world.questions > looked + 10)
            assert world.done == []
            world.up[A_TO_B] = False
            looked = world.questions
            eventually(lambda: world.questions > looked + 10)
            assert world.done == []
            world.up[A_TO_B] = True
            eventually(lambda: len(world.done) == 2)
            world.write(5)
            nemesis.finished(0)
            nemesis.written()
        assert why_not(nemesis) == [""]
        assert [what for what, _ in world.done] == ["add latency to a->b", "remove latency_1 from a->b"]

    def test_a_cut_after_the_last_element_needs_its_reconnect(self):
        world = World("a->b")
        nemesis = run(world, [fault("written", "0.01s", toxic="cut")])
        assert world.done == [("cut a->b", 10), ("restore a->b", 10)]
        assert why_not(nemesis) == [""]

    def test_a_link_that_stays_down_is_told(self):
        world = World("a->b")
        world.links[A_TO_B].restore = lambda: None  # type: ignore[method-assign]
        nemesis = run(world, [fault("written", "0.01s", toxic="cut")])
        assert why_not(nemesis) == ["the link was not seen up again"]

    def test_an_event_that_never_comes_is_not_waited_for_for_ever(self):
        world = World("a->b")
        assert why_not(run(world, [fault("link_up", "1s")])) == ["link_up never came"]

    def test_an_end_that_never_comes_is_made_before_anything_is_read(self):
        world = World("a->b")
        with nemesis_of(world, [fault("20%", "link_up")], [10]) as nemesis:
            write_stream(world, nemesis, 10)
            nemesis.written()
            assert world.done[1:] == [("remove latency_1 from a->b", 10)]
        assert why_not(nemesis) == ["its end, link_up, never came"]

    def test_a_share_that_has_passed_ends_what_an_event_begins_later(self):
        world = World("a->b")
        with nemesis_of(world, [fault("link_up", "50%")], [10]) as nemesis:
            nemesis.wait_at(0, 0)
            world.up[A_TO_B] = False
            looked = world.questions
            eventually(lambda: world.questions > looked + 10)
            world.write(5)
            nemesis.wait_at(0, 5)
            world.up[A_TO_B] = True
            eventually(lambda: len(world.done) == 2)
            world.write(5)
            nemesis.finished(0)
            nemesis.written()
        assert [what for what, _ in world.done] == ["add latency to a->b", "remove latency_1 from a->b"]

    def test_once_all_is_over_nothing_is_applied_any_more(self):
        """A full sync that comes while the replica converges must not be disturbed: what is read then is judged."""
        world = World("a->b")
        with nemesis_of(world, [fault("full_sync", "1s", toxic="cut")], [10]) as nemesis:
            write_stream(world, nemesis, 10)
            nemesis.written()
            world.syncs, world.rdb = (1, 0), 4096
            threading.Event().wait(0.02)
        assert world.done == []
        assert why_not(nemesis) == ["full_sync never came"]


class TestReading:
    def test_a_replicas_client_link_is_disturbed_until_it_was_read(self):
        world = World("client->b")
        with nemesis_of(world, [fault("20%", link="client->b")], [10]) as nemesis:
            write_stream(world, nemesis, 10)
            nemesis.written()
            assert world.done == [("add latency to client->b", 2)]
            assert nemesis.last_heal is None
            world.client_bytes += 30
        assert world.done[1:] == [("remove latency_1 from client->b", 10)]
        assert nemesis.records()[0].met

    def test_a_cut_that_holds_the_reader_is_healed_when_it_says_so(self):
        world = World("client->b")
        run(world, [fault("20%", "80%", link="client->b")])
        assert [sent for _, sent in world.done] == [2, 8]

    def test_what_is_healed_before_the_end_sets_the_time_from_which_convergence_counts(self):
        world = World("a->b")
        assert run(world, [fault("20%", "80%")]).last_heal is not None
        assert run(world, []).last_heal is None


class TestFailures:
    @pytest.mark.parametrize(
        ("failing", "error", "reason"),
        [
            ("add", REFUSED, "the proxy refuses"),
            ("add", KeyError("name"), "KeyError: 'name'"),
            ("traffic", SetupError("a is gone"), "a is gone"),
            ("remove", REFUSED, "not healed: the proxy refuses"),
            ("remove", OSError(5, "no"), "not healed: OSError: [Errno 5] no"),
        ],
    )
    def test_nothing_that_fails_holds_up_the_writers(self, failing, error, reason):
        world = World("a->b", "a->c")
        world.failing[failing] = error
        faults = [fault("20%", "80%"), fault("40%", "60%", link="a->c", toxic="cut")]
        with nemesis_of(world, faults, [10, 20]) as nemesis:
            together(*(partial(write_stream, world, nemesis, 10 * (i + 1), writer=i) for i in range(2)))
            nemesis.written()
        assert world.sent() == 30
        assert why_not(nemesis)[0] == reason
        assert ("restore a->c", 18) in world.done
        if failing == "traffic":  # what could not be measured is undone all the same
            assert ("remove latency_1 from a->b", 24) in world.done

    def test_a_toxic_that_was_not_added_is_not_removed(self):
        world = World("a->b")
        world.failing["add"] = REFUSED
        run(world, [fault("20%", "80%")])
        assert world.done == []

    def test_what_can_no_longer_be_watched_is_healed(self):
        world = World("a->b")
        with nemesis_of(world, [fault("20%", "link_up")], [10]) as nemesis:
            nemesis.wait_at(0, 0)
            world.write(2)
            nemesis.wait_at(0, 2)
            world.failing["link_up"] = SetupError("b is gone")
            eventually(lambda: len(world.done) == 2)
            world.write(8)
            nemesis.finished(0)
            nemesis.written()
        assert world.done == [("add latency to a->b", 2), ("remove latency_1 from a->b", 2)]
        assert "b is gone" in why_not(nemesis)[0]

    def test_an_event_that_can_not_be_watched_for_is_told(self):
        world = World("a->b")
        world.failing["sync_bytes"] = SetupError("b is gone")
        assert why_not(run(world, [fault("full_sync", "1s")])) == ["its moment could not be watched for: b is gone"]

    def test_a_node_that_refuses_a_stray_write_is_told(self):
        world = World()
        world.failing["write_stray"] = SetupError("b refused the stray write: READONLY")
        stray = {"node": "b", "key": "k", "element": "x"}
        nemesis = run(world, [fault("50%", link=None, toxic=None, stray_write=stray)])
        assert why_not(nemesis) == ["b refused the stray write: READONLY"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SetupError, ZeroDivisionError])
    def test_whatever_ends_the_run_heals_everything_at_once(self, error, monkeypatch):
        monkeypatch.setattr(active, "SEEN_WITHIN_S", 3600)
        world = World("a->b", "a->c", "client->b")
        world.links[Link.parse("a->c")].cut = lambda: None  # type: ignore[method-assign]  # never seen down
        faults = [fault("10%"), fault("10%", "3600s", toxic="reset_peer"), fault("10%", link="client->b")]

        def interrupted() -> None:
            with nemesis_of(world, faults, [10]) as nemesis:
                nemesis.wait_at(0, 0)
                world.write(5)
                nemesis.wait_at(0, 5)
                raise error

        with pytest.raises(error):
            interrupted()
        assert [what for what, _ in world.done][3:] == [
            "remove latency_1 from a->b",
            "remove reset_peer_2 from a->b",
            "remove latency_1 from client->b",
        ]
        assert not any(thread.name == "nemesis" for thread in threading.enumerate())

    def test_writers_that_wait_at_a_mark_are_let_go(self):
        world = World("a->b")
        nemesis = nemesis_of(world, [fault("50%", "90%")], [10, 10])
        waiting = threading.Thread(target=partial(write_stream, world, nemesis, 10), daemon=True)
        with nemesis:
            waiting.start()
            eventually(lambda: world.sent() == 5)
        waiting.join(20)
        assert not waiting.is_alive()
        assert world.done == []

    def test_closing_twice_does_nothing_more(self):
        world = World("a->b")
        nemesis = run(world, [fault("20%", "80%")])
        nemesis.close()
        assert len(world.done) == 2
