"""Links through a fault proxy: opened, cut, restored, healed and closed, on the embedded one and the real one alike."""

from __future__ import annotations

import socket

import pytest

from harness.errors import SetupError
from harness.fault.toxic import Toxic
from harness.fault.toxiproxy import FaultProxy, ProxiedLink
from harness.topology import Link
from harness.waiting import wait_until
from tests.conformance.fault_proxy.choices import Add
from tests.fault.tcp import Upstream, in_background, receive, receive_all, refuses, untaken

A_TO_B = Link.parse("a->b")


class TestCut:
    def test_ends_connections_and_refuses_new_ones(self, link: ProxiedLink, upstream: Upstream) -> None:
        client, server = upstream.connect(link.listen)
        link.cut()
        assert refuses(link.listen)
        assert receive_all(client) == b""
        assert receive_all(server) == b""

    def test_restores_the_same_address_with_its_toxics(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        add("limit_data", {"bytes": 3})
        before = link.listen
        for _ in range(5):
            upstream.connect(link.listen)
            link.cut()
            link.restore()
        client, server = upstream.connect(before)
        server.sendall(b"12345")
        assert receive_all(client) == b"123"

    def test_cutting_twice_and_restoring_twice_is_no_error(self, link: ProxiedLink, upstream: Upstream) -> None:
        link.cut()
        link.cut()
        link.restore()
        link.restore()
        client, server = upstream.connect(link.listen)
        server.sendall(b"x")
        assert receive(client, 1) == b"x"

    def test_clear_heals_everything(self, link: ProxiedLink, upstream: Upstream, add: Add) -> None:
        add("limit_data", {"bytes": 0})
        add("latency", {"latency": 60_000}, back=True)
        link.cut()
        link.clear()
        client, server = upstream.connect(link.listen)
        server.sendall(b"x")
        client.sendall(b"y")
        assert (receive(client, 1), receive(server, 1)) == (b"x", b"y")

    @pytest.mark.parametrize("cut", [False, True])
    def test_heals_where_the_toxic_holds_bytes_that_nobody_takes(
        self,
        link: ProxiedLink,
        proxy: FaultProxy,
        upstream: Upstream,
        add: Add,
        monkeypatch: pytest.MonkeyPatch,
        cut: bool,
    ) -> None:
        """The real one would never answer: its proxy is made anew, with all else that it had."""
        monkeypatch.setattr("harness.fault.toxiproxy.HEAL_WITHIN_S", 1.0)
        name = add("latency", {"latency": 600_000})
        add("limit_data", {"bytes": 3})
        client, server = upstream.connect(link.listen)
        server.sendall(b"x" * 500_000)
        wait_until(lambda: untaken(server) == 0, deadline_s=30, what="the toxic to hold the bytes")
        client.close()
        server.close()
        before, notes = link.listen, len(proxy.notes)
        if cut:
            link.cut()
        link.remove(name)
        if proxy.kind == "toxiproxy":
            assert [note for note in proxy.notes[notes:] if f"did not remove {name}" in note]
        if cut:
            assert refuses(before)
            link.restore()
        client, server = upstream.connect(before)
        server.sendall(b"12345")
        assert receive_all(client) == b"123"
        link.clear()
        client, server = upstream.connect(before)
        server.sendall(b"12345")
        assert receive(client, 5) == b"12345"

    def test_restoring_an_address_that_somebody_took(self, link: ProxiedLink, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("harness.fault.toxiproxy.RESTORE_WITHIN_S", 0.1)
        link.cut()
        with (
            socket.create_server(link.listen),
            pytest.raises(SetupError, match=r"a->b: restore failed: another program has taken its address.*in use"),
        ):
            link.restore()
        link.restore()

    def test_waits_for_an_address_that_becomes_free(self, link: ProxiedLink, upstream: Upstream) -> None:
        link.cut()
        with socket.create_server(link.listen) as taken:
            restoring = in_background(link.restore)
            assert restoring.is_alive()
            taken.close()
            restoring.join()
        upstream.connect(link.listen)


class TestOpening:
    def test_a_port_that_is_taken(self, proxy: FaultProxy, upstream: Upstream) -> None:
        host, port = upstream.address
        with pytest.raises(
            SetupError, match=r"a->b cannot lead through .*: listen tcp 127.0.0.1:\d+: bind: address already in use"
        ):
            proxy.open_link("a->b", upstream.address, host, port)

    def test_the_port_asked_for(self, proxy: FaultProxy, upstream: Upstream) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        link = proxy.open_link("a->b", upstream.address, "127.0.0.1", port)
        assert link.listen == ("127.0.0.1", port)
        link.close()

    @pytest.mark.parametrize("name", ["client->a", "a b", "a/b?c#d%20", "ü→", "..", "a&b<c>"])
    def test_names_that_a_path_could_not_hold(self, proxy: FaultProxy, upstream: Upstream, name: str) -> None:
        link = proxy.open_link(name, upstream.address, "127.0.0.1")
        toxic = link.add(Toxic("latency", {"latency": 1}), A_TO_B)
        link.remove(toxic)
        link.cut()
        link.close()
        assert refuses(link.listen)

    def test_closing_twice(self, proxy: FaultProxy, upstream: Upstream) -> None:
        link = proxy.open_link("a->b", upstream.address, "127.0.0.1")
        link.close()
        link.close()
        assert refuses(link.listen)

    def test_a_toxic_that_is_not_there(self, link: ProxiedLink) -> None:
        with pytest.raises(SetupError, match=r"a->b: remove nothing failed: .*toxic not found \(HTTP 404\)"):
            link.remove("nothing")

    def test_a_kind_that_does_not_exist(self, link: ProxiedLink) -> None:
        with pytest.raises(SetupError, match=r"a->b: add gravity failed: .*invalid toxic type \(HTTP 400\)"):
            link.add(Toxic("gravity"), A_TO_B)
