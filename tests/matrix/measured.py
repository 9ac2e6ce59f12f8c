"""Who can feed whom, as it was measured by hand before there was a matrix: the oracle, as literal tables."""

from __future__ import annotations

ENGINES = (
    *("redis-6.0.16", "redis-7.0.15", "redict-7.3.6", "valkey-8.0.1", "valkey-8.1.1", "valkey-9.1.2"),
    *("redis-8.0.2", "redis-8.0.6"),
)
_TABLE = """
    redis-6.0.16  yes yes yes yes yes yes yes yes
    redis-7.0.15  no  yes yes yes yes yes yes yes
    redict-7.3.6  no  no  yes no  no  no  yes yes
    valkey-8.0.1  no  no  yes yes yes yes yes yes
    valkey-8.1.1  no  no  yes yes yes yes yes yes
    valkey-9.1.2  no  no  yes yes yes yes yes yes
    redis-8.0.2   no  no  yes no  no  no  yes yes
    redis-8.0.6   no  no  yes no  no  no  yes yes
"""
# With a small data set: primary -> for each of ENGINES, whether it can be a replica of that.
FEEDS = {
    words[0]: tuple(word == "yes" for word in words[1:])
    for line in _TABLE.strip().splitlines()
    if (words := line.split())
}
# With one hash field that expires, Valkey 9 feeds nothing but Valkey 9.
FIELD_TTL_REFUSED = set(ENGINES) - {"valkey-9.1.2"}
