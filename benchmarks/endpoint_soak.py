"""Many clients of one simulated endpoint, for a while: every reply is checked, and the endpoint's memory stays flat.

    python benchmarks/endpoint_soak.py [--clients 1000] [--seconds 60] [--profile redis-enterprise] [--limit-mb 100]

Over loopback only, against a server of its own. Each client sets, gets, is refused, begins transactions, waits for a
pop and now and then moves a value of 256 KB. Exit 1 where a reply is wrong, a connection ends, or memory exceeds the
limit or, from 20 s on, grows: the most in the second half may exceed the most in the first by a tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.bench.arguments import number_from, quantity
from harness.endpoint.address import Endpoint
from harness.endpoint.profile import profile
from harness.endpoint.simulate import SimulatedEndpoint, upstream_of
from harness.endpoint.simulated.plan import Plan
from harness.engine.binaries import choose
from harness.runtime.local import LocalRuntime
from harness.runtime.owner import Owner
from harness.topology import Node, Topology

PAUSE_S = 0.5  # about, between two rounds of a client
LARGE = b"$%d\r\n%b\r\n" % (1 << 18, b"x" * (1 << 18))
LARGE_EVERY = 50  # rounds
PATIENCE_S = 60.0
LONG_S = 20.0  # in less, clients are still coming
SMALL = (
    b"SET k%d v\r\nROLE\r\nGET k%d\r\nMULTI\r\nINFO replication\r\nDEL n%d\r\nEXEC\r\nRPUSH l%d a\r\nBLPOP l%d 5\r\n"
)


@dataclass
class Seen:
    rounds: int = 0
    memory_mb: list[float] = field(default_factory=list)


async def one_client(to: Endpoint, number: int, end: float, seen: Seen) -> None:
    reader, writer = await asyncio.open_connection(to.host, to.port)
    try:
        for turn in range(1_000_000):
            if time.monotonic() > end:
                return
            async with asyncio.timeout(PATIENCE_S):
                await small_round(reader, writer, number)
                if (turn + number) % LARGE_EVERY == 0:
                    await large_round(reader, writer, number)
            seen.rounds += 1
            await asyncio.sleep(PAUSE_S * (0.5 + random.random()))
    finally:
        writer.close()
        await writer.wait_closed()


async def small_round(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(SMALL % (number, number, number, number, number))
    await expect(reader, b"+OK\r\n")
    line = await reader.readline()
    assert line.startswith((b"-ERR", b"*")), line
    await expect(reader, b"$1\r\nv\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n")
    head = await reader.readline()
    assert b"role:master\r\n" in await reader.readexactly(int(head[1:]) + 2)
    await expect(reader, b":0\r\n:1\r\n*2\r\n$%d\r\nl%d\r\n$1\r\na\r\n" % (len(b"l%d" % number), number))


async def large_round(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
    writer.write(b"*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n" + LARGE + b"GET large\r\n")
    await expect(reader, b"+OK\r\n" + LARGE)


async def expect(reader: asyncio.StreamReader, wanted: bytes) -> None:
    got = await reader.readexactly(len(wanted))
    assert got == wanted, f"{got[:80]!r} instead of {wanted[:80]!r}"


async def watch(pid: int, end: float, seen: Seen) -> None:
    while time.monotonic() < end:
        seen.memory_mb.append(resident_mb(pid))
        await asyncio.sleep(0.25)


def resident_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


async def soak(to: Endpoint, pid: int, clients: int, seconds: float) -> Seen:
    seen, end = Seen(), time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watch(pid, end, seen))
        for number in range(clients):
            tasks.create_task(one_client(to, number, end, seen))
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=number_from(), default=1000)
    parser.add_argument("--seconds", type=quantity, default=60.0)
    parser.add_argument("--profile", default="redis-enterprise")
    parser.add_argument("--limit-mb", type=quantity, default=100.0)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with contextlib.ExitStack() as stack:
        owner = stack.enter_context(Owner())
        topology = Topology({"a": Node("a", 6379, directives=(("maxclients", "20000"),))})
        runtime = LocalRuntime(lambda node: choose(None), "any", owner)
        direct = stack.enter_context(runtime.deploy(topology)).endpoint("a")
        plan = Plan(options.profile, direct.host, 0, upstream_of(direct), profile(options.profile).behaviour)
        log = owner.folder("replication-harness") / "log"
        endpoint = SimulatedEndpoint(plan, log, owner.popen)
        stack.callback(endpoint.stop)
        through = direct.with_address(direct.host, endpoint.wait_ready())
        seen = asyncio.run(soak(through, endpoint.process.pid, options.clients, options.seconds))
        assert endpoint.death() is None, endpoint.death()
        said = log.read_text()
    half = len(seen.memory_mb) // 2
    first, second = max(seen.memory_mb[:half]), max(seen.memory_mb[half:])
    print(f"{options.clients} clients for {options.seconds:g} s: {seen.rounds} rounds of 10 commands, no error")
    print(f"memory of the endpoint: at most {first:.0f} MB in the first half, {second:.0f} MB in the second")
    print(said, end="")
    grew = options.seconds >= LONG_S and second > 1.1 * first + 1
    return int(bool(said) or max(first, second) > options.limit_mb or grew)


if __name__ == "__main__":
    sys.exit(main())
