"""How fast `harness compare` is: beside a plain redis-py loop and a C client that sends the same commands pipelined.

    python benchmarks/compare_speed.py [--list 2000000] [--lists 200000] [--rounds 3]

Two local servers hold the same: one long list and many lists of 10 values; then, for whoever wants to know which of the
two takes how long, one of them alone (--apart). The ways take turns within each round, so that a slow moment of the
machine meets all of them; the best round counts. The rate limit is off (`0`), which is not
how anybody's production should be compared. A C compiler is needed for the floor.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis
from tabulate import tabulate

FLOOR = Path(__file__).with_name("compare_floor.c")


@contextlib.contextmanager
def server(folder: Path) -> Iterator[int]:
    """The port of a server that keeps nothing."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        try:
            client = redis.Redis(port=port)
            while True:
                with contextlib.suppress(redis.ConnectionError):
                    client.ping()
                    break
                time.sleep(0.01)
            yield port
        finally:
            process.kill()


def fill(port: int, long: int, lists: int) -> None:
    """One list of so many values, and so many lists of 10."""
    client = redis.Redis(port=port)
    client.flushall()
    for start in range(0, long, 10_000):
        client.rpush("long", *range(start, min(start + 10_000, long)))
    for first in range(0, lists, 5_000):
        pipe = client.pipeline(transaction=False)
        for number in range(first, min(first + 5_000, lists)):
            pipe.rpush(f"list:{number}", *range(10))
        pipe.execute()


def naive(a: int, b: int) -> None:
    """SCAN, then per key TYPE, LRANGE, compare; no pipeline."""
    one, other = redis.Redis(port=a), redis.Redis(port=b)
    for key in one.scan_iter(count=1_000):
        assert one.type(key) == other.type(key) == b"list"
        assert one.lrange(key, 0, -1) == other.lrange(key, 0, -1)


def measured(words: list[str]) -> tuple[float, float]:
    """Seconds, and the largest resident set in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def apart(way: Callable[..., None], *arguments: int) -> tuple[float, float]:
    """In a process of its own: one that was started from a large process would look as large."""
    code = f"import sys; sys.path.insert(0, {str(FLOOR.parent)!r}); import compare_speed as c; "
    return measured([sys.executable, "-c", f"{code}c.{way.__name__}{arguments}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", type=int, default=2_000_000, help="values of the one list")
    parser.add_argument("--lists", type=int, default=200_000, help="lists of 10 values")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--apart", action="store_true", help="also the one list alone, and the many lists alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as a, server(Path(name)) as b:
        floor = Path(name) / "floor"
        subprocess.run([shutil.which("cc") or "gcc", "-O2", "-o", str(floor), str(FLOOR)], check=True)
        harness = [sys.executable, "-m", "harness", "compare", f"redis://127.0.0.1:{a}", f"redis://127.0.0.1:{b}"]
        ways: dict[str, Callable[[], tuple[float, float]]] = {
            "C client, same commands": lambda: measured([str(floor), str(a), str(b)]),
            "harness compare": lambda: measured([*harness, "--max-commands-per-second", "0"]),
            "plain redis-py loop": lambda: apart(naive, a, b),
        }
        data = [("both", options.list, options.lists)]
        if options.apart:
            data += [("one list", options.list, 0), ("many lists", 0, options.lists)]
        rows = []
        for what, long, lists in data:
            for port in (a, b):
                apart(fill, port, long, lists)
            taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
            for _ in range(options.rounds):
                for way, run in ways.items():
                    taken[way].append(run())
            best = {way: min(figures) for way, figures in taken.items()}
            ours = best["harness compare"][0]
            rows += [(what, way, seconds, megabytes, seconds / ours) for way, (seconds, megabytes) in best.items()]
        heads = ["data", "way", "best s", "RSS MB", "x harness"]
        print(tabulate(rows, headers=heads, floatfmt=("", "", ".2f", ".0f", ".2f")))


if __name__ == "__main__":
    main()
