"""The checks that need no writing: one function each, from facts to a graded answer. Pure but for their inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.acceptance.case import Case, fail, listed, mb, not_possible, passed, warn
from harness.acceptance.facts import LARGE_BYTES, ServerFacts, anywhere, everywhere
from harness.acceptance.feeding import cannot_feed
from harness.acceptance.model import Check
from harness.acceptance.modules import modules
from harness.endpoint.read_only import READS
from harness.engine.catalogue import version_key
from harness.resp.replication_info import REPLICATION_COMMANDS, replica_buffer_limit

SHORTEST_CUT_S = 60.0  # that a backlog should survive
_FULL = 0.8  # of the target's memory, above which it is tight
# What servers, replicas and operators send, and no application does.
_OF_OPERATORS = frozenset(REPLICATION_COMMANDS) | {
    *("acl", "auth", "bgrewriteaof", "bgsave", "client", "cluster", "command", "config", "debug", "echo", "failover"),
    *("flushall", "flushdb", "function", "hello", "info", "keys", "lastsave", "latency", "memory", "module", "monitor"),
    *("object", "ping", "quit", "reset", "role", "save", "script", "select", "shutdown", "slowlog"),
}
# What every look like this one sends: clients that use them use others with them, which tell.
_OWN = frozenset(
    ("client|no-touch", "client|setname", "cluster|shards", "cluster|slots", "hpttl", "readonly", "select")
)
# Those that cluster-aware clients can't split by slot.
_MANY_KEYS = frozenset(
    (
        *("bitop", "blmove", "brpoplpush", "copy", "eval", "evalsha", "exec", "lmove", "lmpop", "mget", "mset"),
        *("msetnx", "multi", "pfcount", "pfmerge", "rename", "renamenx", "rpoplpush", "sdiff", "sdiffstore", "sinter"),
        *("sinterstore", "smove", "sunion", "sunionstore", "zdiff", "zdiffstore", "zinter", "zinterstore", "zmpop"),
        *("zrangestore", "zunion", "zunionstore"),
    )
)


REQUIRED = frozenset({"versions", "memory"})


def preflight(case: Case) -> list[Check]:
    """Every check, in the order of reports."""
    answers = (check(case) for check in CHECKS)
    return [replace(answer, required=answer.required or answer.name in REQUIRED) for answer in answers]


def tls(case: Case) -> Check:
    plain = [name for name, facts in (("source", case.source), ("target", case.target)) if not facts.side.endpoint.tls]
    if plain:
        return warn("TLS", f"no TLS to {' and '.join(plain)}", "use rediss:// where the network is not your own")
    return passed("TLS", "both certificates were verified")


def versions(case: Case) -> Check:
    pairs = sorted({(one, other) for one in case.source.versions for other in case.target.versions}, key=str)
    if hidden := [name for name, facts in case.sides if None in facts.versions]:
        return not_possible("versions", f"the {hidden[0]} hides its version")
    databases = (case.source.keyspace or {}).values()
    with_field_ttls = any(each.with_field_ttls for each in databases)
    for source, target in pairs:
        if source and target and (reason := cannot_feed(source, target, field_ttls=with_field_ttls)):
            todo = "take a target that is as new, or move the data by commands, not by replication"
            return fail("versions", reason, todo)
    names = [listed(sorted({"-".join(each) for each in facts.versions if each})) for _, facts in case.sides]
    return passed("versions", f"{names[1]} can follow {names[0]}")


def memory(case: Case) -> Check:
    data, limit = case.source.used_memory, case.target.memory_limit
    used, backlog = case.target.used_memory or 0, case.target.backlog
    needed = data + backlog if data is not None else None
    held = sum(each.keys for each in (case.target.keyspace or {}).values())
    if needed is None or limit is None:
        return not_possible("memory", "the source's need or the target's limit is hidden")
    case.figures["source memory bytes"] = needed
    limit = limit or case.target.machine_memory or 0
    if not limit:
        return warn("memory", f"{mb(needed)} are needed; the target has no limit", "set maxmemory on the target")
    case.figures["target memory limit bytes"] = limit
    need = max(needed, used) if held else needed
    text = f"{mb(need)} are needed (of which {mb(backlog)} for the backlog), {mb(limit)} are allowed"
    if need > limit:
        return fail("memory", text, f"raise the target's maxmemory above {mb(need / _FULL)}")
    if need > _FULL * limit:
        return warn("memory", text, "leave a fifth free for growth, buffers and fragmentation")
    return passed("memory", text)


def eviction(case: Case) -> Check:
    asked = zip(case.target.setting("maxmemory-policy"), case.target.servers, strict=True)
    policies = {policy or each.info.get("maxmemory_policy") for policy, each in asked}
    if dropping := sorted(policy for policy in policies if policy not in (None, "noeviction")):
        todo = "set noeviction until the cutover is accepted, or accept that the target may drop keys"
        return warn("eviction", f"the target's policy is {listed(dropping)}", todo)
    if None in policies:
        return not_possible("eviction", "the target hides its eviction policy")
    return passed("eviction", "the target drops nothing")


def types(case: Case) -> Check:
    if unknown := _encodings_unknown(case):
        return warn(
            "types",
            f"the source holds values as {listed(unknown)}, which the target does not know",
            "move the data by commands: the target can't load this by replication, RDB or RESTORE",
        )
    counts = sorted((kind, count) for kind, count in case.survey.types.items() if kind != "none")
    return passed("types", ", ".join(f"{count} {kind}" for kind, count in counts) or "no keys")


# encoding: family: from which version on; where a family is not named, all its versions know it
_ENCODINGS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "listpack": {"redis": (7,)},
    "listpackex": {"redis": (7, 4), "valkey": (1000,), "redict": (1000,)},
    "quicklist": {"redis": (3, 2)},
    "stream": {"redis": (5,)},
}


def _encodings_unknown(case: Case) -> list[str]:
    found: set[str] = set()
    for family, version in filter(None, case.target.versions):
        since = {encoding: known.get(family, (0,)) for encoding, known in _ENCODINGS.items()}
        found |= {each for each in case.survey.encodings if version_key(version) < since.get(each, (0,))}
    return sorted(found)


def databases(case: Case) -> Check:
    above = sorted(db for db in case.source.side.databases if db)
    if not above:
        return passed("databases", "only database 0 is used")
    limit = case.product.databases if case.product else None
    lacking = [db for db in above if not case.target.selectable(db) or (limit is not None and db >= limit)]
    if lacking:
        found = f"the source has keys in database {listed(lacking)}, which the target does not have"
        return fail("databases", found, "move these keys to database 0 under a prefix, or take one endpoint a database")
    return passed("databases", f"the target has database {listed(above)} too")


def commands(case: Case) -> Check:
    used, known = case.source.used_commands, case.target.commands
    if used is None:
        return not_possible("commands", "the source hides its COMMANDSTATS")
    if known is None and case.product is None:
        return not_possible("commands", "the target doesn't list its commands", "name its product with --profile")
    lacking = {name for name in used - _OWN if _lacks(case, name)}
    ours = {name for name in lacking if name.replace("|", " ").upper() in READS}
    operators = {name for name in lacking - ours if name.partition("|")[0] in _OF_OPERATORS}
    if hard := sorted(lacking - ours - operators):
        return fail(
            "commands", f"clients of the source use what the target refuses: {listed(hard)}", "change the clients"
        )
    found = [f"operators' commands that the target refuses: {listed(sorted(operators))}"] if operators else []
    if ours:
        found.append(
            f"the target refuses what clients, or only looks like this one, sent to the source: {listed(sorted(ours))}"
        )
    if found:
        return warn("commands", "; ".join(found), "see who sends them")
    by = "the target's own list, which knows neither this user's rights nor what a proxy refuses"
    if case.product:
        by = f"what is known of {case.product.name}"
    return passed("commands", f"all {len(used)} that were sent to the source are there, by {by}")


def _lacks(case: Case, name: str) -> bool:
    """Whether the target, or its product, refuses this command: "name", or "name|subcommand"."""
    known, container = case.target.commands, name.partition("|")[0]
    barred = case.product.refused if case.product else frozenset()
    if {name, container} & barred or name.replace("|", " ").upper() in case.target.side.refused:
        return True
    if known is None or name in known:
        return False
    return container not in known or any(each.startswith(f"{container}|") for each in known)


def large_keys(case: Case) -> Check:
    if not case.survey.measured:
        return not_possible("large keys", "the source refuses MEMORY USAGE")
    if case.survey.large:
        db, key, size = case.survey.large[0]
        name = key.decode("utf-8", "backslashreplace")[:100]
        found = f"{len(case.survey.large)} above {mb(LARGE_BYTES)}; the largest is {name} in db {db} with {mb(size)}"
        return warn("large keys", found, "split them, or plan for a target that answers late while they move")
    return passed("large keys", f"none is above {mb(LARGE_BYTES)}")


def slots(case: Case) -> Check:
    if not case.target.side.cluster or case.source.side.cluster:
        return passed("slots", "the target is no cluster" if not case.target.side.cluster else "both are clusters")
    used = sorted(_MANY_KEYS & (case.source.used_commands or frozenset()))
    if used:
        found = f"the target is a cluster, and clients use {listed(used)}"
        return warn("slots", found, "give the keys that are used together one {hash tag}")
    return passed("slots", "no command in use takes keys of several slots")


def times_to_live(case: Case) -> Check:
    if case.source.keyspace is None:
        return not_possible("TTLs", "the source hides its keyspace")
    expiring = sum(each.expiring for each in case.source.keyspace.values())
    with_fields = sum(each.with_field_ttls for each in case.source.keyspace.values())
    case.figures["keys that expire"] = expiring
    if with_fields and "HPTTL" in case.target.side.refused:
        found = f"hashes with fields that expire, which the target can't do: {with_fields}"
        return fail("TTLs", found, "take a target that knows HPTTL, or let the application expire these fields")
    return passed("TTLs", f"{expiring} keys expire, {with_fields} hashes have fields that do")


def functions(case: Case) -> Check:
    for name, facts in case.sides:
        for each in facts.servers:
            if each.functions is None and not _knows_no_functions(each):
                refusal = each.functions_refusal[:100] or "an unexpected reply"
                found = f"the {name} does not list its functions: {refusal}"
                return not_possible("functions", found, "compare FUNCTION LIST WITHCODE by hand")
    ours = {(library, code) for each in case.source.servers for library, code in (each.functions or {}).items()}
    todo = "FUNCTION DUMP on the source, FUNCTION RESTORE on the target"
    if case.target.side.cluster:
        todo += ", on each of its primaries"
    libraries = [each.functions or {} for each in case.target.servers]
    if lacking := sorted({name for name, _ in ours if not all(name in there for there in libraries)}):
        found = f"the target lacks the function {'library' if len(lacking) == 1 else 'libraries'} {listed(lacking)}"
        return fail("functions", found, todo)
    if other := sorted({name for name, code in ours if any(there[name] != code for there in libraries)}):
        found = f"the target has other code in the function {'library' if len(other) == 1 else 'libraries'}"
        return fail("functions", f"{found} {listed(other)}", f"{todo} with REPLACE")
    if scripts := case.source.cached_scripts:
        return warn("functions", f"{scripts} scripts are cached", "clients that send EVALSHA must load them again")
    found = f"all {len(ours)} function libraries are there, with the same code" if ours else "there are none"
    return passed("functions", found)


def _knows_no_functions(server: ServerFacts) -> bool:
    """Whether that FUNCTION LIST is refused says that there are none."""
    version = server.version
    older = version is not None and version[0] == "redis" and version_key(version[1]) < (7,)
    return older and "unknown command" in server.functions_refusal.lower()


def users(case: Case) -> Check:
    ours = anywhere([each.users for each in case.source.servers])
    theirs = everywhere([each.users for each in case.target.servers])
    if ours is None or theirs is None:
        return not_possible("ACL users", "one side does not name its users", "compare them by hand")
    if lacking := sorted(ours - theirs):
        found = f"the target lacks the ACL user{'s' if len(lacking) > 1 else ''} {listed(lacking)}"
        return fail("ACL users", found, "create them on the target with ACL SETUSER, with the same rules and passwords")
    return passed("ACL users", f"the target has all {len(ours)} names; compare their rules by hand")


def notifications(case: Case) -> Check:
    ours, theirs = (facts.setting("notify-keyspace-events") for _, facts in case.sides)
    hidden = None in ours or None in theirs
    if hidden:
        return not_possible("keyspace notifications", "one side hides them")
    for flags in filter(None, ours):
        for others in theirs:
            if _events(flags) - _events(others or ""):
                found = f"the source sends {flags}, the target {others or 'nothing'}"
                return warn("keyspace notifications", found, f"set notify-keyspace-events {flags} on the target")
    return passed("keyspace notifications", "the target sends what the source sends")


def _events(flags: str) -> set[str]:
    """The letters of notify-keyspace-events, "A" standing for most of them."""
    return set(flags.replace("A", "g$lshzxetd")) if {"K", "E"} & set(flags) else set()


def backlog(case: Case) -> Check:
    """Of the shard whose backlog survives the shortest cut."""
    pairs = [(each.room.backlog, rate) for each, rate in zip(case.source.servers, case.write_rates, strict=True)]
    known = [(size, rate) for size, rate in pairs if size and rate is not None]
    if len(known) < len(pairs):
        return not_possible("backlog", "the source hides its backlog size, or how much is written")
    case.figures["write rate bytes per s"] = round(sum(rate for _, rate in known))
    written = [(size, rate) for size, rate in known if rate]
    if not written:
        smallest = min(size for size, _ in known)
        return passed("backlog", f"nothing was written while we measured; the backlog holds {mb(smallest)}")
    size, rate = min(written, key=lambda each: each[0] / each[1])
    survives = size / rate
    case.figures["cut survived s"] = round(survives)
    text = f"{mb(size)} at {rate / 1000:.1f} kB/s survive a cut of {survives:.0f} s{_of_weakest(known)}"
    if survives < SHORTEST_CUT_S:
        return warn("backlog", text, f"set repl-backlog-size to {mb(rate * SHORTEST_CUT_S)} or more on the source")
    return passed("backlog", text)


def _of_weakest(shards: Sequence[object]) -> str:
    return f", on the weakest of {len(shards)} shards" if len(shards) > 1 else ""


def output_buffers(case: Case) -> Check:
    """Of the shard whose buffer for a replica is filled first."""
    limits = [replica_buffer_limit(text or "") for text in case.source.setting("client-output-buffer-limit")]
    if None in limits:
        return not_possible("output buffers", "the source hides client-output-buffer-limit")
    hard = [limit for limit in limits if limit]
    pairs = [(limit, rate) for limit, rate in zip(limits, case.write_rates, strict=True) if limit and rate]
    if not pairs:
        found = f"{mb(min(hard))}, and nothing was written meanwhile" if hard else "no limit"
        return passed("output buffers", found)
    limit, rate = min(pairs, key=lambda each: each[0] / each[1])
    seconds = limit / rate
    case.figures["full sync budget s"] = round(seconds)
    text = f"{mb(limit)} hold {seconds:.0f} s of writes during a full sync{_of_weakest(limits)}"
    if seconds < SHORTEST_CUT_S:
        return warn("output buffers", text, "raise client-output-buffer-limit for replicas on the source")
    return passed("output buffers", text)


CHECKS: Sequence[Callable[[Case], Check]] = (
    tls,
    versions,
    memory,
    eviction,
    types,
    modules,
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
