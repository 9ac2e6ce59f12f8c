"""Every kind of workload against real servers: written by the writer, read back by the reader, and judged."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.checker.evidence import KeyState, Reading, Run, Stream
from harness.checker.key import check_key
from harness.history import Ledger
from harness.kinds import KINDS, KeyRef
from harness.resp.connection import Connection
from harness.resp.key_reader import KeyRead
from harness.resp.read import read_any
from harness.values import Values
from harness.workload.base import Patience, Route
from harness.workload.dialect import DIALECTS, Style
from harness.workload.numbered import SHAPES, NumberedWriter, WritePlan
from tests.checker.lists import told

STYLES = [
    ("list_append", Style()),
    ("list_append", Style(push="left")),
    ("sorted_set", Style()),
    ("sorted_set", Style(scores="extreme")),
    ("string", Style()),
    ("hash", Style()),
    ("set", Style()),
    ("stream", Style()),
]
every_style = pytest.mark.parametrize(("kind", "style"), STYLES, ids=lambda each: getattr(each, "push", each))


def prepare(server):
    with Connection(server) as connection:
        connection.command("DEL", "k")
        connection.command("CONFIG", "SET", "zset-max-ziplist-entries", "0")


def write(server, kind, style, values, shape="pipeline", sizes=(7,)):
    ledger = Ledger(None)
    plan = WritePlan(b"k", values, shape, sizes, kind, style)
    writer = NumberedWriter(plan, Route("a", server, server), ledger, patience=Patience(10, 10))
    writer.run()
    ledger.close()
    assert (ledger.refused, ledger.unanswered, writer.breaks) == (0, 0, 0)
    return writer


def read(server, kind, style):
    runs: list[Run] = []
    with Connection(server) as connection:
        found = read_any(connection, KeyRef(0, b"k", KINDS[kind]), runs.append, push=style.push, scores=style.scores)
    return found, runs


def judged(server, kind, style, values, ledger):
    found, runs = read(server, kind, style)
    stream = Stream("workload", "k", 0, values, lambda: ledger.entries, kind=kind, push=style.push, scores=style.scores)
    reading = Reading(
        "b", "workload", found.state, lambda: runs, found.length, found.found_type, found.error, found.told, found.size
    )
    assert reading.beyond == 0
    return told(check_key(stream, reading, target_length=None, caught_up=True))


def shapes_of(kind):
    return [shape for shape in SHAPES if KINDS[kind].variadic or shape != "variadic"]


def test_every_kind_has_a_dialect():
    assert DIALECTS.keys() == KINDS.keys()


@every_style
@pytest.mark.parametrize("values", [0, 1, 9, 10, 99, 1234])
def test_what_is_written_is_read_in_every_shape(server, kind, style, values):
    for shape in shapes_of(kind):
        prepare(server)
        writer = write(server, kind, style, values, shape, (100, 33))
        assert writer.ledger.acknowledged == values
        found, _ = read(server, kind, style)
        state = KeyState.LIST if values else KeyState.ABSENT
        size = values * KINDS[kind].unit
        assert found == KeyRead(state, values, size, size=size if kind == "string" else None)
        assert judged(server, kind, style, values, writer.ledger) == []


@pytest.mark.parametrize("kind", ["set", "hash", "sorted_set"])
@pytest.mark.parametrize("shape", ["single", "variadic", "multi"])
def test_an_element_that_is_there_before_its_command_is_told(server, kind, shape):
    """What else would show that a command which counts as refused did happen?"""
    prepare(server)
    first = {"set": ("SADD", "k", "5"), "hash": ("HSET", "k", "5", "5"), "sorted_set": ("ZADD", "k", "5", "5")}[kind]
    with Connection(server) as connection:
        assert connection.command(*first) == 1
    writer = write(server, kind, Style(), 20, shape, (10,))
    [doubt] = judged(server, kind, Style(), 20, writer.ledger)
    size = 10 if shape == "variadic" else 1
    assert f"command told a number of new elements of {size - 1}, not {size}: somebody else had written" in doubt


@every_style
def test_many_elements_are_one_run(server, kind, style):
    prepare(server)
    write(server, kind, style, 70_000 if style.scores == "ids" else 3000, sizes=(5000,))
    found, runs = read(server, kind, style)
    if style.scores == "ids":
        assert runs == [Run(1, 70_000)]
    assert found.state is KeyState.LIST


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    which=st.sampled_from(STYLES),
    numbers=st.builds(
        lambda count, first, block, more: Values(count, first, block, block + more if block else 0),
        st.integers(0, 40),
        st.sampled_from([1, 8, 95, 998]),
        st.integers(0, 5),
        st.integers(0, 5),
    ),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    choice=st.integers(0, 3),
)
def test_any_numbers_in_any_batches(server, which, numbers, sizes, choice):
    kind, style = which
    prepare(server)
    shapes = shapes_of(kind)
    writer = write(server, kind, style, numbers, shapes[choice % len(shapes)], tuple(sizes))
    found, runs = read(server, kind, style)
    assert found.length == numbers.count
    stream = Stream(
        "workload", "k", 0, numbers.count, lambda: writer.ledger.entries, kind=kind, push=style.push,
        scores=style.scores, first=numbers.first, block=numbers.block, stride=numbers.stride,
    )  # fmt: skip
    reading = Reading("b", "workload", found.state, lambda: runs, found.length)
    assert told(check_key(stream, reading, target_length=numbers.count, caught_up=True)) == []


@pytest.mark.parametrize(
    ("kind", "style", "damage", "expected"),
    [
        ("sorted_set", Style(), ["ZREM k 7"], ["lost 1 @6: 7 not None"]),
        ("sorted_set", Style(), ["ZADD k 7.5 7"], ["wrong_value 1 @6: 7 not 7 7.5"]),
        ("sorted_set", Style(), ["ZADD k 50 7"], ["wrong_value 1 @19: 7 not 7 50"]),
        ("sorted_set", Style(), ["ZADD k 3 x"], ["phantom 1 @3: None not x 3"]),
        ("sorted_set", Style(scores="extreme"), ["ZREM k 1", "ZADD k 0 1"], ["wrong_value 1 @6: 1 not 1 0"]),
        ("sorted_set", Style(scores="extreme"), ["ZADD k -1.7976931348623155e+308 9"],
         ["wrong_value 1 @3: 9 not 9 -1.7976931348623155e+308"]),
        ("hash", Style(), ["HDEL k 7"], ["lost 1 @None: 7 not None"]),
        ("hash", Style(), ["HSET k 7 8"], ["wrong_value 1 @None: 7 not 7 8"]),
        ("hash", Style(), ["HSET k x y"], ["phantom 1 @None: None not x y"]),
        ("set", Style(), ["SREM k 20 19"], ["truncated 2 @None: 19 not None"]),
        ("set", Style(), ["SADD k 21"], ["phantom 1 @None: None not 21"]),
        ("string", Style(), ["SETRANGE k 70 8"], ["wrong_value 1 @6: 7 not 800007"]),
        ("string", Style(), ["APPEND k x"], ["phantom 1 @20: None not x"]),
        ("stream", Style(), ["XDEL k 7-1"], ["lost 1 @6: 7 not 8"]),
        ("stream", Style(), ["XADD k * n 5"], ["phantom"]),
        ("stream", Style(), ["XDEL k 20-1"], ["truncated 1 @19: 20 not None"]),
        ("list_append", Style(push="left"), ["LREM k 1 7"], ["lost 1 @12: 7 not 8"]),
        ("list_append", Style(push="left"), ["LPOP k"], ["truncated 1 @0: 20 not None"]),
        ("list_append", Style(push="left"), ["LSET k 0 x"], ["wrong_value 1 @0: 20 not x"]),
        ("list_append", Style(push="left"), ["RPUSH k x"], ["phantom 1 @20: 1 not x"]),
        ("set", Style(), ["DEL k", "SET k v"], ["wrong_type 20 @None: set not string"]),
        ("string", Style(), ["DEL k", "SADD k v"], ["wrong_type 20 @None: string not set"]),
        ("stream", Style(), ["DEL k", "SADD k v"], ["wrong_type 20 @None: stream not set"]),
        ("hash", Style(), ["DEL k"], ["missing_key 20 @0: 1 not None"]),
    ],
)  # fmt: skip
def test_damage_is_found_and_named(server, kind, style, damage, expected):
    prepare(server)
    writer = write(server, kind, style, 20)
    with Connection(server) as connection:
        for command in damage:
            connection.command(*command.split())
    found = judged(server, kind, style, 20, writer.ledger)
    assert [line[: len(wanted)] for line, wanted in zip(found, expected, strict=True)] == expected
