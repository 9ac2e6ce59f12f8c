"""What a simulated endpoint costs: a variadic write and an LRANGE drain of the same list, directly and through one.

    python benchmarks/endpoint_proxy.py [--values 3000000] [--rounds 5] [--profile redis-enterprise]

The ways take turns within each round, so that a slow moment of the machine meets all of them; the best round counts.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import threading
import time
from statistics import median

from tabulate import tabulate

from harness.bench.arguments import number_from
from harness.endpoint.address import Endpoint
from harness.endpoint.profile import profile
from harness.endpoint.simulate import SimulatedEndpoint, upstream_of
from harness.endpoint.simulated.plan import Plan
from harness.engine.binaries import choose
from harness.resp.connection import Connection
from harness.runtime.local import LocalRuntime
from harness.runtime.owner import Owner
from harness.topology import Node, Topology

A_COMMAND = 1000
A_READ = 20_000
KEY = b"list"


def payload(values: int) -> bytes:
    """RPUSH of so many numbers, 1000 a command."""
    parts = []
    for first in range(1, values + 1, A_COMMAND):
        numbers = [b"%d" % number for number in range(first, min(first + A_COMMAND, values + 1))]
        bulks = b"".join(b"$%d\r\n%b\r\n" % (len(number), number) for number in numbers)
        parts.append(b"*%d\r\n$5\r\nRPUSH\r\n$4\r\n%b\r\n%b" % (len(numbers) + 2, KEY, bulks))
    return b"".join(parts)


def write(to: Endpoint, data: bytes, commands: int) -> float:
    """Seconds until every command of these bytes is answered."""
    with socket.create_connection((to.host, to.port)) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        began = time.perf_counter()
        sender.start()
        left = commands
        while left:
            left -= client.recv(1 << 16).count(b"\n")
        took = time.perf_counter() - began
        sender.join()
    return took


def drain(to: Endpoint, values: int, size: int) -> float:
    """Seconds until the whole list has come; size: bytes of all its bulks."""
    ranges = range(0, values, A_READ)
    asked = b"".join(b"LRANGE %b %d %d\r\n" % (KEY, first, first + A_READ - 1) for first in ranges)
    left = size + sum(len(b"*%d\r\n" % min(A_READ, values - first)) for first in ranges)
    buffer = bytearray(1 << 18)
    with socket.create_connection((to.host, to.port)) as client:
        began = time.perf_counter()
        client.sendall(asked)
        while left:
            left -= client.recv_into(buffer)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=number_from(), default=3_000_000)
    parser.add_argument("--rounds", type=number_from(), default=5)
    parser.add_argument("--profile", default="redis-enterprise")
    options = parser.parse_args()
    data = payload(options.values)
    size = sum(len(b"$%d\r\n\r\n" % len(str(number))) + len(str(number)) for number in range(1, options.values + 1))
    with contextlib.ExitStack() as stack:
        owner = stack.enter_context(Owner())
        topology = Topology({"a": Node("a", 6379, directives=(("maxclients", "20000"),))})
        runtime = LocalRuntime(lambda node: choose(None), "any", owner)
        direct = stack.enter_context(runtime.deploy(topology)).endpoint("a")
        plan = Plan(options.profile, direct.host, 0, upstream_of(direct), profile(options.profile).behaviour)
        endpoint = SimulatedEndpoint(plan, owner.folder("replication-harness") / "log", owner.popen)
        through = direct.with_address(direct.host, endpoint.wait_ready())
        ways = {"direct": direct, f"simulated {options.profile}": through}
        seconds: dict[tuple[str, str], list[float]] = {}
        for number in range(options.rounds):
            for name, to in list(ways.items())[:: -1 if number % 2 else 1]:
                with Connection(direct) as connection:
                    connection.command("DEL", KEY)
                commands = -(-options.values // A_COMMAND)
                seconds.setdefault(("variadic write", name), []).append(write(to, data, commands))
                seconds.setdefault(("LRANGE drain", name), []).append(drain(to, options.values, size))
        print(tabulate(table(seconds), headers=HEADERS, floatfmt=".3f"))


HEADERS = ("what", "way", "median s", "÷ direct", "min", "max", "best ÷ best")


def table(seconds: dict[tuple[str, str], list[float]]) -> list[tuple[str, str, float, float, float, float, float]]:
    """Ratios round by round: their median, least and most."""
    rows = []
    for (what, name), taken in seconds.items():
        direct = seconds[what, "direct"]
        ratios = [mine / other for mine, other in zip(taken, direct, strict=True)]
        best = min(taken) / min(direct)
        rows.append((what, name, median(taken), median(ratios), min(ratios), max(ratios), best))
    return rows


if __name__ == "__main__":
    main()
