"""The scripts that let a server compute the digest of a piece of a value, so that only the digest travels.

They read one bounded window of one key and return a SHA-1 in hex; they write nothing and keep nothing. The allow-list
takes these texts byte for byte and no others.
"""

from __future__ import annotations

_TAIL = b"""
local p = {}
for i = 1, #v do p[i] = #v[i] .. ':' .. v[i] end
return redis.sha1hex(table.concat(p))
"""
LIST = b"local v = redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])" + _TAIL
SORTED_SET = b"local v = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')" + _TAIL
STRING = b"return redis.sha1hex(redis.call('GETRANGE', KEYS[1], ARGV[1], ARGV[2]))"
SCRIPTS = frozenset((LIST, SORTED_SET, STRING))
