import os
import socket
import sys

import pytest

from harness.errors import SetupError
from harness.runtime import loopback


@pytest.fixture
def taken_everywhere() -> int:
    """A port on which somebody listens at every address."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_addresses_are_loopback_and_differ() -> None:
    addresses = {loopback.own_address((6379, 10878)) for _ in range(5)}

    assert all(address.startswith("127.") for address in addresses)
    assert len(addresses) == (5 if sys.platform == "linux" else 1)


def test_a_port_that_is_taken_on_every_address_is_named_with_its_holder(taken_everywhere: int) -> None:
    with pytest.raises(
        SetupError, match=rf"port {taken_everywhere} is taken on every loopback address by .*process {os.getpid()}"
    ):
        loopback.own_address((taken_everywhere,))


def test_where_there_is_only_one_address_the_message_says_so(
    monkeypatch: pytest.MonkeyPatch, taken_everywhere: int
) -> None:
    monkeypatch.setattr(loopback, "_random_address", lambda: "192.0.2.1")  # an address that this machine doesn't have

    with pytest.raises(SetupError, match=r"no loopback address but 127\.0\.0\.1.*--ports any"):
        loopback.own_address((taken_everywhere,))
    assert loopback.own_address(()) == "127.0.0.1"


def test_free_ports_are_different_and_free() -> None:
    ports = loopback.free_ports("127.0.0.1", 3)

    assert len(set(ports)) == 3
    for port in ports:
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))


def test_nobody_holds_a_port_that_nobody_listens_on() -> None:
    assert loopback.holder_of("127.0.0.1", loopback.free_ports("127.0.0.1", 1)[0]) is None


@pytest.mark.skipif(sys.platform != "linux", reason="who listens is read from /proc")
def test_a_listener_at_one_address_holds_the_port_there_only() -> None:
    with socket.create_server(("127.7.7.7", 0)) as listener:
        port = listener.getsockname()[1]
        assert loopback.holder_of("127.7.7.7", port) is not None
        assert loopback.holder_of("127.7.7.8", port) is None


def test_no_node_of_a_cluster_gets_the_port_of_anothers_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback.random, "sample", lambda *_: [20_001, 30_001, 40_001, 21_000, 50_001])
    host = loopback.own_address(())
    assert loopback.free_cluster_ports(host, 3) == [20_001, 40_001, 21_000]
