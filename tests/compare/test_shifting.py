"""Values that shift while they are read by index are moving or different, never equal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.compare.frame import Ends, first_bulks, last_bulks, mark_of, moved
from harness.endpoint.address import Endpoint
from harness.resp.replies import Reply
from tests.compare.made import client_of, look, on_both, seen
from tests.compare.pretend import pretending

Pair = tuple[Endpoint, Endpoint]


def test_a_piece_goes_on_where_the_one_before_ended() -> None:
    assert first_bulks(b"*2\r\n$1\r\na\r\n$2\r\nbc\r\n", 1) == b"$1\r\na\r\n"
    assert first_bulks(b"*2\r\n$1\r\na\r\n$2\r\nb", 2) is None
    assert last_bulks(b"$1\r\na\r\n$2\r\nbc\r\n", 1) == b"$2\r\nbc\r\n"
    assert last_bulks(b"$1\r\na\r\n$2\r\nbc\r\n", 2) == b"$1\r\na\r\n$2\r\nbc\r\n"
    assert last_bulks(b"xx\r\n$2\r\nbc\r\n", 2) is None
    assert last_bulks(b"*0\r\n", 1) is None
    assert mark_of(None) == ""
    assert moved([(3, "x")], [(2, "x")])
    assert moved([(3, "x")], [(3, "y")])
    assert not moved([(3, "x")], [(4, "x")])


@pytest.mark.parametrize("step", [1, 3, 100])
def test_the_ends_of_what_arrives_in_parts(step: int) -> None:
    sent = b"*4\r\n$1\r\na\r\n$2\r\n\r\n\r\n$0\r\n\r\n$13\r\nx$1\r\n12345678\r\n"
    for count in (1, 2):
        ends = Ends(count)
        for first in range(0, len(sent), step):
            ends.feed(sent[first : first + step])
        assert ends.first == mark_of(first_bulks(sent, count))
        assert ends.last == mark_of(b"$0\r\n\r\n$13\r\nx$1\r\n12345678\r\n"[6 * (2 - count) :])
    ends = Ends(1)
    ends.feed(b"-NOPERM no\r\n$1\r\na\r\n")
    assert (ends.first, ends.last) == ("", "")


@pytest.mark.parametrize(("size", "digest"), [(1, False), (600, False), (9_000, False), (1, True), (600, True)])
def test_a_list_whose_middle_is_taken_out_on_both_sides(pair: Pair, size: int, digest: bool) -> None:
    """It keeps its length and its beginning, and what slips past unread differs."""
    count, fill = 1_000, "x" * size
    on_both(pair, lambda client: client.rpush("large", *[f"{number}{fill}" for number in range(count)]))
    with client_of(pair[1]) as client:
        client.lset("large", 75, "tampered")
    done = False

    def shift(client: object) -> None:
        for number in range(20, 29):
            client.lrem("large", 1, f"{number}{fill}")  # type: ignore[attr-defined]
            client.rpush("large", f"{number + 100_000}{fill}")  # type: ignore[attr-defined]

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        nonlocal done
        reply = ask()
        at = {b"LRANGE": 2, b"EVAL_RO": 4, b"EVAL": 4}.get(words[0])
        if at and b"large" in words and not done and int(words[at]) <= 72 <= 75 <= int(words[at + 1]) + 8:
            done = int(words[at + 1]) < 75
            if done:
                on_both(pair, shift)
        return reply

    with pretending(pair[0], change) as front:
        outcome = look((front, pair[1]), deadline_s=5, rounds=2, digest=digest)
    assert outcome.verdict != "equal"


@pytest.mark.parametrize("size", [1, 600, 9_000])
@pytest.mark.parametrize("digest", [False, True])
def test_a_list_that_stays_is_equal_at_the_first_look(pair: Pair, size: int, digest: bool) -> None:
    """Some elements look like an error on their way."""
    fill = "x" * size
    values = [f"\n-ERR {number}{fill}" if number > 100 else f"{number}{fill}" for number in range(1_000)]
    on_both(pair, lambda client: client.rpush("large", *values))
    on_both(pair, lambda client: client.zadd("z", {f"{number}{fill}": number / 7 for number in range(500)}))
    outcome = look(pair, rounds=1, digest=digest)
    assert outcome.verdict == "equal", (outcome.moving, outcome.not_checked, outcome.notes)


def _pushed_left(client: object) -> None:
    client.lpush("large", *range(10))  # type: ignore[attr-defined]


def _popped_left(client: object) -> None:
    client.lpop("large", 9)  # type: ignore[attr-defined]


def _rotated(client: object) -> None:
    """The length stays; an element leaves the front and comes again at the end."""
    for _ in range(9):
        client.lmove("large", "large", "LEFT", "RIGHT")  # type: ignore[attr-defined]


@pytest.mark.parametrize("shift", [_pushed_left, _popped_left, _rotated])
def test_a_list_that_shifts_on_both_sides_between_two_pages(pair: Pair, shift: Callable[[object], None]) -> None:
    """B lacks what slips past: without a frame, every page is the same on both sides."""
    on_both(pair, lambda client: client.rpush("large", *range(1_000)))
    with client_of(pair[1]) as client:
        client.lset("large", 12, "tampered")
    count = 0

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        nonlocal count
        reply = ask()
        if words[0] == b"LRANGE" and words[2:] == [b"0", b"7"]:  # the first piece was read: shift both
            count += 1
            on_both(pair, shift)
        return reply

    with pretending(pair[0], change) as front:
        outcome = look((front, pair[1]), deadline_s=1, rounds=2)
    assert count
    assert outcome.verdict != "equal"


def test_a_queue_that_is_popped_is_never_equal_by_the_rule_for_lists_that_grow(pair: Pair) -> None:
    """B stands still, with a wrong element that leaves A's queue before it is compared."""
    on_both(pair, lambda client: client.rpush("queue", *range(40)))
    with client_of(pair[1]) as client:
        client.lset("queue", 3, "tampered")
    following = 40

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        nonlocal following
        reply = ask()
        if words[0] == b"LRANGE":
            with client_of(pair[0]) as client:
                client.lpop("queue", 2)
                client.rpush("queue", following, following + 1)
                following += 2
        return reply

    with pretending(pair[0], change) as front:
        outcome = look((front, pair[1]), deadline_s=1.5)
    assert outcome.verdict == "unknown"
    assert [subject.key for subject in outcome.moving] == [b"queue"]


def test_a_small_value_that_outgrows_its_window(pair: Pair) -> None:
    """It is pushed left after its length was asked for; what it then ends with was never read."""
    on_both(pair, lambda client: client.rpush("k", *range(100)))
    with client_of(pair[1]) as client:
        client.rpop("k", 50)
        client.rpush("k", *[0] * 50)
    grown = False

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        nonlocal grown
        if words[0] == b"LRANGE" and not grown:
            grown = True
            on_both(pair, lambda client: client.lpush("k", *range(206)))
        return ask()

    with pretending(pair[0], change) as front:
        outcome = look((front, pair[1]))
    assert outcome.verdict == "different"


def test_a_sorted_set_whose_ranks_move(pair: Pair) -> None:
    on_both(pair, lambda client: client.zadd("z", {f"m{number}": number for number in range(1_000)}))
    with client_of(pair[1]) as client:
        client.zadd("z", {"m12": 12.5})
    done = False

    def change(words: list[bytes], ask: Callable[[], Reply]) -> Reply:
        nonlocal done
        reply = ask()
        if words[0] == b"ZRANGE" and words[2:4] == [b"0", b"7"] and not done:
            done = True
            on_both(pair, lambda client: client.zremrangebyrank("z", 0, 8))
        return reply

    with pretending(pair[0], change) as front:
        outcome = look((front, pair[1]))
    assert seen(outcome) == [("z", "score", b"m12", b"12", b"12.5")]
