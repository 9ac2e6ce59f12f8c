"""Replies on their way back: each of ours stands where its command stood, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.endpoint.simulated import frames
from harness.endpoint.simulated.frames import Error, NotAReplyError, Simple
from harness.endpoint.simulated.replies import Place, Replies

MARKS = [b"-ERR unknown command 'X%04d', with args beginning with: \r\n" % number for number in range(20)]

PLACEHOLDERS = [b"$27\r\nXsecretsecretsecr%010d\r\n" % number for number in range(20)]


def sift(places: list[Place], data: bytes, cuts: list[int]) -> bytes:
    out: list[bytes] = []
    replies = Replies(out.append)
    for place in places:
        replies.expect(place)
    for start, end in pairwise([0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]):
        replies.feed(data[start:end])
    replies.rest()
    return b"".join(out)


CUTS = st.lists(st.integers(0, 10**6), max_size=8)
PIECE = st.one_of(st.binary(max_size=20), st.sampled_from([b"-ERR unknown command 'X", b"-", MARKS[0][:-3]]))


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECE, min_size=1, max_size=20), CUTS)
def test_each_payload_takes_its_mark_s_place(pieces: list[bytes], cuts: list[int]) -> None:
    marks = MARKS[: len(pieces) - 1]
    places = [Place(mark, lambda protocol, number=number: b"<%d>" % number) for number, mark in enumerate(marks)]  # type: ignore[misc]
    data = b"".join(piece + mark for piece, mark in zip(pieces, [*marks, b""], strict=True))
    expected = b"".join(piece + (b"<%d>" % n if n < len(marks) else b"") for n, piece in enumerate(pieces))

    assert sift(places, data, cuts) == expected


@given(CUTS)
def test_what_stands_between_two_marks_is_changed(cuts: list[int]) -> None:
    places = [Place(MARKS[0], collect=True), Place(MARKS[1], change=lambda data, protocol: data.upper())]

    assert sift(places, b"before" + MARKS[0] + b"between" + MARKS[1] + b"after", cuts) == b"beforeBETWEENafter"


@given(CUTS, st.booleans())
def test_a_mark_that_may_not_come(cuts: list[int], comes: bool) -> None:
    places = [Place(PLACEHOLDERS[0], lambda protocol: b"maybe", maybe=True), Place(MARKS[1], lambda protocol: b"end")]
    data = b"a" + (PLACEHOLDERS[0] if comes else b"") + b"b" + MARKS[1] + b"c"

    assert sift(places, data, cuts) == (b"amaybebendc" if comes else b"abendc")


def test_nothing_is_kept_back_that_can_not_be_the_beginning_of_a_mark() -> None:
    out: list[bytes] = []
    replies = Replies(out.append)
    replies.expect(Place(MARKS[0], lambda protocol: b"here"))
    replies.feed(b"+OK\r\n$-1\r\n")
    assert out == [b"+OK\r\n$-1\r\n"]
    replies.feed(MARKS[0][:5])
    assert len(out) == 1
    replies.feed(MARKS[0][5:])
    assert out[1:] == [b"here"]


@pytest.mark.parametrize(
    ("frame", "value"),
    [
        (b"+OK\r\n", Simple(b"OK")),
        (b"-ERR no\r\n", Error(b"ERR no")),
        (b":-5\r\n", -5),
        (b"$2\r\n\r\n\r\n", b"\r\n"),
        (b"$-1\r\n", None),
        (b"_\r\n", None),
        (b"#t\r\n", True),
        (b"=6\r\ntxt:hi\r\n", b"hi"),
        (b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n", [1, [b"a"]]),
        (b"%1\r\n$1\r\na\r\n:1\r\n", [b"a", 1]),
        (b"*-1\r\n", None),
        (b"~1\r\n,1.5\r\n", [b"1.5"]),
    ],
)
def test_frames(frame: bytes, value: object) -> None:
    assert frames.frame_end(frame + b"rest") == len(frame)
    assert all(frames.frame_end(frame[:size]) == -1 for size in range(len(frame)))
    assert frames.parse(frame) == value


def test_attributes_belong_to_the_reply_that_they_precede() -> None:
    data = b"|1\r\n+a\r\n+b\r\n:1\r\n"

    assert frames.frame_end(data) == len(data)
    assert frames.frames(data + b":2\r\n") == [data, b":2\r\n"]


@pytest.mark.parametrize("data", [b"x\r\n", b"$x\r\n", b"*1\r\n?\r\n"])
def test_what_is_no_reply(data: bytes) -> None:
    with pytest.raises(NotAReplyError):
        frames.frame_end(data)


@given(st.lists(st.booleans(), min_size=3, max_size=20), CUTS)
def test_many_that_may_not_come(comes: list[bool], cuts: list[int]) -> None:
    """Those beyond the first mark that must come are not looked for before it came."""
    places = [Place(mark, b"<%d>" % number, maybe=True) for number, mark in enumerate(PLACEHOLDERS)]
    places.insert(len(comes), Place(MARKS[0], b"end"))
    came = [number for number, one in enumerate(comes) if one]
    data = b"".join(PLACEHOLDERS[number] for number in came) + PLACEHOLDERS[-1][:-4] + MARKS[0] + PLACEHOLDERS[19]

    last = b"<19>" if len(comes) < 20 else PLACEHOLDERS[19]
    assert (
        sift(places, data, cuts)
        == b"".join(b"<%d>" % number for number in came) + PLACEHOLDERS[-1][:-4] + b"end" + last
    )


def test_a_thousand_places_cost_no_more_than_their_bytes() -> None:
    """How often a byte is looked at does not grow with the number of places."""
    looked = 0

    class Counted(bytes):
        def find(self, what: bytes, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
            nonlocal looked
            found = super().find(what, start, len(self) if end is None else end)
            looked += (found if found >= 0 else len(self) if end is None else end) - start
            return found

    out: list[bytes] = []
    replies = Replies(out.append)
    marks = [b"$27\r\nXsecretsecretsecr%010d\r\n" % number for number in range(1000)]
    for mark in marks:
        replies.expect(Place(mark, b"+OK\r\n", maybe=True))
    replies.expect(Place(MARKS[0], b"end"))
    data = Counted(b"".join(marks) + MARKS[0])
    at = 0
    while at < len(data):
        at = replies._to_next_place(data, at)
    assert b"".join(out) == b"+OK\r\n" * 1000 + b"end"
    assert looked < 3 * len(data)


@pytest.mark.parametrize(
    "message", [b">3\r\n+message\r\n+c\r\n:1\r\n", b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"]
)
@given(cuts=CUTS)
def test_a_message_is_no_reply(message: bytes, cuts: list[int]) -> None:
    out: list[bytes] = []
    frames_seen: list[bytes] = []
    replies = Replies(out.append)
    replies.await_frame(frames_seen.append)
    data = message + b"+RESET\r\n"
    for start, end in pairwise([0, *sorted(cut % len(data) for cut in cuts), len(data)]):
        replies.feed(data[start:end])
    assert (frames_seen, b"".join(out)) == ([b"+RESET\r\n"], message)


def test_what_was_not_fetched_is_an_error() -> None:
    places = [Place(PLACEHOLDERS[0], maybe=True, change=lambda data, protocol: data)]
    assert sift(places, PLACEHOLDERS[0] + b"+OK\r\n", []).startswith(b"-ERR this can't be simulated")
