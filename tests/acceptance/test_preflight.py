"""Single checks on made-up facts: what they add up, and what they take for the same."""

from __future__ import annotations

from typing import cast

import pytest

from harness.acceptance.facts import Facts, Keyspace, Room, Survey
from harness.acceptance.model import Grade
from harness.acceptance.preflight import Case, functions, memory, notifications, types
from harness.compare.side import Side

MB = 1_000_000


def facts(*rooms: Room, settings: dict[str, str | None] | None = None, keys: int = 0) -> Facts:
    made = Facts(cast(Side, None), settings=settings or {}, shards=list(rooms))
    made.keyspace = {0: Keyspace(keys, 0, 0)} if keys else {}
    return made


def case(source: Facts, target: Facts) -> Case:
    return Case(source, target, Survey(), None, None)


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
    source = facts(Room(100 * MB, 0, 0), Room(100 * MB, 0, 0))
    target = facts(
        *[
            Room(MB, limit * MB if limit is not None else None, backlog * MB)
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
    source, target = (facts(settings={"notify-keyspace-events": flags}) for flags in (ours, theirs))
    assert notifications(case(source, target)).grade is grade


NAMED = Facts(cast(Side, None), functions={"lib": "code"}, info={"redis_version": "7.0.15"})


def named(functions: dict[str, str] | None, version: str, refusal: str = "") -> Facts:
    return Facts(cast(Side, None), functions=functions, info={"redis_version": version}, functions_refusal=refusal)


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


@pytest.mark.parametrize(
    ("modules", "skipped", "grade"),
    [
        ((), (), Grade.FAIL),
        (("ReJSON",), (), Grade.WARN),
        (("ReJSON",), ("ReJSON-RL",), Grade.PASS),
        ((), ("ReJSON-RL",), Grade.FAIL),
    ],
)
def test_a_type_of_a_module(modules: tuple[str, ...], skipped: tuple[str, ...], grade: Grade) -> None:
    source, target = (Facts(cast(Side, None), modules=frozenset(names)) for names in (("ReJSON",), modules))
    chosen = Case(source, target, Survey({"ReJSON-RL": 1}), None, None, skip_types=frozenset(skipped))
    assert types(chosen).grade is grade
