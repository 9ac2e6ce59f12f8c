"""The naive way, as most would write it: one RPUSH a value in a redis-py pipeline, LRANGE 0 -1, compare.

    python -m harness.bench.naive HOST PORT_OF_A PORT_OF_B KEY VALUES [plain]

plain: a pipeline that is no transaction; redis-py makes one by default, of which many know nothing.

A program of its own, so that its memory is its own. Prints one JSON object: seconds from the first value to the end of
the comparison, and whether redis-py had hiredis to parse replies.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time

import redis

COMMANDS_A_PIPELINE = 10_000


def main(host: str, ports: tuple[int, int], key: str, values: int, transaction: bool) -> None:
    with redis.Redis(host, ports[0]) as a, redis.Redis(host, ports[1]) as b:
        a.ping()
        b.ping()
        began = time.perf_counter()
        write(a, key, values, transaction)
        while b.llen(key) < values:
            time.sleep(0.001)
        if [int(element) for element in b.lrange(key, 0, -1)] != list(range(1, values + 1)):
            sys.exit("the replica holds something else")
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "hiredis": importlib.util.find_spec("hiredis") is not None}))


def write(a: redis.Redis, key: str, values: int, transaction: bool) -> None:
    """One command a value."""
    pipeline = a.pipeline() if transaction else a.pipeline(transaction=False)
    for number in range(1, values + 1):
        pipeline.rpush(key, number)
        if number % COMMANDS_A_PIPELINE == 0:
            pipeline.execute()
    pipeline.execute()


if __name__ == "__main__":
    main(sys.argv[1], (int(sys.argv[2]), int(sys.argv[3])), sys.argv[4], int(sys.argv[5]), "plain" not in sys.argv[6:])
