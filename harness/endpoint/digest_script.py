"""The scripts that let a server compute the digest of a piece of a value, so that only the digest travels.

They read one bounded window of one key and return a SHA-1 in hex, of a list or sorted set also those of its
first and its last element as they would be sent; they write nothing and keep nothing. The allow-list
takes these texts byte for byte and no others.
"""

from __future__ import annotations

_TAIL = b"""
local p = {}
for i = 1, #v do p[i] = #v[i] .. ':' .. v[i] end
local whole = redis.sha1hex(table.concat(p))
if #v == 0 then return whole end
local function mark(last)
  local e = {}
  for i = last - n + 1, last do e[#e + 1] = '$' .. #v[i] .. '\\r\\n' .. v[i] .. '\\r\\n' end
  return redis.sha1hex(table.concat(e))
end
return whole .. ' ' .. mark(n) .. ' ' .. mark(#v)
"""
LIST = b"local n = 1 local v = redis.call('LRANGE', KEYS[1], ARGV[1], ARGV[2])" + _TAIL
SORTED_SET = b"local n = 2 local v = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')" + _TAIL
STRING = b"return redis.sha1hex(redis.call('GETRANGE', KEYS[1], ARGV[1], ARGV[2]))"
SCRIPTS = frozenset((LIST, SORTED_SET, STRING))
