"""A library of functions: its code, and what calling it answers on the replica."""

from __future__ import annotations

from harness.matrix.features.base import DataSet, Fact, Feature, Write, keys

_CODE = """#!lua name={library}
local function keep(keys, args) return redis.call('SET', keys[1], args[1]) end
local function doubled(keys, args) return 2 * tonumber(redis.call('GET', keys[1])) end
redis.register_function('{library}_keep', keep)
redis.register_function{{function_name='{library}_doubled', callback=doubled, flags={{'no-writes'}}}}
"""


def build(prefix: bytes, now_ms: int) -> DataSet:
    library = "l" + "".join(sign if sign.isalnum() else "_" for sign in prefix.decode())
    key, code = prefix + b"functions", _CODE.format(library=library)
    writes = (
        Write(("FUNCTION", "LOAD", code), reply=library.encode()),
        Write(("FCALL", f"{library}_keep", 1, key, "21")),
    )
    facts = (
        Fact(
            ("FUNCTION", "LIST", "LIBRARYNAME", library, "WITHCODE"),
            [[b"library_name", library.encode(), b"library_code", code.encode()]],
            "library",
        ),
        Fact(("FCALL_RO", f"{library}_doubled", 1, key), 42),
        Fact(("GET", key), b"21"),
    )
    return DataSet(writes, facts, keys(key))


FEATURE = Feature("functions", "a library of functions", build, ("FUNCTION", "FCALL", "FCALL_RO"))
