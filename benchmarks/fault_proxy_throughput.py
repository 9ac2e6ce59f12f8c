"""How much a fault proxy without toxics slows a bulk transfer: direct, through the embedded one, through a real one.

    python benchmarks/fault_proxy_throughput.py [--megabytes 300] [--rounds 5] [--toxiproxy PATH]

The ways take turns within each round, so that a slow moment of the machine meets all of them; the best round counts.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import socket
import threading
import time

from tabulate import tabulate

from harness.bench.arguments import number_from
from harness.fault.toxiproxy import open_fault_proxy

CHUNK = 1 << 18


def transfer(listener: socket.socket, to: tuple[str, int], size: int) -> float:
    """Seconds from the first byte sent by the server until the client has the last one."""
    with socket.create_connection(to) as client, listener.accept()[0] as server:
        block = memoryview(bytes(CHUNK))

        def send() -> None:
            left = size
            while left:
                left -= server.send(block[: min(left, CHUNK)])

        sender = threading.Thread(target=send)
        buffer = bytearray(CHUNK)
        began = time.perf_counter()
        sender.start()
        left = size
        while left:
            left -= client.recv_into(buffer)
        took = time.perf_counter() - began
        sender.join()
        return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=number_from(), default=300)
    parser.add_argument("--rounds", type=number_from(), default=5)
    parser.add_argument("--toxiproxy", default=shutil.which("toxiproxy-server"), help="default: the one on PATH")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        upstream = listener.getsockname()
        ways = {"direct": upstream}
        for name, choice in (("embedded", "embedded"), ("toxiproxy", options.toxiproxy)):
            if choice:
                proxy = stack.enter_context(open_fault_proxy(choice))
                ways[name] = proxy.open_link("a->b", upstream, "127.0.0.1").listen
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, address in ways.items():
                seconds[name].append(transfer(listener, address, options.megabytes * 1_000_000))
    best = {name: min(taken) for name, taken in seconds.items()}
    rows = [(name, took, options.megabytes / took, took / best["direct"]) for name, took in best.items()]
    print(tabulate(rows, headers=["way", "best s", "MB/s", "x direct"], floatfmt=(".0f", ".3f", ".0f", ".2f")))


if __name__ == "__main__":
    main()
