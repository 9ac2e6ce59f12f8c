"""The data path under toxics that come, change and go while bytes flow: none may be lost, doubled or out of order."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.fault.toxic import Toxic
from harness.fault.toxiproxy import ProxiedLink, open_fault_proxy
from harness.topology import Link
from tests.fault.tcp import Upstream, in_background, receive, stays_silent

A_TO_B = Link.parse("a->b")
SIZE = 20_000_000


def draw(chance: random.Random) -> Toxic:
    """Any toxic that delays and loses nothing."""
    return chance.choice(
        [
            Toxic("latency", {"latency": chance.randrange(30), "jitter": chance.randrange(40)}),
            Toxic("bandwidth", {"rate": chance.choice([0, 500, 20_000, 500_000])}),
            Toxic(
                "slicer",
                {"average_size": chance.randrange(20_000), "size_variation": 50, "delay": chance.randrange(90)},
            ),
            Toxic("slow_close", {"delay": 1}),
            Toxic("noop"),
        ]
    )


def disturb(link: ProxiedLink, chance: random.Random) -> None:
    """One change after the other, then none left."""
    there: dict[str, Toxic] = {}
    for _ in range(120):
        if there and chance.random() < 0.6:
            name = chance.choice(list(there))
            if chance.random() < 0.5:
                link.update(name, toxicity=chance.choice([0.0, 1.0]))
            else:
                link.remove(name)
                del there[name]
        else:
            toxic = draw(chance)
            there[link.add(toxic, A_TO_B)] = toxic
        time.sleep(0.005)  # pacing: let some bytes meet it
    for name in there:
        link.remove(name)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_changes_in_mid_stream_leave_the_bytes_alone(seed: int) -> None:
    chance = random.Random(seed)
    sent = chance.randbytes(SIZE)
    with open_fault_proxy("embedded") as proxy, Upstream() as upstream, ThreadPoolExecutor(1) as readers:
        link = proxy.open_link("a->b", upstream.address, "127.0.0.1")
        client, server = upstream.connect(link.listen)
        slow = link.add(Toxic("bandwidth", {"rate": SIZE // 30_000}), A_TO_B)  # half a minute: longer than the changes
        received = readers.submit(receive, client, SIZE)
        sender = in_background(lambda: server.sendall(sent))
        disturb(link, chance)
        assert not received.done()
        link.remove(slow)
        assert received.result() == sent
        sender.join()
        server.close()
        assert client.recv(1) == b""


def test_memory_stays_bounded_whatever_is_held() -> None:
    with open_fault_proxy("embedded") as proxy, Upstream() as upstream:
        link = proxy.open_link("a->b", upstream.address, "127.0.0.1")
        held = link.add(Toxic("latency", {"latency": 600_000}), A_TO_B)
        client, server = upstream.connect(link.listen)
        sender = in_background(lambda: server.sendall(bytes(150_000_000)))
        assert stays_silent(client, 0.5)
        assert sender.is_alive()
        assert resident_bytes(proxy._process.pid if proxy._process else 0) < 120_000_000
        link.remove(held)
        assert len(receive(client, 150_000_000)) == 150_000_000
        sender.join()


def resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
