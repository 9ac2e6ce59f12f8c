"""The checks that need no writing: one function each, from facts to a graded answer. Pure but for their inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.acceptance.facts import LARGE_BYTES, Facts, Survey
from harness.acceptance.feeding import cannot_feed
from harness.acceptance.model import Check, Grade
from harness.acceptance.product import Product
from harness.engine.catalogue import version_key
from harness.resp.replication_info import REPLICATION_COMMANDS, replica_buffer_limit

CORE_TYPES = frozenset({"string", "list", "hash", "set", "zset", "stream"})
SHORTEST_CUT_S = 60.0  # that a backlog should survive
_FULL = 0.8  # of the target's memory, above which it is tight
# What servers, replicas and operators send, and no application does.
_OF_OPERATORS = frozenset(REPLICATION_COMMANDS) | {
    *("acl", "auth", "bgrewriteaof", "bgsave", "client", "cluster", "command", "config", "debug", "echo", "failover"),
    *("flushall", "flushdb", "function", "hello", "info", "keys", "lastsave", "latency", "memory", "module", "monitor"),
    *("object", "ping", "quit", "reset", "role", "save", "script", "select", "shutdown", "slowlog", "wait", "waitaof"),
}
_OWN = frozenset({"hpttl"})  # we ask for it ourselves; clients that use it use those that set such TTLs, too
# Those that cluster-aware clients can't split by slot.
_MANY_KEYS = frozenset(
    (
        *("bitop", "blmove", "brpoplpush", "copy", "eval", "evalsha", "exec", "lmove", "lmpop", "mget", "mset"),
        *("msetnx", "multi", "pfcount", "pfmerge", "rename", "renamenx", "rpoplpush", "sdiff", "sdiffstore", "sinter"),
        *("sinterstore", "smove", "sunion", "sunionstore", "zdiff", "zdiffstore", "zinter", "zinterstore", "zmpop"),
        *("zrangestore", "zunion", "zunionstore"),
    )
)


@dataclass(frozen=True)
class Case:
    """Everything that the checks look at. write_rate: bytes of replication stream a second, None where hidden."""

    source: Facts
    target: Facts
    survey: Survey
    product: Product | None
    write_rate: float | None
    figures: dict[str, float | int | str] = field(default_factory=dict)
    skip_types: frozenset[str] = frozenset()


REQUIRED = frozenset({"versions", "memory"})


def preflight(case: Case) -> list[Check]:
    """Every check, in the order of reports."""
    return [replace(answer, required=answer.name in REQUIRED) for answer in (check(case) for check in CHECKS)]


def tls(case: Case) -> Check:
    plain = [name for name, facts in (("source", case.source), ("target", case.target)) if not facts.side.endpoint.tls]
    if plain:
        return _warn("TLS", f"no TLS to {' and '.join(plain)}", "use rediss:// where the network is not your own")
    return _pass("TLS", "both certificates were verified")


def versions(case: Case) -> Check:
    source, target = _version(case.source), _version(case.target)
    if source is None or target is None:
        hidden = "source" if source is None else "target"
        return _not_possible("versions", f"the {hidden} hides its version")
    databases = (case.source.keyspace or {}).values()
    reason = cannot_feed(source, target, field_ttls=any(each.with_field_ttls for each in databases))
    if reason:
        return _fail(
            "versions", reason, "take a target that is as new, or move the data by commands, not by replication"
        )
    return _pass("versions", f"{'-'.join(target)} can follow {'-'.join(source)}")


def memory(case: Case) -> Check:
    data, limit = case.source.used_memory, case.target.memory_limit
    used, backlog = case.target.used_memory or 0, case.target.backlog
    needed = data + backlog if data is not None else None
    held = sum(each.keys for each in (case.target.keyspace or {}).values())
    if needed is None or limit is None:
        return _not_possible("memory", "the source's need or the target's limit is hidden")
    case.figures["source memory bytes"] = needed
    limit = limit or case.target.number("total_system_memory") or 0
    if not limit:
        return _warn("memory", f"{_mb(needed)} are needed; the target has no limit", "set maxmemory on the target")
    case.figures["target memory limit bytes"] = limit
    need = max(needed, used) if held else needed
    text = f"{_mb(need)} are needed (of which {_mb(backlog)} for the backlog), {_mb(limit)} are allowed"
    if need > limit:
        return _fail("memory", text, f"raise the target's maxmemory above {_mb(need / _FULL)}")
    if need > _FULL * limit:
        return _warn("memory", text, "leave a fifth free for growth, buffers and fragmentation")
    return _pass("memory", text)


def eviction(case: Case) -> Check:
    policy = case.target.setting("maxmemory-policy") or case.target.info.get("maxmemory_policy")
    if policy is None:
        return _not_possible("eviction", "the target hides its eviction policy")
    if policy != "noeviction":
        todo = "set noeviction until the cutover is accepted, or accept that the target may drop keys"
        return _warn("eviction", f"the target's policy is {policy}", todo)
    return _pass("eviction", "the target drops nothing")


def types(case: Case) -> Check:
    strange = sorted(set(case.survey.types) - CORE_TYPES - {"none"})
    missing = (case.source.modules or frozenset()) - (case.target.modules or frozenset())
    if strange and (missing or not case.source.modules or case.target.modules is None):
        return _fail("types", f"keys of type {', '.join(strange)}", "load the modules that know them on the target")
    if strange and not set(strange) <= case.skip_types:
        todo = "compare their values in another way, and give --skip-types"
        return _warn("types", f"keys of type {', '.join(strange)}, whose modules the target has too", todo)
    if unknown := _encodings_unknown(case):
        return _warn(
            "types",
            f"the source holds values as {_list(unknown)}, which the target does not know",
            "move the data by commands: the target can't load this by replication, RDB or RESTORE",
        )
    lacking = sorted((case.source.modules or frozenset()) - (case.target.modules or frozenset()))
    if lacking:
        return _warn(
            "types", f"no key uses them, but the target lacks the modules {', '.join(lacking)}", "see who does"
        )
    return _pass(
        "types", ", ".join(f"{count} {kind}" for kind, count in sorted(case.survey.types.items())) or "no keys"
    )


# encoding: family: from which version on; where a family is not named, all its versions know it
_ENCODINGS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "listpack": {"redis": (7,)},
    "listpackex": {"redis": (7, 4), "valkey": (1000,), "redict": (1000,)},
    "quicklist": {"redis": (3, 2)},
    "stream": {"redis": (5,)},
}


def _encodings_unknown(case: Case) -> list[str]:
    target = _version(case.target)
    if target is None:
        return []
    since = {encoding: known.get(target[0], (0,)) for encoding, known in _ENCODINGS.items()}
    return sorted(each for each in case.survey.encodings if version_key(target[1]) < since.get(each, (0,)))


def databases(case: Case) -> Check:
    above = sorted(db for db in case.source.side.databases if db)
    if not above:
        return _pass("databases", "only database 0 is used")
    limit = case.product.databases if case.product else None
    lacking = [db for db in above if not case.target.selectable.get(db) or (limit is not None and db >= limit)]
    if lacking:
        found = f"the source has keys in database {_list(lacking)}, which the target does not have"
        return _fail(
            "databases", found, "move these keys to database 0 under a prefix, or take one endpoint a database"
        )
    return _pass("databases", f"the target has database {_list(above)} too")


def commands(case: Case) -> Check:
    used, known = case.source.used_commands, case.target.commands
    if used is None:
        return _not_possible("commands", "the source hides its COMMANDSTATS")
    if known is None and case.product is None:
        return _not_possible("commands", "the target doesn't list its commands", "name its product with --profile")
    barred = case.product.refused if case.product else frozenset()
    lacking = {name for name in used if (known is not None and name not in known) or name in barred}
    lacking -= _OWN
    lacking = {name for name in lacking if "|" not in name or name.partition("|")[0] not in _OF_OPERATORS}
    if hard := sorted(lacking - _OF_OPERATORS):
        return _fail(
            "commands", f"clients of the source use what the target refuses: {_list(hard)}", "change the clients"
        )
    if lacking:
        return _warn(
            "commands", f"operators' commands that the target refuses: {_list(sorted(lacking))}", "see who sends them"
        )
    return _pass("commands", f"the target takes all {len(used)} commands in use")


def large_keys(case: Case) -> Check:
    if not case.survey.measured:
        return _not_possible("large keys", "the source refuses MEMORY USAGE")
    if case.survey.large:
        db, key, size = case.survey.large[0]
        name = key.decode("utf-8", "backslashreplace")[:100]
        found = f"{len(case.survey.large)} above {_mb(LARGE_BYTES)}; the largest is {name} in db {db} with {_mb(size)}"
        return _warn("large keys", found, "split them, or plan for a target that answers late while they move")
    return _pass("large keys", f"none is above {_mb(LARGE_BYTES)}")


def slots(case: Case) -> Check:
    if not case.target.side.cluster or case.source.side.cluster:
        return _pass("slots", "the target is no cluster" if not case.target.side.cluster else "both are clusters")
    used = sorted(_MANY_KEYS & (case.source.used_commands or frozenset()))
    if used:
        found = f"the target is a cluster, and clients use {_list(used)}"
        return _warn("slots", found, "give the keys that are used together one {hash tag}")
    return _pass("slots", "no command in use takes keys of several slots")


def times_to_live(case: Case) -> Check:
    if case.source.keyspace is None:
        return _not_possible("TTLs", "the source hides its keyspace")
    expiring = sum(each.expiring for each in case.source.keyspace.values())
    with_fields = sum(each.with_field_ttls for each in case.source.keyspace.values())
    case.figures["keys that expire"] = expiring
    if with_fields and "HPTTL" in case.target.side.refused:
        found = f"hashes with fields that expire, which the target can't do: {with_fields}"
        return _fail("TTLs", found, "take a target that knows HPTTL, or let the application expire these fields")
    return _pass("TTLs", f"{expiring} keys expire, {with_fields} hashes have fields that do")


def functions(case: Case) -> Check:
    for name, facts in (("source", case.source), ("target", case.target)):
        if facts.functions is None and not _knows_no_functions(facts):
            found = f"the {name} does not list its functions: {facts.functions_refusal[:100] or 'an unexpected reply'}"
            return _not_possible("functions", found, "compare FUNCTION LIST WITHCODE by hand")
    ours, theirs = case.source.functions or {}, case.target.functions or {}
    todo = "FUNCTION DUMP on the source, FUNCTION RESTORE on the target"
    if lacking := sorted(ours.keys() - theirs.keys()):
        found = f"the target lacks the function {'library' if len(lacking) == 1 else 'libraries'} {_list(lacking)}"
        return _fail("functions", found, todo)
    if other := sorted(name for name in ours if ours[name] != theirs[name]):
        found = f"the target has other code in the function {'library' if len(other) == 1 else 'libraries'}"
        return _fail("functions", f"{found} {_list(other)}", f"{todo} with REPLACE")
    scripts = case.source.number("number_of_cached_scripts")
    if scripts:
        return _warn("functions", f"{scripts} scripts are cached", "clients that send EVALSHA must load them again")
    return _pass(
        "functions", f"all {len(ours)} function libraries are there, with the same code" if ours else "there are none"
    )


def _knows_no_functions(facts: Facts) -> bool:
    """Whether that FUNCTION LIST is refused says that there are none."""
    version = _version(facts)
    older = version is not None and version[0] == "redis" and version_key(version[1]) < (7,)
    return older and "unknown command" in facts.functions_refusal.lower()


def users(case: Case) -> Check:
    if case.source.users is None or case.target.users is None:
        return _not_possible("ACL users", "one side does not name its users", "compare them by hand")
    lacking = sorted(case.source.users - case.target.users)
    if lacking:
        found = f"the target lacks the ACL user{'s' if len(lacking) > 1 else ''} {_list(lacking)}"
        return _fail(
            "ACL users", found, "create them on the target with ACL SETUSER, with the same rules and passwords"
        )
    return _pass("ACL users", f"the target has all {len(case.source.users)} names; compare their rules by hand")


def notifications(case: Case) -> Check:
    ours, theirs = (facts.setting("notify-keyspace-events") for facts in (case.source, case.target))
    if ours is None or theirs is None:
        return _not_possible("keyspace notifications", "one side hides them")
    if _events(ours) - _events(theirs):
        found = f"the source sends {ours}, the target {theirs or 'nothing'}"
        return _warn("keyspace notifications", found, f"set notify-keyspace-events {ours} on the target")
    return _pass("keyspace notifications", "the target sends what the source sends")


def _events(flags: str) -> set[str]:
    """The letters of notify-keyspace-events, "A" standing for most of them."""
    return set(flags.replace("A", "g$lshzxetd")) if {"K", "E"} & set(flags) else set()


def backlog(case: Case) -> Check:
    size = case.source.backlog
    if not size or case.write_rate is None:
        return _not_possible("backlog", "the source hides its backlog size, or how much is written")
    case.figures["write rate bytes per s"] = round(case.write_rate)
    if not case.write_rate:
        return _pass("backlog", f"nothing was written while we measured; the backlog holds {_mb(size)}")
    survives = size / case.write_rate
    case.figures["cut survived s"] = round(survives)
    text = f"{_mb(size)} at {case.write_rate / 1000:.1f} kB/s survive a cut of {survives:.0f} s"
    if survives < SHORTEST_CUT_S:
        needed = case.write_rate * SHORTEST_CUT_S
        return _warn("backlog", text, f"set repl-backlog-size to {_mb(needed)} or more on the source")
    return _pass("backlog", text)


def output_buffers(case: Case) -> Check:
    hard = replica_buffer_limit(case.source.setting("client-output-buffer-limit") or "")
    if hard is None:
        return _not_possible("output buffers", "the source hides client-output-buffer-limit")
    if not hard or not case.write_rate:
        return _pass("output buffers", "no limit" if not hard else f"{_mb(hard)}, and nothing was written meanwhile")
    seconds = hard / case.write_rate
    case.figures["full sync budget s"] = round(seconds)
    text = f"{_mb(hard)} hold {seconds:.0f} s of writes during a full sync"
    if seconds < SHORTEST_CUT_S:
        return _warn("output buffers", text, "raise client-output-buffer-limit for replicas on the source")
    return _pass("output buffers", text)


CHECKS: Sequence[Callable[[Case], Check]] = (
    tls,
    versions,
    memory,
    eviction,
    types,
    databases,
    commands,
    large_keys,
    slots,
    times_to_live,
    functions,
    users,
    notifications,
    backlog,
    output_buffers,
)


def _version(facts: Facts) -> tuple[str, str] | None:
    info = facts.info
    if "valkey_version" in info:
        return "valkey", info["valkey_version"]
    if "redict_version" in info:
        return "redict", info["redict_version"]
    return ("redis", info["redis_version"]) if "redis_version" in info else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


def _mb(size: float) -> str:
    return f"{size / 1_000_000:,.1f} MB"


def _list(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))


def _pass(name: str, found: str) -> Check:
    return Check(name, Grade.PASS, found)


def _warn(name: str, found: str, todo: str) -> Check:
    return Check(name, Grade.WARN, found, todo)


def _fail(name: str, found: str, todo: str) -> Check:
    return Check(name, Grade.FAIL, found, todo)


def _not_possible(name: str, found: str, todo: str = "") -> Check:
    return Check(name, Grade.NOT_POSSIBLE, found, todo)
