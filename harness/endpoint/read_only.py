"""What may be sent to an endpoint that is only to be looked at: any key may be read, nothing can be changed.

It stands beside `allowed`, whose scopes are for runs that write keys of their own. Here every command is one that
servers know as reading, none can block, and none can make a server do long work for one reply: KEYS, DEBUG, MONITOR,
SORT and the like are not on the list. A script is allowed where its text is, byte for byte, one of our own.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.endpoint.allowed import Arguments, Rule, Scope
from harness.endpoint.digest_script import SCRIPTS, STRING

LONGEST_WINDOW = 200_000  # elements that one command may ask for
MOST_BYTES = 1 << 22  # of a string
MOST_SCANNED = 10_000  # keys or members that one step of a scan may look at


@dataclass(eq=False)
class ReadOnly(Scope):
    """The scope of a look at somebody else's server."""

    run_id: str | None = None
    writes: bool = False

    @property
    def rules(self) -> dict[str, Rule]:
        return READS

    @property
    def containers(self) -> frozenset[str]:
        return _CONTAINERS


def _takes(least: int, most: int = 1 << 20) -> Rule:
    def rule(arguments: Arguments, scope: Scope, db: int) -> str | None:
        return None if least <= len(arguments) <= most else f"it takes {least} to {most} arguments here"

    return rule


def _window(*options: bytes, most: int = LONGEST_WINDOW) -> Rule:
    """key first last: only a bounded piece, counted from the beginning."""

    def rule(arguments: Arguments, scope: Scope, db: int) -> str | None:
        if len(arguments) < 3 or not (arguments[1].isdigit() and arguments[2].isdigit()):
            return "it takes a key and two indexes counted from the beginning"
        if int(arguments[2]) - int(arguments[1]) >= most:
            return f"at most {most} at once"
        return _only(arguments[3:], options)

    return rule


def _scan(begins_at: int, *options: bytes) -> Rule:
    """[key] cursor, and then options with their values."""

    def rule(arguments: Arguments, scope: Scope, db: int) -> str | None:
        rest = arguments[begins_at:]
        if not rest or not rest[0].isdigit() or len(rest) % 2 == 0:
            return "it takes a cursor, and options with their values"
        counts = [value for name, value in zip(rest[1::2], rest[2::2], strict=True) if name.upper() == b"COUNT"]
        if any(not count.isdigit() or not 1 <= int(count) <= MOST_SCANNED for count in counts):
            return f"COUNT is 1 to {MOST_SCANNED} here"
        return _only(rest[1::2], options)

    return rule


def _counted(arguments: Arguments, scope: Scope, db: int) -> str | None:
    """XRANGE key first last COUNT n."""
    if len(arguments) == 5 and arguments[3].upper() == b"COUNT" and arguments[4].isdigit():
        return None if int(arguments[4]) <= LONGEST_WINDOW else f"at most {LONGEST_WINDOW} at once"
    return "only key first last COUNT n is allowed"


def _pending(arguments: Arguments, scope: Scope, db: int) -> str | None:
    fine = len(arguments) == 5 and arguments[4].isdigit() and int(arguments[4]) <= LONGEST_WINDOW
    return None if fine else "only key group first last count is allowed"


def _setting(arguments: Arguments, scope: Scope, db: int) -> str | None:
    return None if len(arguments) == 1 and arguments[0].upper() == b"ON" else "only ON is allowed"


def _with_code(arguments: Arguments, scope: Scope, db: int) -> str | None:
    fine = not arguments or (len(arguments) == 1 and arguments[0].upper() == b"WITHCODE")
    return None if fine else "only WITHCODE is allowed"


def _of_module(arguments: Arguments, scope: Scope, db: int) -> str | None:
    fine = not arguments or (
        len(arguments) == 3 and [word.upper() for word in arguments[:2]] == [b"FILTERBY", b"MODULE"]
    )
    return None if fine else "only FILTERBY MODULE name is allowed"


def _name(arguments: Arguments, scope: Scope, db: int) -> str | None:
    return None if len(arguments) == 1 and arguments[0].startswith(b"harness") else "our names begin with harness"


def _database(arguments: Arguments, scope: Scope, db: int) -> str | None:
    return None if len(arguments) == 1 and arguments[0].isdigit() else "it takes one database number"


def _own_script(arguments: Arguments, scope: Scope, db: int) -> str | None:
    fine = len(arguments) == 5 and arguments[0] in SCRIPTS and arguments[1] == b"1"
    if not fine:
        return "only the harness's own digest scripts, with one key and two indexes, are allowed"
    return _window(most=MOST_BYTES if arguments[0] == STRING else LONGEST_WINDOW)(arguments[2:], scope, db)


def _usage(arguments: Arguments, scope: Scope, db: int) -> str | None:
    fine = len(arguments) == 3 and arguments[1].upper() == b"SAMPLES" and arguments[2] in (b"1", b"2", b"3", b"4", b"5")
    return None if fine else "only key SAMPLES 1 to 5 is allowed"


def _only(given: Arguments, known: tuple[bytes, ...]) -> str | None:
    unknown = [word for word in given if word.upper() not in known]
    return f"{unknown[0].decode(errors='backslashreplace')[:50]} is no option for it here" if unknown else None


_KEY = _takes(1, 1)

READS: dict[str, Rule] = {
    "ACL USERS": _takes(0, 0),
    "ACL WHOAMI": _takes(0, 0),
    "AUTH": _takes(1, 2),
    "CLIENT NO-TOUCH": _setting,
    "CLIENT SETNAME": _name,
    "CLUSTER SHARDS": _takes(0, 0),
    "CLUSTER SLOTS": _takes(0, 0),
    "COMMAND": _takes(0, 0),
    "COMMAND LIST": _of_module,
    "CONFIG GET": _KEY,
    "DBSIZE": _takes(0, 0),
    "DUMP": _KEY,
    "EVAL": _own_script,
    "EVAL_RO": _own_script,
    "EXISTS": _KEY,
    "FUNCTION LIST": _with_code,
    "GETRANGE": _window(most=MOST_BYTES),
    "HGETALL": _KEY,
    "HLEN": _KEY,
    "HMGET": _takes(2),
    "HPTTL": _takes(4),
    "HSCAN": _scan(1, b"COUNT"),
    "INFO": _takes(0, 1),
    "LLEN": _KEY,
    "LRANGE": _window(),
    "MEMORY USAGE": _usage,
    "MODULE LIST": _takes(0, 0),
    "OBJECT ENCODING": _KEY,
    "PING": _takes(0, 1),
    "PTTL": _KEY,
    "READONLY": _takes(0, 0),
    "SCAN": _scan(0, b"MATCH", b"COUNT"),
    "SCARD": _KEY,
    "SELECT": _database,
    "SCRIPT EXISTS": _takes(1, 10),
    "SISMEMBER": _takes(2, 2),
    "SMEMBERS": _KEY,
    "SMISMEMBER": _takes(2),
    "SSCAN": _scan(1, b"COUNT"),
    "STRLEN": _KEY,
    "TYPE": _KEY,
    "XINFO CONSUMERS": _takes(2, 2),
    "XINFO GROUPS": _KEY,
    "XINFO STREAM": _KEY,
    "XLEN": _KEY,
    "XPENDING": _pending,
    "XRANGE": _counted,
    "ZCARD": _KEY,
    "ZRANGE": _window(b"WITHSCORES"),
    "ZSCAN": _scan(1, b"COUNT"),
    "ZSCORE": _takes(2, 2),
}
_CONTAINERS = frozenset(name.partition(" ")[0] for name in READS if " " in name)
