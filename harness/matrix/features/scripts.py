"""Lua scripts that write, by their text and by their hash, with what differs from call to call."""

from __future__ import annotations

from hashlib import sha1

from harness.matrix.features.base import FROM_A, DataSet, Fact, Feature, Write, keys

_COUNT = b"for i = 1, tonumber(ARGV[1]) do redis.call('RPUSH', KEYS[1], i * i) end return redis.call('LLEN', KEYS[1])"
_CHANCE = b"return redis.call('SET', KEYS[1], redis.call('TIME')[2] .. ':' .. math.random())"


def build(prefix: bytes, now_ms: int) -> DataSet:
    squares, chance = prefix + b"scripts:squares", prefix + b"scripts:chance"
    digest = sha1(_COUNT).hexdigest()
    writes = (
        Write(("EVAL", _COUNT, 1, squares, 20), reply=20),
        Write(("EVALSHA", digest, 1, squares, 10), reply=30),
        Write(("EVAL", _CHANCE, 1, chance)),
    )
    numbers = [*range(1, 21), *range(1, 11)]
    facts = (
        Fact(("LRANGE", squares, 0, -1), [b"%d" % (number * number) for number in numbers]),
        Fact(("GET", chance), FROM_A),
    )
    return DataSet(writes, facts, keys(squares, chance))


FEATURE = Feature("scripts", "Lua scripts that write", build)
