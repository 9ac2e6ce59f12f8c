"""Values that shift while they are read by index are moving or different, never equal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.compare.frame import first_bulks, joined, moved
from harness.endpoint.address import Endpoint
from harness.resp.replies import Reply
from tests.compare.made import client_of, look, on_both, seen
from tests.compare.pretend import pretending

Pair = tuple[Endpoint, Endpoint]


def test_a_piece_goes_on_where_the_one_before_ended() -> None:
    assert first_bulks(b"*2\r\n$1\r\na\r\n$2\r\nbc\r\n", 1) == b"$1\r\na\r\n"
    assert first_bulks(b"*2\r\n$1\r\na\r\n$2\r\nb", 2) is None
    assert joined(b"$1\r\nz\r\n$1\r\na\r\n", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", 1)
    assert not joined(b"$1\r\nz\r\n$1\r\na\r\n", b"*2\r\n$1\r\nb\r\n$1\r\nc\r\n", 1)
    assert not joined(b"$1\r\na\r\n", b"*0\r\n", 1)
    assert moved([(3, "x")], [(2, "x")])
    assert moved([(3, "x")], [(3, "y")])
    assert not moved([(3, "x")], [(4, "x")])


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
