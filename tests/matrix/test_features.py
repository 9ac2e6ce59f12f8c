"""The data sets by themselves: complete, and told apart from anything else."""

from __future__ import annotations

import pytest

from harness.matrix.comparison import kind_of
from harness.matrix.features import FEATURES, SMALL
from harness.matrix.features.base import FROM_A, Fact, differs, shown
from harness.matrix.features.string import LARGE, LARGE_BYTES
from harness.resp.replies import ErrorReply, Reply

NAMES = (
    "list, large_list, string, hash, hash_field_ttl, set, sorted_set, stream, bitmap, hyperloglog, geo, ttl, "
    "databases, functions, scripts, transactions, large_values, binary_keys, vector_set, json"
)
NOW_MS = 1_800_000_000_000


def test_the_names() -> None:
    assert ", ".join(FEATURES) == NAMES
    assert set(SMALL) < set(FEATURES)


@pytest.mark.parametrize("name", FEATURES)
def test_a_data_set_is_complete(name: str) -> None:
    data = FEATURES[name].build(b"m1:", NOW_MS)
    assert data.writes
    assert any(data.keys.values())
    read = {(fact.db, fact.key) for fact in data.facts if not isinstance(fact.reply, int) or fact.reply}
    words = {(fact.db, word) for fact in data.facts for word in fact.words if isinstance(word, bytes)}
    for db, keys in data.keys.items():
        for key in keys:
            assert key.startswith(b"m1:")
            assert (db, key) in read | words, "a key that no fact reads"
    for fact in data.facts:
        if fact.reply is not FROM_A:
            assert not differs(fact, fact.reply, fact.reply)
        assert differs(fact, fact.reply, ErrorReply("ERR unknown command"))
        assert differs(fact, fact.reply, b"something else entirely")


@pytest.mark.parametrize(
    ("form", "expected", "found"),
    [
        ("exact", [b"1", b"2"], [b"2", b"1"]),
        ("exact", [b"1", b"2"], [b"1"]),
        ("exact", b"1", 1),
        ("unordered", [b"1", b"2"], [b"1", b"1"]),
        ("unordered", [b"1", b"2"], [b"1", b"2", b"3"]),
        ("pairs", [b"f", b"v"], [b"v", b"f"]),
        ("pairs", [b"f", b"v"], [b"f"]),
        ("scores", [b"a", b"1"], [b"a", b"1.0000000000000002"]),
        ("scores", [b"a", b"0"], [b"a", b"-0"]),
        ("pending", [[b"1-1", b"ada", 5, 1]], [[b"1-1", b"ada", 5, 2]]),
        ("library", [[b"library_name", b"l", b"library_code", b"x"]], []),
        ("stream", [b"length", 1, b"last-generated-id", b"1-1", b"groups", 0], None),
    ],
)
def test_what_differs(form: str, expected: Reply, found: Reply) -> None:
    fact = Fact(("GET", b"k"), expected, form)
    assert differs(fact, expected, found)


@pytest.mark.parametrize(
    ("form", "expected", "found"),
    [
        ("unordered", [b"1", b"2"], [b"2", b"1"]),
        ("pairs", [b"f", b"v", b"g", b"w"], [b"g", b"w", b"f", b"v"]),
        ("scores", [b"a", b"5e-324", b"b", b"inf"], [b"a", b"4.9406564584124654e-324", b"b", b"inf"]),
        ("pending", [[b"1-1", b"ada", 5, 1]], [[b"1-1", b"ada", 99, 1]]),
    ],
)
def test_what_does_not(form: str, expected: Reply, found: Reply) -> None:
    assert not differs(Fact(("GET", b"k"), expected, form), expected, found)


@pytest.mark.parametrize(
    ("expected", "found", "kind"),
    [
        ([b"1", b"2", b"3"], [b"1", b"3"], "lost"),
        ([b"1", b"2"], [b"2", b"1"], "reordered"),
        ([b"1", b"2"], [b"1", b"2", b"2"], "duplicated"),
        ([b"1", b"2"], [b"1", b"2", b"x"], "phantom"),
        ([b"1", b"2"], [b"1", b"x"], "wrong_value"),
        (b"1", None, "lost"),
        (5, 0, "lost"),
        ([7], [-1], "wrong_value"),
        (b"1", ErrorReply("WRONGTYPE Operation"), "wrong_type"),
        (3, ErrorReply("ERR unknown command 'VCARD'"), "wrong_value"),
    ],
)
def test_the_name_of_a_difference(expected: Reply, found: Reply, kind: str) -> None:
    assert kind_of(expected, found) == kind


@pytest.mark.parametrize(
    ("form", "expected", "found", "kind"),
    [
        ("exact", [b"1", b"2", b"3"], [b"1", b"3", b"x"], "lost"),  # a mix: what is missing counts
        ("exact", [b"1", b"2", b"3"], [b"2", b"3", b"x"], "lost"),
        ("exact", [b"1", b"2", b"3"], [b"1", b"3", b"3"], "lost"),
        ("exact", [b"1", b"2", b"3"], [b"1", b"x"], "lost"),
        ("exact", [b"1", b"2"], [b"1", None], "lost"),
        ("exact", [b"1", b"2", b"3"], [b"1", b"x", b"3"], "wrong_value"),
        ("pairs", [b"f", b"v", b"g", b"w"], [b"g", b"x"], "lost"),
        ("pairs", [b"f", b"v", b"g", b"w"], [b"g", b"x", b"f", b"v"], "wrong_value"),
        ("pairs", [b"f", b"v"], [b"f", b"v", b"g", b"w"], "phantom"),
        ("scores", [b"a", b"1", b"b", b"2", b"c", b"3"], [b"b", b"2", b"a", b"9"], "lost"),
        ("scores", [b"a", b"1", b"b", b"2", b"c", b"3"], [b"b", b"2", b"c", b"3", b"a", b"9"], "wrong_value"),
        ("unordered", [b"1", b"2"], [b"x"], "lost"),
        ("pairs", [b"f", b"v"], [b"f"], "wrong_value"),
    ],
)
def test_lost_data_is_not_called_changed(form: str, expected: Reply, found: Reply, kind: str) -> None:
    assert kind_of(expected, found, form) == kind


def test_the_large_string_is_large() -> None:
    data = LARGE.build(b"m1:", NOW_MS)
    largest = max(len(word) for write in data.writes for word in write.words if isinstance(word, bytes))
    assert largest > LARGE_BYTES * 0.99


def test_what_servers_say_is_shown_short_and_printable() -> None:
    assert shown(b"\x00\xff" * 500).endswith("… (1000 bytes)")
    assert shown([b"1"] * 100).endswith("100 in all]")
