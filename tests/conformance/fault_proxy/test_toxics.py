"""What each toxic does to bytes, on the embedded proxy and on the real Toxiproxy alike.

`server` is the end that serves (on a replication link the primary), `client` the end that dialled (the replica).
"""

from __future__ import annotations

import random
import socket
from concurrent.futures import ThreadPoolExecutor

from harness.fault.toxiproxy import FaultProxy, ProxiedLink
from tests.conformance.fault_proxy.choices import Add
from tests.fault.tcp import (
    Upstream,
    how_it_ends,
    in_background,
    receive,
    receive_all,
    seconds_until,
    send_until_stuck,
    stays_silent,
)

FIVE_MB = 5_000_000


def payload(size: int) -> bytes:
    return random.Random(7).randbytes(size)


class TestWithoutToxics:
    def test_bytes_pass_both_ways(self, link: ProxiedLink, upstream: Upstream) -> None:
        client, server = upstream.connect(link.listen)
        client.sendall(b"PSYNC ? -1\r\n")
        assert receive(server, 12) == b"PSYNC ? -1\r\n"
        server.sendall(b"+FULLRESYNC\r\n")
        assert receive(client, 13) == b"+FULLRESYNC\r\n"

    def test_a_close_of_either_end_closes_the_other(self, link: ProxiedLink, upstream: Upstream) -> None:
        client, server = upstream.connect(link.listen)
        client.sendall(b"last words")
        client.close()
        assert receive_all(server) == b"last words"
        client, server = upstream.connect(link.listen)
        server.sendall(b"last words")
        server.close()
        assert receive_all(client) == b"last words"

    def test_an_end_of_one_direction_closes_both(self, link: ProxiedLink, upstream: Upstream) -> None:
        client, server = upstream.connect(link.listen)
        client.shutdown(socket.SHUT_WR)
        assert receive_all(server) == b""
        assert receive_all(client) == b""

    def test_a_reset_of_one_end_ends_the_other(self, link: ProxiedLink, upstream: Upstream) -> None:
        client, server = upstream.connect(link.listen)
        server.sendall(b"never read")
        receive(client, 1)
        client.close()  # with bytes unread: the system sends RST
        assert how_it_ends(server) in ("closed", "reset")

    def test_a_receiver_that_does_not_read_stops_the_sender(self, link: ProxiedLink, upstream: Upstream) -> None:
        client, server = upstream.connect(link.listen)
        sent = send_until_stuck(server)
        assert sent < 100_000_000
        assert len(receive(client, sent)) == sent

    def test_five_megabytes_at_once_both_ways(self, link: ProxiedLink, upstream: Upstream) -> None:
        client, server = upstream.connect(link.listen)
        sent = payload(FIVE_MB)
        senders = [in_background(lambda: server.sendall(sent)), in_background(lambda: client.sendall(sent[::-1]))]
        with ThreadPoolExecutor(2) as readers:
            there = readers.submit(receive, client, FIVE_MB)
            back = readers.submit(receive, server, FIVE_MB)
            assert there.result() == sent
            assert back.result() == sent[::-1]
        for sender in senders:
            sender.join()

    def test_two_hundred_connections(self, link: ProxiedLink, upstream: Upstream) -> None:
        pairs = [upstream.connect(link.listen) for _ in range(200)]
        for number, (client, _) in enumerate(pairs):
            client.sendall(f"{number:3d}".encode())
        assert [receive(server, 3) for _, server in pairs] == [f"{number:3d}".encode() for number in range(200)]

    def test_nobody_behind_the_proxy(self, proxy: FaultProxy) -> None:
        with Upstream() as gone:
            address = gone.address
        link = proxy.open_link("a->b", address, "127.0.0.1")
        with socket.create_connection(link.listen, timeout=20) as client:
            assert client.recv(1) == b""
        link.close()


class TestLatency:
    def test_delays_one_direction(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("latency", {"latency": 150})
        server.sendall(b"x")
        assert seconds_until(lambda: receive(client, 1)) > 0.14
        client.sendall(b"x")
        assert receive(server, 1) == b"x"

    def test_is_no_throttle(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("latency", {"latency": 200})
        sender = in_background(lambda: server.sendall(payload(FIVE_MB)))
        assert 0.19 < seconds_until(lambda: receive(client, FIVE_MB)) < 5
        sender.join()

    def test_two_of_them_add_up(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("latency", {"latency": 100})
        add("latency", {"latency": 150})
        server.sendall(b"x")
        assert seconds_until(lambda: receive(client, 1)) > 0.24

    def test_jitter_keeps_every_byte_in_order(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("latency", {"latency": 10, "jitter": 10})
        sent = payload(FIVE_MB)
        sender = in_background(lambda: server.sendall(sent))
        assert receive(client, FIVE_MB) == sent
        sender.join()

    def test_removal_in_mid_stream_loses_nothing(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        name = add("latency", {"latency": 60_000})
        sent = payload(FIVE_MB)
        sender = in_background(lambda: server.sendall(sent))
        assert stays_silent(client, 0.2)
        with ThreadPoolExecutor(1) as readers:  # the real one's removal waits until the receiver has taken it all
            received = readers.submit(receive, client, FIVE_MB)
            link.remove(name)
            assert received.result() == sent
        sender.join()

    def test_an_update_takes_effect_on_what_waits(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        name = add("latency", {"latency": 60_000, "jitter": 1})
        server.sendall(b"waits")
        assert stays_silent(client, 0.1)
        link.update(name, {"latency": 1})
        assert receive(client, 5) == b"waits"

    def test_a_close_comes_after_the_bytes(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("latency", {"latency": 150})
        server.sendall(b"last words")
        server.close()
        assert seconds_until(lambda: receive(client, 10)) > 0.1
        assert receive_all(client) == b""


class TestBandwidth:
    def test_limits_the_rate(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("bandwidth", {"rate": 500})  # 500 KB/s, 1 KB = 1000 bytes
        sent = payload(250_000)
        sender = in_background(lambda: server.sendall(sent))
        received: list[bytes] = []
        assert 0.4 < seconds_until(lambda: received.append(receive(client, len(sent)))) < 5
        assert received == [sent]
        sender.join()

    def test_rate_zero_holds_everything_and_loses_nothing(
        self, link: ProxiedLink, upstream: Upstream, add: Add
    ) -> None:
        client, server = upstream.connect(link.listen)
        name = add("bandwidth", {"rate": 0})
        server.sendall(b"held")
        assert stays_silent(client, 0.3)
        link.remove(name)
        assert receive(client, 4) == b"held"
        server.sendall(b"and on")
        assert receive(client, 6) == b"and on"

    def test_a_held_stream_makes_its_sender_wait(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        name = add("bandwidth", {"rate": 0})
        sent = send_until_stuck(server)
        assert sent < 100_000_000
        link.remove(name)
        assert len(receive(client, sent)) == sent

    def test_together_with_latency_keeps_order(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("latency", {"latency": 20, "jitter": 20})
        add("bandwidth", {"rate": 10_000})
        add("slicer", {"average_size": 30_000, "size_variation": 10_000, "delay": 10})
        sent = payload(FIVE_MB)
        sender = in_background(lambda: server.sendall(sent))
        assert receive(client, FIVE_MB) == sent
        sender.join()


class TestSlicer:
    def test_slices_come_apart_and_in_order(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("slicer", {"average_size": 10, "size_variation": 2, "delay": 2000})
        server.sendall(payload(200))
        slices: list[bytes] = []
        while sum(map(len, slices)) < 200:
            slices.append(client.recv(1000))
        assert b"".join(slices) == payload(200)
        assert len(slices) >= 10

    def test_delay_is_in_microseconds_between_slices(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("slicer", {"average_size": 100, "size_variation": 0, "delay": 20_000})
        server.sendall(payload(1600))
        assert 0.25 < seconds_until(lambda: receive(client, 1600)) < 5

    def test_removal_in_mid_slice_loses_nothing(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        name = add("slicer", {"average_size": 10, "size_variation": 0, "delay": 500_000})
        server.sendall(payload(10_000))
        first = receive(client, 5)
        link.remove(name)
        assert first + receive(client, 9_995) == payload(10_000)


class TestSlowClose:
    def test_delays_the_end_and_not_the_bytes(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("slow_close", {"delay": 300})
        server.sendall(b"at once")
        assert receive(client, 7) == b"at once"
        server.close()
        assert seconds_until(lambda: receive_all(client)) > 0.25

    def test_removal_lets_the_end_through(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        name = add("slow_close", {"delay": 60_000})
        server.close()
        assert stays_silent(client, 0.2)
        link.remove(name)
        assert receive_all(client) == b""


class TestTimeout:
    def test_zero_drops_bytes_and_keeps_the_connection(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("timeout", {"timeout": 0})
        server.sendall(b"dropped")
        assert stays_silent(client, 0.3)
        client.sendall(b"the other way is open")
        assert receive(server, 21) == b"the other way is open"

    def test_removal_closes_since_bytes_were_lost(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        name = add("timeout", {"timeout": 0})
        server.sendall(b"dropped")
        assert stays_silent(client, 0.1)
        link.remove(name)
        assert receive_all(client) == b""
        assert receive_all(server) == b""

    def test_removal_closes_also_what_toxicity_had_spared(
        self, link: ProxiedLink, upstream: Upstream, add: Add
    ) -> None:
        client, server = upstream.connect(link.listen)
        name = add("timeout", {"timeout": 0}, toxicity=0.0)
        server.sendall(b"passes")
        assert receive(client, 6) == b"passes"
        link.remove(name)
        assert receive_all(client) == b""

    def test_closes_after_its_time_without_bytes(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("timeout", {"timeout": 300})
        assert seconds_until(lambda: receive_all(client)) > 0.25
        assert receive_all(server) == b""

    def test_its_time_runs_on_new_connections_too(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        add("timeout", {"timeout": 200})
        client, _ = upstream.connect(link.listen)
        assert receive_all(client) == b""

    def test_an_update_to_a_shorter_time_counts_from_now(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, _ = upstream.connect(link.listen)
        name = add("timeout", {"timeout": 60_000})
        link.update(name, {"timeout": 200})
        assert receive_all(client) == b""


class TestResetPeer:
    def test_a_connection_opened_after_it_is_reset(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        add("reset_peer", {"timeout": 0})
        client, server = upstream.connect(link.listen)
        server.sendall(b"x")
        assert how_it_ends(client) == "reset"
        assert how_it_ends(server) == "reset"

    def test_a_connection_opened_before_it_is_closed(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("reset_peer", {"timeout": 0})
        server.sendall(b"x")
        assert how_it_ends(client) == "closed"
        assert how_it_ends(server) == "closed"

    def test_nothing_happens_before_the_first_bytes(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        name = add("reset_peer", {"timeout": 0})
        assert stays_silent(client, 0.2)
        link.remove(name)
        server.sendall(b"spared")
        assert receive(client, 6) == b"spared"

    def test_waits_its_time_after_the_first_bytes(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        add("reset_peer", {"timeout": 300})
        client, server = upstream.connect(link.listen)
        server.sendall(b"x")
        assert seconds_until(lambda: how_it_ends(client)) > 0.25

    def test_removal_after_the_first_bytes_does_not_save_the_connection(
        self, link: ProxiedLink, upstream: Upstream, add: Add
    ) -> None:
        client, server = upstream.connect(link.listen)
        name = add("reset_peer", {"timeout": 300})
        server.sendall(b"x")
        assert stays_silent(client, 0.1)
        link.remove(name)
        assert how_it_ends(client) == "closed"


class TestLimitData:
    def test_exactly_so_many_bytes_pass(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("limit_data", {"bytes": 100_001})
        sender = in_background(lambda: server.sendall(payload(100_001) + b"beyond"))
        assert receive_all(client) == payload(100_001)
        sender.join()
        assert how_it_ends(server) in ("closed", "reset")

    def test_counts_each_connection_by_itself(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        add("limit_data", {"bytes": 5})
        for _ in range(3):
            client, server = upstream.connect(link.listen)
            server.sendall(b"123")
            assert receive(client, 3) == b"123"
            server.sendall(b"456")
            assert receive_all(client) == b"45"

    def test_counts_on_across_an_update(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        name = add("limit_data", {"bytes": 5})
        server.sendall(b"123")
        assert receive(client, 3) == b"123"
        link.update(name, {"bytes": 8})
        server.sendall(b"456789")
        assert receive_all(client) == b"45678"

    def test_a_limit_lowered_below_what_has_passed_ends_with_the_next_bytes(
        self, link: ProxiedLink, upstream: Upstream, add: Add
    ) -> None:
        client, server = upstream.connect(link.listen)
        name = add("limit_data", {"bytes": 100})
        server.sendall(b"123")
        assert receive(client, 3) == b"123"
        link.update(name, {"bytes": 2})
        assert stays_silent(client, 0.1)
        server.sendall(b"4")
        assert receive_all(client) == b""

    def test_zero_ends_with_the_first_byte(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("limit_data", {"bytes": 0})
        assert stays_silent(client, 0.1)
        server.sendall(b"x")
        assert receive_all(client) == b""

    def test_the_acknowledgements_can_be_limited(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        add("limit_data", {"bytes": 3}, back=True)
        client.sendall(b"12345")
        assert receive_all(server) == b"123"


class TestToxicity:
    def test_zero_spares_every_connection(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        add("limit_data", {"bytes": 0}, toxicity=0.0)
        for _ in range(20):
            client, server = upstream.connect(link.listen)
            server.sendall(b"x")
            assert receive(client, 1) == b"x"

    def test_a_half_meets_some_connections(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        add("limit_data", {"bytes": 0}, toxicity=0.5)
        seen = []
        for _ in range(60):
            client, server = upstream.connect(link.listen)
            server.sendall(b"x")
            seen.append(receive(client, 1))
        assert {b"x", b""} == set(seen)

    def test_can_be_changed_while_the_connection_lives(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        client, server = upstream.connect(link.listen)
        name = add("bandwidth", {"rate": 0}, toxicity=0.0)
        server.sendall(b"passes")
        assert receive(client, 6) == b"passes"
        link.update(name, toxicity=1.0)
        server.sendall(b"held")
        assert stays_silent(client, 0.2)
        link.update(name, toxicity=0.0)
        assert receive(client, 4) == b"held"
