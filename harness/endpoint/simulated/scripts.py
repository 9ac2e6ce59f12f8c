"""Keeps scripts from sending what a client may not: the script's own `redis` is one that looks at each command first.

A script can compute a command's name, so that no look at its text would do. In front of every script stands a line
that hides the true `redis` table, and whatever could lead to it, behind locals of the same names; it stands in the
script's own first line, so that line numbers in errors stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

NO_SUCH_SCRIPT = b"f" * 40
MOST_NAMES = 100_000

# Nothing in here may use the names that it hides, after it has hidden them.
_CHECK = (
    "local function beyond_(d) d=number_(d) return databases_ and d and d>=databases_ end "
    "local function other_(a) for i=3,#a-1 do "
    "if type_(a[i])=='string' and lower_(a[i])=='db' and beyond_(a[i+1]) then return true end end end "
    "local function refuse_(c,...) if type_(c)~='string' then return end local n=lower_(c) local s=... "
    "if refused_[n]==2 then return 2 end "
    "if refused_[n] or (type_(s)=='string' and refused_[n..'|'..lower_(s)]) then return 1 end "
    "if (n=='select' and beyond_(s)) or (n=='copy' and other_({...})) then return 3 end end "
)
_NO = "{err='ERR This Redis command is not allowed from script'}"
_RANGE = "{err='ERR DB index is out of range'}"
_CALL = (
    f"local function call_(...) local r=refuse_(...) if r==1 then error_({_NO}) end if r==3 then error_({_RANGE}) end "
    "if r==2 then return {ok='OK'} end return redis.call(...) end "
    f"local function pcall_(...) local r=refuse_(...) if r==1 then return {_NO} end if r==3 then return {_RANGE} end "
    "if r==2 then return {ok='OK'} end return redis.pcall(...) end "
)
_OWN = "local type_,lower_,number_,error_=type,string.lower,tonumber,error "
_OWN_LATE = (
    "local function type_(a) return type(a) end local function lower_(a) return string.lower(a) end "
    "local function number_(a) return tonumber(a) end local function error_(a) return error(a) end "
)
# The guard's own names are hidden as well: a script that assigns to one of them gets a variable of its own.
_HIDE = (
    "local redis,server,_G,load,loadstring,getfenv,setfenv,require,package,debug,module=r_,r_ "
    "local refused_,databases_,type_,lower_,number_,error_,beyond_,other_,refuse_,call_,pcall_,r_ "
)
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

    def __init__(
        self, refused: Iterable[str], without_effect: Iterable[str] = (), databases: int | None = None
    ) -> None:
        """databases: how many a script may use; None: as many as the server has."""
        entries = [f"['{name}']=1" for name in sorted(refused)] + [f"['{name}']=2" for name in sorted(without_effect)]
        table = f"local refused_,databases_={{{','.join(entries)}}},{'nil' if databases is None else databases} "
        self._for_eval = (table + _OWN + _CHECK + _CALL + _FOR_EVAL + _HIDE).encode()
        self._for_functions = (table + _OWN_LATE + _CHECK + _CALL + _FOR_FUNCTIONS + _HIDE).encode()
        self._names: dict[bytes, bytes] = {}

    def script(self, text: bytes) -> bytes:
        """What the server gets instead of a client's script."""
        guarded = _after_shebang(text, self._for_eval)
        name = _sha1(guarded)
        self._keep(_sha1(text), name)
        self._keep(name, name)  # a client that loaded it inside of a transaction knows this one
        return guarded

    def library(self, text: bytes) -> bytes:
        return _after_shebang(text, self._for_functions)

    def name(self, shown: bytes) -> bytes:
        """The server's name of a script that the client knows by this one; a name that no script has, otherwise."""
        shown = shown.lower()
        if (name := self._names.get(shown)) is None:
            return NO_SUCH_SCRIPT
        self._keep(shown, name)
        return name

    def _keep(self, shown: bytes, name: bytes) -> None:
        """Those not used for longest are forgotten: their clients are told NOSCRIPT, as after a restart."""
        self._names.pop(shown, None)
        self._names[shown] = name
        if len(self._names) > MOST_NAMES:
            del self._names[next(iter(self._names))]

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
