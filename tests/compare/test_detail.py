"""What kind of difference it is: literal values, exact findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.compare.detail import (
    hash_difference,
    list_difference,
    score_bits,
    set_difference,
    sorted_set_difference,
    string_difference,
)
from harness.compare.exchange import RARE, same_until
from harness.compare.lanes import scanned
from harness.compare.model import Finding, Subject, shown
from harness.compare.settle import replies_of
from harness.compare.state import Progress, resume, save
from harness.compare.streams import next_id
from harness.compare.work import Found, Large
from harness.resp.replies import ErrorReply
from harness.slots import slot_of as slot


def words(text: str) -> list[bytes]:
    return [word.encode() for word in text.split()]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("a b c", "a b c", []),
        ("a b c", "a b", [Finding("tail_missing", 2, b"c", None)]),
        ("a b c", "", [Finding("tail_missing", 0, b"a", None, 3)]),
        ("a", "a x y", [Finding("tail_extra", 1, None, b"x", 2)]),
        ("a b c d", "a c b d", [Finding("order", 1, b"b", b"c")]),
        ("a b c d", "d c b a", [Finding("order", 0, b"a", b"d")]),
        ("a b c d", "a c d", [Finding("element_missing", 1, b"b", b"c")]),
        ("a b c d e", "a d e", [Finding("element_missing", 1, b"b", b"d", 2)]),
        ("a b c", "a x b c", [Finding("element_extra", 1, b"b", b"x")]),
        ("a b c", "a x c", [Finding("element", 1, b"b", b"x")]),
    ],
)
def test_lists(a: str, b: str, expected: list[Finding]) -> None:
    assert list_difference(words(a), words(b), 0, ends=True) == expected


def test_where_the_pieces_do_not_end_the_lists_a_short_agreement_proves_nothing() -> None:
    a, b = words("a b c d"), words("a c d x")
    assert list_difference(a, b, 100, ends=False) == [Finding("element", 101, b"b", b"c")]


def test_strings_show_what_stands_at_the_first_difference() -> None:
    assert string_difference(b"same", b"same") == []
    assert string_difference(b"abcdef", b"abXdef", 10) == [Finding("value", 12, b"cdef", b"Xdef")]
    assert string_difference(b"abc", b"ab") == [Finding("value", 2, b"c", b"")]


def test_scores_are_compared_bit_by_bit_whatever_their_notation() -> None:
    assert score_bits(b"0.1") == score_bits(b"0.10000000000000001")
    assert score_bits(b"1e3") == score_bits(b"1000")
    assert score_bits(b"-0") != score_bits(b"0")
    assert sorted_set_difference([(b"m", b"inf")], [(b"m", b"inf")]) == []
    assert sorted_set_difference([(b"m", b"0.1")], [(b"m", b"0.10000000000000002")]) == [
        Finding("score", b"m", b"0.1", b"0.10000000000000002")
    ]


def test_members_and_fields() -> None:
    assert set_difference(words("a b c"), words("c d")) == [
        Finding("member_missing", b"a", b"a", None, 2),
        Finding("member_extra", b"d", None, b"d"),
    ]
    assert hash_difference([(b"f", b"1"), (b"g", b"2")], [(b"g", b"3"), (b"f", b"1")]) == [
        Finding("value", b"g", b"2", b"3")
    ]


def test_bytes_in_reports() -> None:
    assert shown(b"caf\xc3\xa9 \xff") == "café \\xff"
    long = shown(b"x" * 5_000)
    assert long.startswith("x" * 4_096 + "... (5000 bytes, SHA-256 ")
    assert shown(long.encode()) == long
    assert long != shown(b"x" * 4_999 + b"y")
    assert shown(7) == 7


def test_slots() -> None:
    assert slot(b"123456789") == 12739
    assert slot(b"{user}.a") == slot(b"user")
    assert slot(b"{}.a") != slot(b"{}.b")


def test_replies_to_scan() -> None:
    assert scanned(b"*2\r\n$1\r\n0\r\n*0\r\n") == ("0", [])
    assert scanned(b"*2\r\n$2\r\n17\r\n*2\r\n$1\r\na\r\n$2\r\nbb\r\n") == ("17", [b"a", b"bb"])
    assert scanned(b"*2\r\n$2\r\n17\r\n*2\r\n$5\r\na\r\nbc\r\n$2\r\nbb\r\n") == ("17", [b"a\r\nbc", b"bb"])
    assert scanned(b"-NOPERM no\r\n") == "NOPERM no"


def test_ids_of_streams() -> None:
    assert next_id(b"5-9") == b"5-10"
    assert next_id(b"5-18446744073709551615") == b"6-0"


class Bytes:
    """Stands in for a connection: bytes that come in pieces of a few at a time."""

    def __init__(self, data: bytes, at_a_time: int) -> None:
        self._data, self._step, self._seen = data, at_a_time, 0

    def peek(self, at_least: int) -> bytearray:
        assert at_least <= len(self._data), "waits for bytes that will never come"
        self._seen = min(len(self._data), max(self._seen + self._step, at_least))
        return bytearray(self._data[: self._seen])

    def skip(self, count: int) -> None:
        assert count <= self._seen
        self._data, self._seen = self._data[count:], self._seen - count

    @property
    def left(self) -> bytes:
        return self._data


MARK = b"$5\r\n" + RARE + b"mark\r\n"


@pytest.mark.parametrize("step_a", [1, 3, 7, 1_000])
@pytest.mark.parametrize("step_b", [1, 5, 1_000])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        (b"same bytes", b"same bytes"),
        (b"", b""),
        (b"short", b"short and long"),
        (b"long and", b"long"),
        (b"ab", b"xb"),
        (RARE, RARE),
    ],
)
def test_bytes_compared_as_they_come(a: bytes, b: bytes, step_a: int, step_b: int) -> None:
    one, other = Bytes(a + MARK + b"next", step_a), Bytes(b + MARK + b"next", step_b)
    assert same_until(one, other, MARK).same is (a == b)  # type: ignore[arg-type]
    assert (one.left, other.left) == (b"next", b"next")


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    subject = Subject(3, b"\xffkey", "list")
    progress = Progress({"keys": None}, "b", 3, 1, "17", True, False)
    progress.large.append(Large(subject, 10, 20, position=5, frames=[(3, "a")], findings=[Finding("value", b"f")]))
    progress.found.append(Found(subject, [Finding("order", 3, b"a\xfe", None, 2)], 77, True))
    progress.totals.unchecked["db 0, json"] = (1, "k", "why")
    save(file, progress)
    assert resume(file, {"keys": None}) == progress
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_follows_is_no_part_of_an_answer() -> None:
    one, other = (Bytes(b"*1\r\n$1\r\na\r\n" + MARK + b"-ERR of another\r\n-ERR\r\n", 1_000) for _ in "ab")
    assert same_until(one, other, MARK).same  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sent", "same"),
    [
        (b"-LOADING wait\r\n", False),
        (b"*1\r\n$1\r\na\r\n-WRONGTYPE no\r\n*1\r\n$1\r\na\r\n", False),
        (b"*1\r\n$2\r\n-5\r\n", True),
        (b"*1\r\n$5\r\nmore-\r\n", True),
    ],
)
@pytest.mark.parametrize("step", [1, 4, 100])
def test_two_sides_that_refuse_the_same_agree_on_nothing(sent: bytes, same: bool, step: int) -> None:
    one, other = Bytes(sent + MARK, step), Bytes(sent + MARK, step)
    assert same_until(one, other, MARK).same is same  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "replies"),
    [
        (b"*2\r\n$1\r\na\r\n$0\r\n\r\n", [[b"a", b""]]),
        (b"*2\r\n$3\r\n\r\nx\r\n$1\r\nb\r\n", [[b"\r\nx", b"b"]]),
        (b"*2\r\n$-1\r\n$5\r\n$1\r\na\r\n", [[None, b"$1\r\na"]]),  # as many line ends as two strings have
        (b"*0\r\n", [[]]),
        (b"*-1\r\n", [None]),
        (b"*2\r\n:1\r\n$1\r\na\r\n", [[1, b"a"]]),
        (b"*1\r\n*1\r\n$1\r\na\r\n", [[[b"a"]]]),
        (b"$1\r\na\r\n", [b"a"]),
        (b":7\r\n:8\r\n", [7, 8]),
    ],
)
def test_replies_of_whole_answers(raw: bytes, replies: list[object]) -> None:
    assert replies_of(raw, len(replies)) == replies
    assert str(replies_of(b"-WRONGTYPE no\r\n", 1)) == str([ErrorReply("WRONGTYPE no")])
