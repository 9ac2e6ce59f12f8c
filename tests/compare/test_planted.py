"""Differences that were planted: each is found, by its kind and place, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.compare.report import verdict_line
from harness.endpoint import digest_script
from harness.endpoint.address import Endpoint
from harness.errors import ExitCode
from harness.resp.replies import ErrorReply, Reply
from tests.compare.made import client_of, every_type, look, on_both, seen
from tests.compare.pretend import pretending

Pair = tuple[Endpoint, Endpoint]


def test_fourteen_planted_differences_and_nothing_else(pair: Pair) -> None:
    numbers, many = list(range(1, 1001)), list(range(1, 50_001))
    on_both(pair, every_type)
    lists = {
        "p01": (numbers, numbers[:-10]),
        "p02": (numbers, [*numbers, 1001, 1002]),
        "p03": (numbers, [*numbers[:500], 502, 501, *numbers[502:]]),
        "p04": (numbers, [*numbers[:300], *numbers[301:]]),
        "p05": (numbers, [*numbers[:200], *numbers[100:200], *numbers[200:900]]),
        "p06": (many, many[:-10]),
        "p07": (many, many[:49_000]),
        "p08": (many, [*many, 50_001]),
        "p09": (many, [*many[:25_000], 25_002, 25_001, *many[25_002:]]),
    }
    for side, endpoint in enumerate(pair):
        with client_of(endpoint) as client:
            for key, values in lists.items():
                client.rpush(key, *values[side])
            client.zadd("p10", {"m": (1.5, 1.5000001)[side], "n": 2})
            client.sadd("p11", *(("x", "y", "z"), ("x", "z"))[side])
            client.set(("p12", "p13")[side], "v")
            client.set("p14", "v", ex=(5000, None)[side])
    outcome = look(pair)
    assert seen(outcome) == [
        ("p01", "tail_missing", 990, b"991", None),
        ("p02", "tail_extra", 1000, None, b"1001"),
        ("p03", "order", 500, b"501", b"502"),
        ("p04", "element_missing", 300, b"301", b"302"),
        ("p05", "element_extra", 200, b"201", b"101"),
        ("p06", "tail_missing", 49_990, b"49991", None),
        ("p07", "tail_missing", 49_000, b"49001", None),
        ("p08", "tail_extra", 50_000, None, b"50001"),
        ("p09", "order", 25_000, b"25001", b"25002"),
        ("p10", "score", b"m", b"1.5", b"1.5000001000000001"),
        ("p11", "member_missing", b"y", b"y", None),
        ("p12", "missing_key", None, b"string", None),
        ("p13", "extra_key", None, None, b"string"),
        ("p14", "ttl", None, outcome.differences[13].finding.expected, None),
    ]
    assert [each.finding.count for each in outcome.differences[:9]] == [10, 2, 1, 1, 100, 10, 1000, 1, 1]
    assert outcome.verdict == "different"
    assert outcome.exit_code == ExitCode.NOT_AS_EXPECTED


def test_equal_data_of_every_type_in_several_databases(pair: Pair) -> None:
    on_both(pair, every_type)
    for endpoint in pair:
        with client_of(endpoint, 3) as client:
            every_type(client)
    outcome = look(pair)
    assert (outcome.verdict, outcome.differences, outcome.not_checked, outcome.moving) == ("equal", (), (), ())
    assert outcome.exit_code == ExitCode.AS_EXPECTED
    assert outcome.totals.keys == outcome.totals.keys_b == 2 * (6 * 59 + 7)


def test_every_type_differs_by_its_own_kinds_when_large(pair: Pair) -> None:
    on_both(pair, every_type)
    with client_of(pair[1]) as client:
        client.setrange("large:string", 543_210, "X")
        client.lset("large:list", 12_345, "X")
        client.hset("large:hash", "f77", "X")
        client.hset("large:hash", "more", "X")
        client.hdel("large:hash", "f5")
        client.srem("large:set", "m9")
        client.sadd("large:set", "more")
        client.zadd("large:zset", {"m7": 1.0000000000000002})
        client.zadd("large:zset", {"more": 1})
        client.xdel("large:stream", "5-700")
    assert seen(look(pair)) == [
        ("large:hash", "value", b"f77", b"77", b"X"),
        ("large:hash", "field_missing", b"f5", b"5", None),
        ("large:hash", "field_extra", b"more", None, b"X"),
        ("large:list", "element", 12_345, b"12345", b"X"),
        ("large:set", "member_missing", b"m9", b"m9", None),
        ("large:set", "member_extra", b"more", None, b"more"),
        ("large:stream", "entry_missing", b"5-700", b"'a' '700'", None),
        ("large:string", "value", 543_210, b"0123456789" * 6 + b"0123", b"X123456789" + b"0123456789" * 5 + b"0123"),
        ("large:zset", "member_extra", b"more", None, b"1"),
        ("large:zset", "score", b"m7", b"1", b"1.0000000000000002"),
    ]


def test_groups_and_pending_entries_of_streams(pair: Pair) -> None:
    def fill(client: object) -> None:
        for number in range(1, 6):
            client.xadd("s", {"a": number}, id=f"1-{number}")  # type: ignore[attr-defined]
        client.xgroup_create("s", "g", "0")  # type: ignore[attr-defined]
        client.xreadgroup("g", "one", {"s": ">"}, count=3)  # type: ignore[attr-defined]

    on_both(pair, fill)
    assert look(pair).verdict == "equal"
    with client_of(pair[1]) as client:
        client.xack("s", "g", "1-2")
        client.xgroup_create("s", "other", "1-1")
    assert seen(look(pair)) == [
        ("s", "group", b"other", None, b"1-1"),
        ("s", "pending", b"1-2", b"one, 1 deliveries", None),
    ]


def test_consumers_deliveries_and_what_a_group_has_read(pair: Pair) -> None:
    """How long ago an entry was delivered is no difference; who has it, how often, and what was read are."""

    def fill(client: object) -> None:
        for number in range(1, 6):
            client.xadd("s", {"a": number}, id=f"1-{number}")  # type: ignore[attr-defined]
        client.xgroup_create("s", "g", "0")  # type: ignore[attr-defined]
        client.xreadgroup("g", "one", {"s": ">"}, count=3)  # type: ignore[attr-defined]

    on_both(pair, fill)
    with client_of(pair[1]) as client:
        client.xclaim("s", "g", "one", 0, ["1-1"], retrycount=4)
        client.xclaim("s", "g", "two", 0, ["1-2"], retrycount=1, force=True)
        client.execute_command("XGROUP", "SETID", "s", "g", "1-3", "ENTRIESREAD", 2)
    assert seen(look(pair)) == [
        ("s", "group", b"g", b"1-3, 3 read", b"1-3, 2 read"),
        ("s", "consumer", b"two", None, b"two"),
        ("s", "pending", b"1-1", b"one, 1 deliveries", b"one, 4 deliveries"),
    ]


def test_a_value_may_be_larger_than_its_report(pair: Pair) -> None:
    on_both(pair, lambda client: client.rpush("k", b"x" * 3_000_000))
    with client_of(pair[1]) as client:
        client.lset("k", 0, b"x" * 2_999_999 + b"y")
    ((_, kind, at, expected, found),) = seen(look(pair))
    assert (kind, at) == ("element", 0)
    assert isinstance(expected, bytes)
    assert expected.startswith(b"x" * 4_096 + b"... (3000000 bytes, SHA-256 ")
    assert expected != found


def test_a_type_that_is_left_out_is_said(pair: Pair) -> None:
    on_both(pair, lambda client: client.set("k", "v"))
    for side, endpoint in enumerate(pair):
        with client_of(endpoint) as client:
            client.rpush("other", side)
    outcome = look(pair, skip_types=("list",))
    assert verdict_line(outcome).startswith("EQUAL IN PART: of what was looked at (no values of type list), B holds")


def test_times_to_live_of_hash_fields(valkeys: Pair) -> None:
    for side, endpoint in enumerate(valkeys):
        with client_of(endpoint) as client:
            client.flushall()
            client.hset("h", mapping={"a": 1, "b": 2, "c": 3})
            client.execute_command("HPEXPIREAT", "h", 4_000_000_000_000, "FIELDS", 1, "a")
            if side == 0:
                client.execute_command("HEXPIRE", "h", 5000, "FIELDS", 1, "c")
    outcome = look(valkeys)
    assert [row[:3] for row in seen(outcome)] == [("h", "field_ttl", b"c")]
    assert outcome.differences[0].finding.found is None


def test_a_type_a_database_and_a_pattern(pair: Pair) -> None:
    on_both(pair, lambda client: client.set("same", "v"))
    with client_of(pair[0]) as client:
        client.set("k", "v")
        client.set("other", "v")
    with client_of(pair[1]) as client:
        client.rpush("k", "v")
    with client_of(pair[1], 5) as client:
        client.set("only here", "v")
    assert seen(look(pair)) == [
        ("k", "type", None, b"string", b"list"),
        ("other", "missing_key", None, b"string", None),
        ("only here", "extra_key", None, None, b"string"),
    ]
    assert [row[0] for row in seen(look(pair, databases=(5,)))] == ["only here"]
    assert [row[0] for row in seen(look(pair, keys="o*"))] == ["other", "only here"]
    assert look(pair, keys="sa*").verdict == "equal"


def test_a_choice_that_nothing_meets_proves_nothing(pair: Pair) -> None:
    assert look(pair).not_checked == ("neither side has a key",)
    assert look(pair).exit_code == ExitCode.UNKNOWN
    on_both(pair, lambda client: client.set("k", "v"))
    for choice in ({"keys": "K*"}, {"databases": (99,)}):
        outcome = look(pair, **choice)
        assert outcome.not_checked == ("neither side has a key of those that were asked for",)
        assert outcome.exit_code == ExitCode.UNKNOWN


def test_a_sample_takes_the_same_keys_of_both_sides(pair: Pair) -> None:
    on_both(pair, lambda client: client.mset({f"k{number}": "v" for number in range(2_000)}))
    outcome = look(pair, sample=0.1)
    assert outcome.verdict == "equal"
    assert 100 < outcome.totals.keys == outcome.totals.keys_b < 300
    assert verdict_line(outcome).startswith("EQUAL IN PART: of what was looked at (a sample of 10%), B holds")
    assert outcome.as_json()["part"] == "a sample of 10%"


def test_digests_find_the_same_first_index(pair: Pair) -> None:
    on_both(pair, every_type)
    with client_of(pair[1]) as client:
        client.lset("large:list", 23_456, "X")
        client.setrange("large:string", 543_210, "X")
    rows = [row[:3] for row in seen(look(pair, digest=True))]
    assert rows == [("large:list", "element", 23_456), ("large:string", "value", 543_210)]


@pytest.mark.parametrize("from_the_start", [True, False])
def test_where_scripts_are_refused_values_are_read_and_it_is_said(pair: Pair, from_the_start: bool) -> None:
    on_both(pair, lambda client: client.rpush("large", *range(5_000)))
    with client_of(pair[1]) as client:
        client.lset("large", 4_321, "X")

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        probing = words[1:] and words[1] == digest_script.STRING
        if words[0].startswith(b"EVAL") and (from_the_start or not probing):
            return ErrorReply("ERR command is not allowed")
        return ask()

    with pretending(pair[0], change) as front:
        outcome = look((front, pair[1]), digest=True)
    assert seen(outcome) == [("large", "element", 4_321, b"4321", b"X")]
    (note,) = [note for note in outcome.notes if "--digest" in note]
    assert "a side does not run scripts" in note
