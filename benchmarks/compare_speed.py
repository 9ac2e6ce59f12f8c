"""How fast `harness compare` is: beside a plain redis-py loop and a C client that sends the same commands pipelined.

    python benchmarks/compare_speed.py [--list 2000000] [--lists 200000] [--rounds 5] [--loop-rounds 1]
        [--data "one list"] [--hiredis]

Two local servers hold the same: one long list and many lists of 10 values; then the one list alone, and the many lists
alone. The ways take turns within each round, so that a slow moment of the machine meets all of them; the best round
counts, from the start of a process to its exit. The rate limit is off (`0`), which is not how anybody's production
should be compared. The loop parses with redis-py's own parser; --hiredis adds one that uses hiredis, where it is
installed. A C compiler is needed for the floor. Exit 1 where a goal is missed.
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

from harness.bench.arguments import number_from

FLOOR = Path(__file__).with_name("compare_floor.c")
MOST_OF_FLOOR, LEAST_OF_LOOP, MOST_MB = 2.0, 8.0, 90.0  # the goals
OURS, C_CLIENT, LOOP = "harness compare", "C client, same commands", "plain redis-py loop"

Figures = tuple[float, float]  # seconds, and the largest resident set in MB


@contextlib.contextmanager
def server(folder: Path) -> Iterator[int]:
    """The port of a server that keeps nothing."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        try:
            while True:
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.01)
            yield port
        finally:
            process.kill()


def fill(port: int, long: int, lists: int) -> None:
    """One list of so many values, and so many lists of 10."""
    import redis  # only here: a process that is started from a large one looks as large

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
    """SCAN, then per key TYPE, LRANGE, compare; no pipeline. By redis-py alone."""
    sys.modules["hiredis"] = None  # type: ignore[assignment]
    naive_hiredis(a, b)


def naive_hiredis(a: int, b: int) -> None:
    """The same, with hiredis where it is installed."""
    import redis

    one, other = redis.Redis(port=a), redis.Redis(port=b)
    for key in one.scan_iter(count=1_000):
        assert one.type(key) == other.type(key) == b"list"
        assert one.lrange(key, 0, -1) == other.lrange(key, 0, -1)


def measured(words: list[str]) -> Figures:
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return time.perf_counter() - began, usage.ru_maxrss / 1024


# As programs are installed: compiled once, not at each start.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def apart(way: Callable[..., None], *arguments: int) -> Figures:
    """In a process of its own: one that was started from a large process would look as large."""
    code = f"import sys; sys.path.insert(0, {str(FLOOR.parent)!r}); import compare_speed as c; "
    return measured([sys.executable, "-c", f"{code}c.{way.__name__}{arguments}"])


def ways(a: int, b: int, floor: Path, *, hiredis: bool) -> dict[str, Callable[[], Figures]]:
    harness = [sys.executable, "-m", "harness", "compare", f"redis://127.0.0.1:{a}", f"redis://127.0.0.1:{b}"]
    found: dict[str, Callable[[], Figures]] = {
        C_CLIENT: lambda: measured([str(floor), str(a), str(b)]),
        OURS: lambda: measured([*harness, "--max-commands-per-second", "0"]),
        LOOP: lambda: apart(naive, a, b),
    }
    if hiredis:
        found[f"{LOOP}, hiredis"] = lambda: apart(naive_hiredis, a, b)
    return found


def missed(what: str, best: dict[str, Figures]) -> list[str]:
    """The goals that this data set misses."""
    ours, megabytes = best[OURS]
    floor, loop = best[C_CLIENT][0], best[LOOP][0]
    found = []
    if ours > MOST_OF_FLOOR * floor:
        found.append(f"{what}: {ours / floor:.2f} x the C client's time, at most {MOST_OF_FLOOR:g} is the goal")
    if loop < LEAST_OF_LOOP * ours:
        found.append(f"{what}: {loop / ours:.1f} x as fast as the loop, at least {LEAST_OF_LOOP:g} is the goal")
    if megabytes > MOST_MB:
        found.append(f"{what}: {megabytes:.0f} MB, at most {MOST_MB:g} is the goal")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", type=number_from(), default=2_000_000, help="values of the one list")
    parser.add_argument("--lists", type=number_from(), default=200_000, help="lists of 10 values")
    parser.add_argument("--rounds", type=number_from(), default=5)
    parser.add_argument("--loop-rounds", type=number_from(0), default=1, help="of the loop, which takes minutes")
    parser.add_argument("--data", choices=("both", "one list", "many lists"), help="only these")
    parser.add_argument("--hiredis", action="store_true", help="also a loop that parses with hiredis")
    options = parser.parse_args()
    rows, misses = [], list[str]()
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as a, server(Path(name)) as b:
        floor = Path(name) / "floor"
        subprocess.run([shutil.which("cc") or "gcc", "-O2", "-o", str(floor), str(FLOOR)], check=True)
        known = ways(a, b, floor, hiredis=options.hiredis)
        data = [("both", options.list, options.lists), ("one list", options.list, 0), ("many lists", 0, options.lists)]
        for what, long, lists in [each for each in data if options.data in (None, each[0])]:
            for port in (a, b):
                apart(fill, port, long, lists)
            taken: dict[str, list[Figures]] = {way: [] for way in known}
            for number in range(options.rounds):
                for way, run in known.items():
                    if number < options.loop_rounds or not way.startswith(LOOP):
                        taken[way].append(run())
            best = {way: min(figures) for way, figures in taken.items()}
            ours = best[OURS][0]
            rows += [(what, way, seconds, megabytes, seconds / ours) for way, (seconds, megabytes) in best.items()]
            misses += missed(what, best)
    from tabulate import tabulate

    heads = ["data", "way", "best s", "RSS MB", "x harness"]
    print(tabulate(rows, headers=heads, floatfmt=("", "", ".2f", ".0f", ".2f")))
    print("\n".join(misses) or "every goal is met")
    sys.exit(1 if misses else 0)


if __name__ == "__main__":
    main()
