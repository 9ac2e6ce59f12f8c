"""Single checks on made-up facts: what they add up, and what they take for the same."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from harness.acceptance.case import Case
from harness.acceptance.facts import Facts, Keyspace, Room, ServerFacts, Survey
from harness.acceptance.model import Grade
from harness.acceptance.modules import modules
from harness.acceptance.preflight import (
    backlog,
    commands,
    eviction,
    functions,
    memory,
    notifications,
    output_buffers,
    users,
    versions,
)
from harness.acceptance.product import Product
from harness.compare.side import Side

MB = 1_000_000
ONE = cast(Side, SimpleNamespace(cluster=False, refused=frozenset({"OBJECT ENCODING", "MEMORY USAGE"})))


def facts(*servers: ServerFacts) -> Facts:
    return Facts(ONE, servers)


def case(source: Facts, target: Facts, survey: Survey | None = None) -> Case:
    return Case(source, target, survey or Survey())


@pytest.mark.parametrize(
    ("limits", "backlogs", "grade"),
    [
        ((200, 200), (1, 1), Grade.PASS),
        ((130, 130), (10, 10), Grade.WARN),
        ((110, 100), (6, 6), Grade.FAIL),  # the data alone would fit
        ((100, 99), (0, 0), Grade.FAIL),
        ((100, None), (0, 0), Grade.NOT_POSSIBLE),
    ],
)
def test_memory_of_all_shards_and_the_backlog(
    limits: tuple[int | None, ...], backlogs: tuple[int, ...], grade: Grade
) -> None:
    source = facts(*[ServerFacts(room=Room(100 * MB, 0, 0)) for _ in limits])
    target = facts(
        *[
            ServerFacts(room=Room(MB, limit * MB if limit is not None else None, backlog * MB))
            for limit, backlog in zip(limits, backlogs, strict=True)
        ]
    )
    assert memory(case(source, target)).grade is grade


@pytest.mark.parametrize(
    ("ours", "theirs", "grade"),
    [
        ("", "", Grade.PASS),
        ("Kg", "KA", Grade.PASS),
        ("KEA", "AKE", Grade.PASS),
        ("KEA", "Kg", Grade.WARN),
        ("A", "", Grade.PASS),  # without K or E nothing is sent
        ("Kn", "KA", Grade.WARN),
    ],
)
def test_what_keyspace_notifications_a_target_sends(ours: str, theirs: str, grade: Grade) -> None:
    source, target = (facts(ServerFacts(settings={"notify-keyspace-events": flags})) for flags in (ours, theirs))
    assert notifications(case(source, target)).grade is grade


def named(functions: dict[str, str] | None, version: str, refusal: str = "") -> Facts:
    return facts(ServerFacts(functions=functions, info={"redis_version": version}, functions_refusal=refusal))


NAMED = named({"lib": "code"}, "7.0.15")


@pytest.mark.parametrize(
    ("source", "target", "grade"),
    [
        (named({}, "7.0.15"), named({}, "7.0.15"), Grade.PASS),
        (named(None, "6.0.16", "ERR unknown command `FUNCTION`"), named({}, "7.0.15"), Grade.PASS),
        (named(None, "7.0.15", "ERR unknown command `FUNCTION`"), named({}, "7.0.15"), Grade.NOT_POSSIBLE),
        (named(None, "7.0.15", "NOPERM no"), named({}, "7.0.15"), Grade.NOT_POSSIBLE),
        (NAMED, named(None, "7.0.15", "NOPERM no"), Grade.NOT_POSSIBLE),
        (NAMED, named({"lib": "code"}, "7.0.15"), Grade.PASS),
        (NAMED, named({"lib": "other"}, "7.0.15"), Grade.FAIL),
        (NAMED, named(None, "6.0.16", "ERR unknown command `FUNCTION`"), Grade.FAIL),
    ],
)
def test_functions_that_are_there_with_the_same_code(source: Facts, target: Facts, grade: Grade) -> None:
    assert functions(case(source, target)).grade is grade


def test_what_only_a_later_shard_shows_counts() -> None:
    """Each check looks at every shard of a cluster, on both sides."""
    good = ServerFacts(
        info={"redis_version": "7.0.15"},
        settings={
            "maxmemory-policy": "noeviction",
            "notify-keyspace-events": "",
            "client-output-buffer-limit": "slave 0 0 0",
        },
        keyspace={},
        users=frozenset({"default"}),
        functions={},
        room=Room(MB, 0, 100 * MB),
    )
    source, target = facts(good, good), facts(good, good)
    checks = (versions, eviction, functions, users, notifications, backlog, output_buffers)
    rates = {"write_rates": (1.0, 1_000.0)}
    assert {check(replace(case(source, target), **rates)).grade for check in checks} == {Grade.PASS}

    def with_second(**changes: object) -> Facts:
        return facts(good, replace(good, **changes))

    def grades(source: Facts, target: Facts) -> list[str]:
        answers = [check(replace(case(source, target), **rates)) for check in checks]
        return [f"{each.grade.value} {each.name}" for each in answers if each.grade is not Grade.PASS]

    settings = dict(good.settings)
    assert grades(source, with_second(info={"redis_version": "6.0.16"}))[0] == "fail versions"
    assert grades(source, with_second(info={})) == ["not possible here versions"]
    lru = with_second(settings={**settings, "maxmemory-policy": "allkeys-lru"})
    assert grades(source, lru) == ["warn eviction"]
    assert grades(with_second(functions={"lib": "code"}), target) == ["fail functions"]
    lib = with_second(functions={"lib": "code"})
    assert grades(lib, lib) == ["fail functions"]  # a function must be on every shard of the target
    assert grades(source, with_second(functions=None, functions_refusal="NOPERM")) == ["not possible here functions"]
    assert grades(with_second(users=frozenset({"default", "app"})), target) == ["fail ACL users"]
    assert grades(source, with_second(users=frozenset())) == ["fail ACL users"]
    assert grades(source, with_second(users=None)) == ["not possible here ACL users"]
    loud = with_second(settings={**settings, "notify-keyspace-events": "KEA"})
    assert grades(loud, loud) == ["warn keyspace notifications"]
    assert grades(with_second(room=Room(MB, 0, 59_000)), target) == ["warn backlog"]
    assert grades(with_second(room=Room(MB, 0, None)), target) == ["not possible here backlog"]
    tight = with_second(settings={**settings, "client-output-buffer-limit": "slave 59000 0 0"})
    assert grades(tight, target) == ["warn output buffers"]


def test_shards_are_added_up_and_one_that_hides_hides_all() -> None:
    one = ServerFacts(keyspace={0: Keyspace(1, 0, 1)}, used_commands=frozenset({"get"}), commands=frozenset({"get"}))
    other = ServerFacts(keyspace={0: Keyspace(2, 1, 0), 3: Keyspace(1, 1, 0)}, used_commands=frozenset({"set"}))
    both = facts(one, replace(other, commands=frozenset({"get", "set"})))
    assert both.keyspace == {0: Keyspace(3, 1, 1), 3: Keyspace(1, 1, 0)}
    assert (both.used_commands, both.commands) == ({"get", "set"}, {"get"})
    hidden = facts(one, ServerFacts())
    assert (hidden.keyspace, hidden.used_commands, hidden.commands) == (None, None, None)


KNOWN = frozenset(["get", "incr", "keys", "object|encoding", "memory|usage", "client", "client|list", "wait"])


@pytest.mark.parametrize(
    ("used", "barred", "grade", "said"),
    [
        ("get incr", "", Grade.PASS, "neither this user's rights nor what a proxy refuses"),
        ("get del", "", Grade.FAIL, "clients of the source use what the target refuses: del"),
        # its list names them, and it refused them when it was asked
        ("get object|encoding memory|usage", "", Grade.WARN, r"sent to the source: memory\|usage, object\|encoding"),
        ("get select cluster|slots", "select", Grade.PASS, "all 3 that were sent"),
        ("get client|tracking", "", Grade.WARN, r"operators' commands that the target refuses: client\|tracking"),
        ("get client|list", "", Grade.PASS, "all 2 that were sent"),
        ("get keys", "keys", Grade.WARN, "operators' commands that the target refuses: keys"),
        ("get wait", "wait", Grade.FAIL, "refuses: wait"),
        ("get incr", "object", Grade.PASS, "by what is known of some-product"),
    ],
)
def test_commands_that_a_target_refuses(used: str, barred: str, grade: Grade, said: str) -> None:
    source = facts(ServerFacts(used_commands=frozenset(used.split())))
    product = Product("some-product", "Some product", frozenset(barred.split())) if barred else None
    answer = commands(replace(case(source, facts(ServerFacts(commands=KNOWN))), product=product))
    assert answer.grade is grade
    assert re.search(said, answer.found)


JSON, BLOOM = frozenset({"json.get", "json.set"}), frozenset({"bf.add"})


def loaded(used: str = "get", **names: frozenset[str]) -> Facts:
    return facts(ServerFacts(modules=names, used_commands=frozenset(used.split())))


HIDDEN = facts(ServerFacts(used_commands=frozenset({"get"})))


@pytest.mark.parametrize(
    ("source", "target", "types", "grade", "said"),
    [
        # seen by keys, whatever else is lacking or not
        (loaded(ReJSON=JSON), loaded(), "ReJSON-RL", Grade.FAIL, "lacks a module, in use .*: ReJSON .keys of type ReJ"),
        (loaded(ReJSON=JSON), loaded(ReJSON=JSON), "ReJSON-RL", Grade.WARN, "ReJSON-RL, whose modules the target has"),
        (loaded(ReJSON=JSON, bf=BLOOM), loaded(ReJSON=JSON), "ReJSON-RL", Grade.WARN, "not seen in use .*: bf"),
        (loaded(ReJSON=JSON, bf=BLOOM), loaded(bf=BLOOM), "ReJSON-RL", Grade.FAIL, "lacks a module, .*: ReJSON"),
        # seen by commands
        (loaded("get json.set", ReJSON=JSON), loaded(), "", Grade.FAIL, r"ReJSON \(clients use json.set\)"),
        (loaded("get vadd", vectorset=frozenset({"vadd"})), loaded(), "", Grade.FAIL, "clients use vadd"),
        (loaded("bf.add", bf=frozenset()), loaded(), "", Grade.FAIL, "clients use bf.add"),
        (loaded("own.do", Own=frozenset()), loaded(), "", Grade.FAIL, "clients use own.do"),
        # loaded, and not seen in use
        (loaded(ReJSON=JSON), loaded(), "string", Grade.WARN, r"not seen in use \(no key and no command .*: ReJSON"),
        (loaded(ReJSON=JSON), loaded(ReJSON=JSON), "", Grade.PASS, "has every module"),
        (loaded(), loaded(), "string", Grade.PASS, "the source has none"),
        # a type of which no rule says whose it is
        (loaded(own=frozenset()), loaded(), "own-type-", Grade.FAIL, "own-type-, of which no rule .* lacks own"),
        (loaded(own=frozenset()), loaded(own=frozenset()), "own-type-", Grade.WARN, "whose modules the target has"),
        (loaded(own=frozenset(), o=frozenset()), loaded(o=frozenset()), "own-type-", Grade.NOT_POSSIBLE, "lacks own$"),
        # refused
        (loaded(ReJSON=JSON), HIDDEN, "ReJSON-RL", Grade.NOT_POSSIBLE, "in use .* the target refuses MODULE LIST"),
        (loaded(ReJSON=JSON), HIDDEN, "", Grade.NOT_POSSIBLE, "the target refuses MODULE LIST; no key and no command"),
        (loaded(), HIDDEN, "", Grade.PASS, "the source has none"),
        (HIDDEN, loaded(), "", Grade.NOT_POSSIBLE, "the source refuses MODULE LIST; no key and no command"),
        (HIDDEN, loaded(), "ReJSON-RL", Grade.FAIL, "lacks a module, in use on the source: ReJSON"),
        (HIDDEN, HIDDEN, "own-type-", Grade.NOT_POSSIBLE, "own-type-, .* the source refuses MODULE LIST"),
    ],
)
def test_modules_in_use_and_not(source: Facts, target: Facts, types: str, grade: Grade, said: str) -> None:
    answer = modules(case(source, target, Survey(dict.fromkeys(types.split(), 1))))
    assert answer.grade is grade
    assert re.search(said, answer.found)
    assert answer.todo or grade is Grade.PASS
    in_use = bool({*types.split()} - {"string"})
    assert answer.required == (grade is Grade.NOT_POSSIBLE and in_use)


def test_a_module_of_one_shard_only() -> None:
    """Of the source it counts; of the target it does not."""
    part = facts(*loaded().servers, *loaded(ReJSON=JSON).servers)
    whole, survey = loaded(ReJSON=JSON), Survey({"ReJSON-RL": 1})
    assert [modules(case(*sides, survey)).grade for sides in ((part, whole), (whole, part))] == [Grade.WARN, Grade.FAIL]


@pytest.mark.parametrize(
    ("names", "skipped", "grade"),
    [(("ReJSON",), "ReJSON-RL", Grade.PASS), ((), "ReJSON-RL", Grade.FAIL)],
)
def test_types_that_are_not_compared(names: tuple[str, ...], skipped: str, grade: Grade) -> None:
    target = loaded(**dict.fromkeys(names, JSON))
    chosen = replace(case(loaded(ReJSON=JSON), target, Survey({"ReJSON-RL": 1})), skip_types=frozenset({skipped}))
    assert modules(chosen).grade is grade
