"""Data on two servers, and a comparison as the tests ask for it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import redis

from harness.compare.comparison import compare
from harness.compare.model import Options, Outcome
from harness.endpoint.address import Endpoint
from harness.endpoint.client import connect

QUICK = Options(pause_s=0.02, deadline_s=20, most_commands_per_s=0)


def look(pair: tuple[Endpoint, Endpoint], **changes: Any) -> Outcome:
    return compare(*pair, replace(QUICK, **changes))


def seen(outcome: Outcome) -> list[tuple[object, ...]]:
    """(key, kind, place, expected, found) of each difference."""
    return [
        (each.subject.key.decode(), each.finding.kind, each.finding.at, each.finding.expected, each.finding.found)
        for each in outcome.differences
    ]


def on_both(pair: tuple[Endpoint, Endpoint], fill: Any) -> None:
    """Run `fill` with a client of each."""
    for endpoint in pair:
        with closing(connect(endpoint, timeout_s=60)) as client:
            fill(client)


def client_of(endpoint: Endpoint, db: int = 0) -> closing[redis.Redis]:
    return closing(connect(endpoint.with_database(db), timeout_s=60))


def every_type(client: redis.Redis) -> None:
    """Small and large values of every type, some that expire, in the client's database."""
    pipe = client.pipeline(transaction=False)
    for number in range(1, 60):
        pipe.set(f"string:{number}", b"\x00\xffv" * number)
        pipe.rpush(f"list:{number}", *range(number))
        pipe.hset(f"hash:{number}", mapping={f"f{each}": each for each in range(3 * number)})
        pipe.sadd(f"set:{number}", *[f"m{each}" for each in range(3 * number)])
        pipe.zadd(f"zset:{number}", {f"m{each}": each / 7 for each in range(3 * number)})
        pipe.xadd(f"stream:{number}", {"a": number, "b": b"\r\n\xfe"}, id=f"1-{number}")
    pipe.set("large:string", "0123456789" * 60_000)
    pipe.rpush("large:list", *range(30_000))
    pipe.hset("large:hash", mapping={f"f{each}": each for each in range(3_000)})
    pipe.sadd("large:set", *[f"m{each}" for each in range(3_000)])
    pipe.zadd("large:zset", {f"m{each}": each / 7 for each in range(3_000)})
    for number in range(1, 1_500):
        pipe.xadd("large:stream", {"a": number}, id=f"5-{number}")
    pipe.xgroup_create("large:stream", "readers", "0")
    pipe.pexpireat("string:7", 4_000_000_000_000)
    pipe.pexpireat("large:list", 4_000_000_000_000)
    pipe.set(b"key with\r\n\x00 any bytes", "v")
    pipe.execute()
    client.xreadgroup("readers", "one", {"large:stream": ">"}, count=1_200)
