"""The ways that the fast path could have gone: building payloads, sending and reading them; in M values a second.

    python benchmarks/choices.py [--values 1000000] [--rounds 5]

Medians, the ways of one kind in turn. Libraries that are not installed are left out, and said so.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

import redis
from redis._parsers import _RESP2Parser
from tabulate import tabulate

from harness.bench.arguments import number_from
from harness.bench.floor import find_floor
from harness.bench.pair import KEY, Pair, open_pair, scenario
from harness.bench.rows import in_turns
from harness.bench.table import machine_line
from harness.cycle import Cycle, make_writers, write_all
from harness.options import Options
from harness.place import MemoryPlace
from harness.plan import plan_streams
from harness.resp import encode
from harness.resp.connection import Connection
from harness.resp.key_reader import read_key
from harness.workload.base import NoMarks

A_COMMAND, A_CHUNK = 1000, 20_000
Way = Callable[[], object]


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def batches(values: int, size: int) -> Iterator[tuple[int, int]]:
    """(first, count) of each batch."""
    yield from ((first, min(size, values - first + 1)) for first in range(1, values + 1, size))


def builders(values: int) -> dict[str, Way]:
    """RPUSH payloads of a thousand values each."""
    strided, template = encode.bulk_numbers(), b"$7\r\n%d\r\n" * A_COMMAND

    def naive() -> None:
        for first, count in batches(values, A_COMMAND):
            b"".join([b"$%d\r\n%d\r\n" % (len(str(n)), n) for n in range(first, first + count)])

    def templates() -> None:
        for first, count in batches(values, A_COMMAND):
            if count == A_COMMAND:
                _ = template % tuple(range(first, first + count))

    def whole() -> None:
        for first, count in batches(values, A_COMMAND):
            strided.build(first, count)

    ways: dict[str, Way] = {
        "build: formatting each value": naive,
        "build: one %-template a thousand values": templates,
        "build: a thousand records, one strided assignment a digit (ours)": whole,
    }
    if has("hiredis"):
        import hiredis

        def packed() -> None:
            for first, count in batches(values, A_COMMAND):
                hiredis.pack_command(("RPUSH", KEY, *range(first, first + count)))

        ways["build: hiredis.pack_command"] = packed
    if has("numpy"):
        ways["build: numpy, a digit column at a time"] = lambda: by_numpy(values)
    return ways


def by_numpy(values: int) -> None:
    """Runs of one width alone, as ours do them; the others are few."""
    import numpy

    for first, count in batches(values, A_COMMAND):
        width = len(str(first))
        if width != len(str(first + count - 1)):
            continue
        head = b"$%d\r\n" % width
        records = numpy.empty((count, len(head) + width + 2), numpy.uint8)
        records[:, : len(head)] = numpy.frombuffer(head, numpy.uint8)
        numbers = numpy.arange(first, first + count)
        for place in range(width):
            records[:, len(head) + width - 1 - place] = numbers // 10**place % 10 + ord("0")
        records[:, -2:] = numpy.frombuffer(b"\r\n", numpy.uint8)
        records.tobytes()


def writers(pair: Pair, values: int) -> dict[str, Way]:
    """All values through A until B has them."""

    def forget() -> None:
        with Connection(pair.deployment.control("a")) as connection:
            connection.command("DEL", KEY)
        pair.converge()

    def by_pipeline(size: int, parser: object = None) -> Way:
        def write() -> float:
            forget()
            options: dict[str, Any] = {} if parser is None else {"parser_class": parser}
            pool = redis.ConnectionPool(host=pair.a.host, port=pair.a.port, protocol=2, **options)
            with redis.Redis(connection_pool=pool) as client:
                client.ping()
                began = time.perf_counter()
                pipeline = client.pipeline(transaction=False)
                for number, (first, count) in enumerate(batches(values, size), start=1):
                    pipeline.rpush(KEY, *range(first, first + count))
                    if number % (10_000 if size == 1 else 20) == 0:
                        pipeline.execute()
                pipeline.execute()
                pair.converge()
                took = time.perf_counter() - began
            pool.disconnect()
            return took

        return write

    def ours() -> float:
        forget()
        plans = plan_streams("workload", scenario(f"workload.values={values}").scenario.workloads())
        writing = make_writers(Cycle(pair.deployment, plans, (), (), MemoryPlace(), 60.0), plans, NoMarks())
        began = time.perf_counter()
        write_all(writing)
        pair.converge()
        return time.perf_counter() - began

    ways: dict[str, Way] = {
        "write: redis-py pipeline, one RPUSH a value, own parser": by_pipeline(1, _RESP2Parser),
        "write: redis-py pipeline, 1,000 values a command, own parser": by_pipeline(A_COMMAND, _RESP2Parser),
        "write: ours": ours,
    }
    if has("hiredis"):
        ways["write: redis-py pipeline, one RPUSH a value, hiredis"] = by_pipeline(1)
        ways["write: redis-py pipeline, 1,000 values a command, hiredis"] = by_pipeline(A_COMMAND)
    if has("glide"):
        ways["write: valkey-glide, 1,000 values a command, 20 commands at once"] = lambda: glide(pair, values, forget)
    if floor := find_floor().floor:

        def in_c() -> float:
            forget()
            return floor.write(pair.a, KEY, values) + pair.converge()

        ways[f"write: floor ({floor.name})"] = in_c
    return ways


def glide(pair: Pair, values: int, forget: Callable[[], None]) -> float:
    import glide as library  # type: ignore[import-not-found]

    async def write() -> float:
        address = library.NodeAddress(pair.a.host, pair.a.port)
        client = await library.GlideClient.create(library.GlideClientConfiguration([address], request_timeout=60_000))
        began = time.perf_counter()
        for first, count in batches(values, A_COMMAND * 20):
            parts = [(start, min(A_COMMAND, first + count - start)) for start in range(first, first + count, A_COMMAND)]
            await asyncio.gather(
                *(client.rpush(KEY, [str(number) for number in range(start, start + size)]) for start, size in parts)
            )
        pair.converge()
        took = time.perf_counter() - began
        await client.close()
        return took

    forget()
    return asyncio.run(write())


def readers(pair: Pair, values: int) -> dict[str, Way]:
    """The whole list from B, compared with what it should be."""

    def at_once(parser: object = None) -> Way:
        def read() -> None:
            options: dict[str, Any] = {} if parser is None else {"parser_class": parser}
            pool = redis.ConnectionPool(host=pair.b.host, port=pair.b.port, protocol=2, **options)
            with redis.Redis(connection_pool=pool) as client:
                assert [int(element) for element in client.lrange(KEY, 0, -1)] == list(range(1, values + 1))
            pool.disconnect()

        return read

    def ours() -> None:
        with Connection(pair.b) as connection:
            assert read_key(connection, KEY, lambda run: None).length == values

    ways: dict[str, Way] = {"read: redis-py LRANGE 0 -1, own parser": at_once(_RESP2Parser), "read: ours": ours}
    if has("hiredis"):
        ways["read: redis-py LRANGE 0 -1, hiredis"] = at_once()
        ways["read: hiredis.Reader, chunks of 20,000, 3 in flight"] = lambda: by_hiredis(pair, values)
    if floor := find_floor().floor:
        ways[f"read: floor ({floor.name})"] = lambda: floor.drain(pair.b, KEY, values)
    return ways


def by_hiredis(pair: Pair, values: int) -> None:
    import socket

    import hiredis

    asks = [b"LRANGE %s %d %d\r\n" % (KEY.encode(), f - 1, f + n - 2) for f, n in batches(values, A_CHUNK)]
    reader, expected = hiredis.Reader(), [range(f, f + n) for f, n in batches(values, A_CHUNK)]
    with socket.create_connection((pair.b.host, pair.b.port)) as connection:
        connection.sendall(b"".join(asks[:3]))
        for number, wanted in enumerate(expected):
            while (reply := reader.gets()) is False:
                reader.feed(connection.recv(1 << 18))
            if number + 3 < len(asks):
                connection.sendall(asks[number + 3])
            assert reply == [b"%d" % value for value in wanted]


def seconds(way: Way) -> float:
    """What the way says of itself, else how long it took."""
    began = time.perf_counter()
    told = way()
    return told if isinstance(told, float) else time.perf_counter() - began


ALIGN = ("left", "right", "right", "right")


def rate_row(name: str, values: int, took: list[float]) -> tuple[str, ...]:
    """Median, least and most."""
    return name, *(f"{values / each / 1e6:,.2f}" for each in (median(took), max(took), min(took)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=number_from(), default=1_000_000)
    parser.add_argument("--rounds", type=number_from(), default=5)
    options = parser.parse_args()
    values, rows = options.values, []
    missing = [name for name in ("hiredis", "numpy", "glide") if not has(name)]
    with open_pair(Options()) as pair:
        for ways in (builders(values), writers(pair, values), readers(pair, values)):
            taken = in_turns({name: partial(seconds, way) for name, way in ways.items()}, options.rounds)
            rows += [
                rate_row(name, values, took) for name, took in sorted(taken.items(), key=lambda each: -median(each[1]))
            ]
    print(f"{machine_line()}; {values:,} values, medians of {options.rounds}\n")
    print(tabulate(rows, headers=("way", "M values/s", "min", "max"), disable_numparse=True, colalign=ALIGN))
    if missing:
        print(f"\nnot installed: {', '.join(missing)}")


if __name__ == "__main__":
    main()
