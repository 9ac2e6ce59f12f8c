"""Keeps scripts from sending what a client may not: the script's own `redis` is one that looks at each command first.

A script can compute a command's name, so that no look at its text would do. In front of every script stands a line
that hides the true `redis` table, and whatever could lead to it, behind locals of the same names; it stands in the
script's own first line, so that line numbers in errors stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

NO_SUCH_SCRIPT = b"f" * 40

# Nothing in here may use the names that it hides, after it has hidden them.
_CHECK = (
    "local function refuse_(c,...) if type(c)~='string' then return end local n=string.lower(c) local s=... "
    "if refused_[n]==2 then return 2 end "
    "if refused_[n] or (type(s)=='string' and refused_[n..'|'..string.lower(s)]) then return 1 end end "
)
_NO = "{err='ERR This Redis command is not allowed from script'}"
_CALL = (
    f"local function call_(...) local r=refuse_(...) if r==1 then error({_NO}) end "
    "if r==2 then return {ok='OK'} end return redis.call(...) end "
    f"local function pcall_(...) local r=refuse_(...) if r==1 then return {_NO} end "
    "if r==2 then return {ok='OK'} end return redis.pcall(...) end "
)
_HIDE = "local redis,server,_G,load,loadstring,getfenv,setfenv,require,package,debug,module=r_,r_ "
_FOR_EVAL = (
    "local r_=setmetatable({},{__metatable=false,__index=function(_,k) if k=='call' then return call_ end "
    "if k=='pcall' then return pcall_ end return redis[k] end}) "
)
# While a library is loaded there is little more than register_function; the rest is looked up when a function runs.
_LATE = ["log", "error_reply", "status_reply", "sha1hex", "setresp", "set_repl", "acl_check_cmd"]
_CONSTANTS = "LOG_DEBUG=0,LOG_VERBOSE=1,LOG_NOTICE=2,LOG_WARNING=3,REPL_NONE=0,REPL_AOF=1,REPL_REPLICA=2,REPL_ALL=3"
_FOR_FUNCTIONS = (
    "local r_={call=call_,pcall=pcall_,register_function=redis.register_function,"
    + ",".join(f"{name}=function(...) return redis.{name}(...) end" for name in _LATE)
    + f",{_CONSTANTS}}} "
)


class ScriptGuard:
    """Changes scripts and remembers their names: clients know a script by the hash of what they sent."""

    def __init__(self, refused: Iterable[str], without_effect: Iterable[str] = ()) -> None:
        entries = [f"['{name}']=1" for name in sorted(refused)] + [f"['{name}']=2" for name in sorted(without_effect)]
        table = f"local refused_={{{','.join(entries)}}} "
        self._for_eval = (table + _CHECK + _CALL + _FOR_EVAL + _HIDE).encode()
        self._for_functions = (table + _CHECK + _CALL + _FOR_FUNCTIONS + _HIDE).encode()
        self._names: dict[bytes, bytes] = {}

    def script(self, text: bytes) -> bytes:
        """What the server gets instead of a client's script."""
        guarded = _after_shebang(text, self._for_eval)
        name = _sha1(guarded)
        self._names[_sha1(text)] = name
        self._names[name] = name  # a client that loaded it inside of a transaction knows this one
        return guarded

    def library(self, text: bytes) -> bytes:
        return _after_shebang(text, self._for_functions)

    def name(self, shown: bytes) -> bytes:
        """The server's name of a script that the client knows by this one; a name that no script has, otherwise."""
        return self._names.get(shown.lower(), NO_SUCH_SCRIPT)

    @staticmethod
    def shown_name(text: bytes) -> bytes:
        return _sha1(text)


def _after_shebang(text: bytes, guard: bytes) -> bytes:
    if not text.startswith(b"#!"):
        return guard + text
    shebang, end, rest = text.partition(b"\n")
    return shebang + end + guard + rest if end else text


def _sha1(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
