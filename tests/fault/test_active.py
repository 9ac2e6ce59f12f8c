"""What counts as met, and what does not: one fault, and what went over its link while it was active."""

from __future__ import annotations

import pytest

from harness.errors import SetupError
from harness.fault import active
from harness.fault.active import ActiveFault
from harness.fault.schedule import disturbances
from harness.topology import Link
from tests.support.disturbed import World, fault

A_TO_B, TO_A, TO_B = (Link.parse(name) for name in ("a->b", "client->a", "client->b"))


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(active, "SEEN_WITHIN_S", 0.01)
    monkeypatch.setattr(active, "RECONNECT_WITHIN_S", 0.01)


def active_fault(world: World, **what: object) -> ActiveFault:
    """Not yet applied; on the first link of the world."""
    (disturbance,) = disturbances([fault(str(what.pop("at", "20%")), **what)])
    return ActiveFault(disturbance, world.links[next(iter(world.links))], world, lambda: 1.0)


def told(one: ActiveFault) -> tuple[int, int, str]:
    record = one.record()
    assert record.met == (not record.why_not)
    return record.values, record.bytes, record.why_not


NOTHING_SENT = "no values were sent while it was active"
NO_GROWTH = "the primary's offset did not grow while it was active"


class TestReplicationLinks:
    @pytest.mark.parametrize(
        ("sent", "grown", "why_not"),
        [
            (5, 50, ""),
            (5, 0, NO_GROWTH),  # what was sent has not arrived at the primary
            (0, 50, NOTHING_SENT),  # a ping of the primary's own
            (0, 0, NOTHING_SENT),
        ],
    )
    def test_values_must_be_sent_and_the_offset_must_grow(self, sent, grown, why_not):
        world = World("a->b")
        one = active_fault(world)
        one.apply()
        world.sent_by[0] += sent
        world.offset += grown
        one.heal()
        assert told(one) == (sent, grown, why_not)

    @pytest.mark.parametrize(("lost", "why_not"), [(3, ""), (0, "no packet was lost while it was active")])
    def test_of_a_loss_packets_must_have_vanished(self, lost, why_not):
        world = World("a->b")
        one = active_fault(world, toxic="loss", loss_percent=5)
        one.apply()
        world.write(5)
        world.lost = lost
        one.heal()
        assert told(one) == (5, 50, why_not)
        assert one.record().packets_lost == lost

    def test_what_went_before_and_after_does_not_count(self):
        world = World("a->b")
        one = active_fault(world)
        world.write(7)
        one.apply()
        world.write(1)
        one.heal()
        world.write(9)
        assert told(one) == (1, 10, "")

    def test_what_went_while_the_proxy_was_asked_does_not_count(self):
        world = World("a->b")
        real = world.links[A_TO_B].add

        def slowly(toxic, link):
            world.write(3)
            return real(toxic, link)

        world.links[A_TO_B].add = slowly  # type: ignore[method-assign]
        one = active_fault(world)
        one.apply()
        one.heal()
        assert told(one) == (0, 0, NOTHING_SENT)

    def test_an_offset_that_grows_a_moment_later_is_waited_for(self, monkeypatch):
        monkeypatch.setattr(active, "SEEN_WITHIN_S", 20)
        world = World("a->b")
        one = active_fault(world)
        one.apply()
        world.sent_by[0] += 1
        asked = []

        def traffic(link):
            asked.append(link)
            return 10 if len(asked) > 3 else 0

        world.traffic = traffic  # type: ignore[method-assign]
        one.heal()
        assert told(one) == (1, 10, "")

    @pytest.mark.parametrize(
        ("toxic", "figures", "why_not"),
        [
            ("latency", {}, "the link was down all the while"),
            ("bandwidth", {"kb_per_s": 1}, "the link was down all the while"),
            ("slicer", {"average_bytes": 9}, "the link was down all the while"),
            ("limit_data", {"limit_bytes": 9}, ""),  # takes it down itself
            ("timeout", {"timeout_ms": 9}, ""),
        ],
    )
    def test_a_link_that_is_down_gives_nothing_to_disturb(self, toxic, figures, why_not):
        world = World("a->b")
        world.up[A_TO_B] = False
        one = active_fault(world, toxic=toxic, **figures)
        one.apply()
        one.look()
        world.write(5)
        one.heal()
        assert told(one)[2] == why_not

    @pytest.mark.parametrize("toxic", ["cut", "reset_peer"])
    def test_what_severs_must_be_seen_down(self, toxic):
        world = World("a->b")
        world.links[A_TO_B].cut = lambda: None  # type: ignore[method-assign]
        one = active_fault(world, toxic=toxic)
        one.apply()
        world.write(5)
        one.heal()
        assert told(one) == (5, 50, "the link was never seen down")
        assert one.record().link_seen_down is False

    def test_a_reset_that_was_seen_for_a_moment_has_met_the_link(self):
        world = World("a->b")
        one = active_fault(world, toxic="reset_peer")
        one.apply()
        world.up[A_TO_B] = False
        one.look()
        world.up[A_TO_B] = True
        world.write(5)
        one.heal()
        assert told(one) == (5, 50, "")
        assert one.record().link_seen_down is True

    def test_a_cut_that_no_value_met(self):
        world = World("a->b")
        one = active_fault(world, toxic="cut")
        one.apply()
        one.heal()
        assert told(one) == (0, 0, NOTHING_SENT)
        assert one.record().link_seen_down is True


class TestClientLinks:
    def test_bytes_of_our_own_clients_count(self):
        world = World("client->a")
        one = active_fault(world, link="client->a")
        one.apply()
        world.write(5)
        one.heal()
        assert told(one) == (5, 50, "")

    def test_without_any_it_met_nothing(self):
        world = World("client->b")
        one = active_fault(world, link="client->b")
        one.apply()
        world.sent_by[0] += 5  # to another node
        one.heal()
        assert told(one) == (5, 0, "none of our own bytes went over the link")

    def test_a_cut_must_break_a_connection(self):
        world = World("client->a")
        one = active_fault(world, link="client->a", toxic="cut")
        one.apply()
        world.write(1)
        one.heal()
        assert told(one) == (1, 10, "")

    def test_one_that_only_keeps_new_connections_out_met_nothing(self):
        world = World("client->a")

        def cut() -> None:
            world.up[TO_A] = False

        world.links[TO_A].cut = cut  # type: ignore[method-assign]
        one = active_fault(world, link="client->a", toxic="cut")
        one.apply()
        world.write(1)
        one.heal()
        assert told(one)[2] == "no connection of our own broke"

    def test_a_break_before_it_is_not_its_own(self):
        world = World("client->a")
        world.broken[TO_A] = 3
        one = active_fault(world, link="client->a", toxic="reset_peer")
        one.apply()
        world.write(1)
        one.heal()
        assert told(one)[2] == "the link was never seen down"

    def test_a_break_that_the_writer_notices_late_is_waited_for(self, monkeypatch):
        monkeypatch.setattr(active, "SEEN_WITHIN_S", 20)
        world = World("client->a")
        asked = []

        def breaks(link):
            asked.append(link)
            return int(len(asked) > 5)

        def cut() -> None:
            world.up[TO_A] = False

        world.breaks = breaks  # type: ignore[method-assign]
        world.links[TO_A].cut = cut  # type: ignore[method-assign]
        (what,) = disturbances([fault("20%", "1s", link="client->a", toxic="cut")])
        one = ActiveFault(what, world.links[TO_A], world, lambda: 1.0, unsent=lambda: 5)
        one.apply()
        one.heal()
        assert told(one) == (0, 0, "")


class Over:
    """A change of a cluster that ends at once."""

    loses = primary = ""
    took_over_at = None

    def heal(self) -> None: ...


class TestChanges:
    """What changes a cluster's shape meets what is sent to its shard meanwhile, whenever it begins."""

    @pytest.mark.parametrize("at", ["20%", "written"])
    @pytest.mark.parametrize(
        "what", [{"failover": "shard1"}, {"failover": "shard1", "how": "kill"}, {"restart": "shard1-replica0"}]
    )
    def test_without_values_it_has_met_nothing(self, at, what):
        world = World("a->b")
        world.reshape = lambda fault: Over()  # type: ignore[method-assign]
        one = active_fault(world, at=at, link=None, toxic=None, **what)
        one.apply()
        one.heal()
        assert told(one) == (0, 0, NOTHING_SENT)


class TestTimeouts:
    """They swallow bytes, and close the connection at their end."""

    @staticmethod
    def swallowing(world: World, unsent: int) -> ActiveFault:
        (what,) = disturbances([fault("20%", "1s", link="client->a", toxic="timeout", timeout_ms=0)])
        return ActiveFault(what, world.links[TO_A], world, lambda: 1.0, unsent=lambda: unsent)

    def test_bytes_that_were_on_their_way_are_met_where_the_end_breaks_the_connection(self):
        world = World("client->a")
        real = world.links[TO_A].remove

        def remove(name: str) -> None:
            real(name)
            world.broken[TO_A] += 1

        world.links[TO_A].remove = remove  # type: ignore[method-assign]
        one = self.swallowing(world, 5)
        one.apply()
        one.heal()
        assert told(one) == (0, 0, "")

    @pytest.mark.parametrize("unsent", [0, 5])
    def test_without_a_break_nothing_was_met(self, unsent):
        one = self.swallowing(World("client->a"), unsent)
        one.apply()
        one.heal()
        assert told(one)[2] == "none of our own bytes went over the link"


class TestEvents:
    """A full sync is met by its bytes, and broken off only where it never finishes."""

    @pytest.mark.parametrize(
        ("at_apply", "at_end", "why_not"),
        [
            ((1, 0), (2, 1), ""),
            ((4, 2), (6, 4), ""),  # another one had been broken off before
            ((1, 0), (1, 1), "the full sync was over before the link was down"),
            ((1, 0), (2, 2), "the full sync was over before the link was down"),
            ((1, 1), (2, 2), "the full sync was over before the link was down"),
        ],
    )
    def test_a_cut_inside_a_full_sync(self, at_apply, at_end, why_not):
        world = World("a->b")
        world.syncs, world.rdb = at_apply, 100
        one = active_fault(world, at="full_sync", toxic="cut")
        one.apply()
        world.rdb = 0
        one.heal()
        world.syncs = at_end
        one.await_reconnect()
        assert told(one) == (0, 100, why_not)

    def test_one_that_was_not_seen_up_again(self):
        world = World("a->b")
        world.syncs, world.rdb = (1, 0), 100
        one = active_fault(world, at="full_sync", toxic="cut")
        one.apply()
        one.heal()
        world.up[A_TO_B] = False
        one.await_reconnect()
        assert told(one)[2] == "the link was not seen up again"

    def test_a_toxic_on_a_full_sync_needs_its_bytes_alone(self):
        world = World("a->b")
        one = active_fault(world, at="full_sync")
        one.apply()
        world.rdb = 70
        one.look()
        world.rdb = 0
        one.heal()
        assert told(one) == (0, 70, "")

    @pytest.mark.parametrize("event", ["written", "link_up"])
    def test_others_need_the_event_and_the_reconnect(self, event):
        world = World("a->b")
        one = active_fault(world, at=event, until="1s", toxic="cut")
        one.apply()
        one.heal()
        assert told(one)[2] == "the link was not seen up again"
        one.await_reconnect()
        assert told(one)[2] == ""


class TestLife:
    def test_one_that_never_began_says_so(self):
        one = active_fault(World("a->b"), at="1.5s")
        record = one.record()
        assert (record.applied_s, record.healed_s, record.why_not) == (None, None, "1.5s never came")

    def test_healing_twice_undoes_once(self):
        world = World("a->b")
        one = active_fault(world)
        one.apply()
        one.heal()
        one.heal()
        assert len(world.done) == 2

    def test_without_patience_nothing_is_waited_for(self, monkeypatch):
        monkeypatch.setattr(active, "SEEN_WITHIN_S", 3600)
        world = World("a->b")
        one = active_fault(world, toxic="reset_peer")
        one.apply()
        world.sent_by[0] += 1
        one.heal(patient=False)
        assert [what for what, _ in world.done] == ["add reset_peer to a->b", "remove reset_peer_1 from a->b"]

    def test_the_first_reason_stays(self):
        world = World("a->b")
        world.failing = {"add": SetupError("full"), "traffic": SetupError("gone")}
        one = active_fault(world)
        one.apply()
        one.heal()
        assert told(one)[2] == "full"
        assert one.record().healed_s == 1.0
