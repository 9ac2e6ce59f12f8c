"""The reader of requests: whatever comes, however it is cut, what is handed on is what was looked at."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.endpoint.simulated.inline import QuotesError, split_inline
from harness.endpoint.simulated.requests import ALL, MAX_CAPTURE, PASS, ROOM, SWALLOW, Requests, as_array

WANTED = {b"INFO": ALL, b"ROLE": SWALLOW, b"EVAL": 2, b"CONFIG": ALL, b"EVALKEYS": 3}


class Seen:
    """A sink that keeps what it is told, in order; pieces that are handed on are joined."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def wanted(self, name: bytes) -> int:
        return WANTED.get(name, PASS)

    def further(self, words: list[bytes], count: int) -> int:
        return 3 + int(words[2]) if words[0] == b"EVALKEYS" and len(words) > 2 and words[2].isdigit() else 0

    def passed(self, data: bytes | memoryview) -> None:
        if self.events and self.events[-1][0] == "passed":
            data = self.events.pop()[1] + bytes(data)  # type: ignore[operator]
        self.events.append(("passed", bytes(data)))

    def command(self, words: list[bytes], count: int) -> bool:
        self.events.append(("command", words, count))
        return words[1:2] != [b"refused"]

    def too_large(self, name: bytes) -> None:
        self.events.append(("too large", name))

    def broken(self, reason: str) -> None:
        self.events.append(("broken", reason))


def read(data: bytes, cuts: list[int] | None = None) -> list[tuple[object, ...]]:
    seen = Seen()
    requests = Requests(seen)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    for start, end in pairwise(places):
        requests.feed(data[start:end])
    requests.close()
    return seen.events


GET = as_array([b"GET", b"k"])
INFO = as_array([b"info", b"server"])
ROLE = as_array([b"RoLe", b"a" * 100, b"b" * 100])


def test_what_nobody_wants_is_handed_on_as_it_came() -> None:
    assert read(GET + GET) == [("passed", GET + GET)]


def test_what_is_wanted_is_not_handed_on() -> None:
    assert read(GET + INFO + GET) == [("passed", GET), ("command", [b"info", b"server"], 2), ("passed", GET)]


def test_what_is_refused_is_swallowed_and_its_arguments_are_shown_cut_short() -> None:
    assert read(GET + ROLE + GET) == [
        ("passed", GET),
        ("command", [b"RoLe", b"a" * 100, b"b" * 28], 3),
        ("passed", GET),
    ]


def test_of_some_commands_only_the_first_words_are_wanted() -> None:
    assert read(as_array([b"eval", b"return 1", b"0", b"x"])) == [
        ("command", [b"eval", b"return 1"], 4),
        ("passed", b"$1\r\n0\r\n$1\r\nx\r\n"),
    ]


def test_some_words_tell_how_many_more_are_wanted() -> None:
    data = as_array([b"evalkeys", b"x", b"1", b"k", b"rest"])
    for cut in range(len(data)):
        assert read(data.replace(b"evalkeys", b"EVALKEYS"), [cut]) == [
            ("command", [b"EVALKEYS", b"x", b"1", b"k"], 5),
            ("passed", b"$4\r\nrest\r\n"),
        ]
    assert read(b"EVALKEYS x 9 k\r\n") == [("command", [b"EVALKEYS", b"x", b"9", b"k"], 4)]


def test_what_all_clients_have_in_hand_is_bounded_together() -> None:
    """A second command that would exceed the room is refused; the first one goes on, and what it took comes back."""
    first, second, third = Seen(), Seen(), Seen()
    half = as_array([b"INFO", b"x" * (MAX_CAPTURE // 2), b"y" * 1000])
    patient, late = Requests(first), Requests(second)
    patient.feed(half[:-500])
    late.feed(as_array([b"INFO", b"x" * (MAX_CAPTURE // 2)]) + GET)
    assert second.events == [("too large", b"INFO"), ("passed", GET)]
    patient.feed(half[-500:])
    assert first.events == [("command", [b"INFO", b"x" * (MAX_CAPTURE // 2), b"y" * 1000], 3)]
    abandoned = Requests(third)
    abandoned.feed(half[:-500])
    assert ROOM.taken > MAX_CAPTURE // 2
    abandoned.close()
    assert ROOM.taken == 0


def test_the_rest_of_a_refused_command_is_swallowed() -> None:
    assert read(as_array([b"EVAL", b"refused", b"0", b"x" * 1000]) + b"eval refused 0\r\n" + GET, [60, 500]) == [
        ("command", [b"EVAL", b"refused"], 4),
        ("command", [b"eval", b"refused"], 3),
        ("passed", GET),
    ]


def test_inline_commands_become_arrays() -> None:
    assert read(b"get k\r\n role \n\r\n\nINFO 'a b' \"\\x41\\n\"\r\n") == [
        ("passed", as_array([b"get", b"k"])),
        ("command", [b"role"], 1),
        ("command", [b"INFO", b"a b", b"A\n"], 3),
    ]


def test_empty_arrays_are_ignored_as_servers_do() -> None:
    assert read(b"*0\r\n*-1\r\n" + GET) == [("passed", GET)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*+1\r\n$4\r\nPING\r\n", "invalid multibulk length"),
        (b"*03\r\n", "invalid multibulk length"),
        (b"*99999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
        (b"*2\r\n$3\r\nGET\r\n:1\r\n", "expected '$', got ':'"),
        (b"*2\r\n$3\r\nGET\r\n$10737418240\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$-1\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$1\rX", "invalid bulk length"),
        (b"*1\r\n$4\r\nPINGxx", "a bulk does not end in a line end"),
        (b"x" * 70_000, "too big inline request"),
        (b"*" + b"1" * 70_000, "invalid multibulk length"),
        (b'get "k\r\n', "unbalanced quotes in request"),
    ],
)
def test_what_is_no_request_ends_the_reading(data: bytes, reason: str) -> None:
    assert read(data + GET)[-1] == ("broken", reason)
    assert read(GET + data + GET)[0][1].startswith(GET)  # type: ignore[attr-defined]


def test_a_number_that_never_ends() -> None:
    assert read(b"*" + b"1" * 70_000) == [("broken", "too big mbulk count string")]


def test_a_wanted_command_that_is_too_large_is_swallowed() -> None:
    large = as_array([b"INFO", b"x" * (MAX_CAPTURE + 1)])

    assert read(large + GET, [100, 5000, len(large) - 1]) == [("too large", b"INFO"), ("passed", GET)]


def test_nothing_is_kept_of_a_large_value() -> None:
    seen = Seen()
    requests = Requests(seen)
    requests.feed(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n")
    for _ in range(100):
        requests.feed(b"x" * 100_000)
        assert requests.waiting == 0


def test_a_held_reader_goes_on_where_it_stopped() -> None:
    seen = Seen()
    requests = Requests(seen)
    requests.hold()
    requests.feed(GET)
    requests.feed(INFO)
    assert seen.events == []
    requests.release()
    assert seen.events == [("passed", GET), ("command", [b"info", b"server"], 2)]


WORDS = st.lists(
    st.one_of(st.sampled_from([b"role", b"INFO", b"GET", b"EVAL", b"config", b""]), st.binary(max_size=120)),
    min_size=1,
    max_size=300,
)


def one_by_one(commands: list[list[bytes]]) -> list[tuple[object, ...]]:
    """What the reader has to say of these commands, without any of its short cuts."""
    seen = Seen()
    for words in commands:
        wanted = seen.wanted(words[0].upper())
        if wanted == PASS:
            seen.passed(as_array(words))
        elif wanted == SWALLOW:
            shown, room = [words[0]], 128
            for word in words[1:]:
                if room:
                    shown.append(word[:room])
                    room -= min(len(word), room)
            seen.command(shown, len(words))
        else:
            seen.command(words[:wanted], len(words))
            if words[wanted:]:
                seen.passed(b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words[wanted:]))
    return seen.events


@settings(deadline=None, max_examples=300)
@given(st.lists(WORDS, max_size=6), st.lists(st.integers(0, 10**6), max_size=8))
def test_however_it_is_cut_the_same_is_read(commands: list[list[bytes]], cuts: list[int]) -> None:
    data = b"".join(as_array(words) for words in commands)

    assert read(data, cuts) == one_by_one(commands)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=2000), st.integers(1, 5000))
def test_many_small_values_are_counted_right(numbers: list[int], step: int) -> None:
    data = as_array([b"RPUSH", b"k", *(b"%d" % number for number in numbers)]) + INFO

    assert read(data, list(range(0, len(data), step))) == [
        ("passed", data[: -len(INFO)]),
        ("command", [b"info", b"server"], 2),
    ]


@settings(deadline=None, max_examples=500)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [b"*1\r\n", b"*2\r\n", b"$4\r\n", b"ROLE\r\n", b"role\r\n", b"\r\n", b"\n", b"$", b"*", b"-1"]
            ),
            st.binary(max_size=8),
        ),
        max_size=30,
    ).map(b"".join),
    st.lists(st.integers(0, 10**6), max_size=5),
)
def test_any_bytes_are_read_alike_however_they_are_cut_and_never_hide_a_refused_command(
    data: bytes, cuts: list[int]
) -> None:
    whole, cut = read(data), read(data, cuts)

    assert [event for event in whole if event[0] != "passed"] == [event for event in cut if event[0] != "passed"]
    handed_on = b"".join(event[1] for event in whole if event[0] == "passed")  # type: ignore[misc]
    assert not any(name == b"ROLE" for name in names(handed_on))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from([b"GET", b"SET", b"role", b"info"]), min_size=100, max_size=600),
    st.lists(st.binary(max_size=110), min_size=1, max_size=5),
    st.integers(20, 3000),
)
def test_pipelines_of_commands_alike_hide_nothing(commands: list[bytes], values: list[bytes], step: int) -> None:
    several = [[name, values[number % len(values)]] for number, name in enumerate(sorted(commands) + commands)]
    data = b"".join(as_array(words) for words in several)

    assert read(data, list(range(0, len(data), step))) == one_by_one(several)


def names(data: bytes) -> list[bytes]:
    """The commands that a server would find in these bytes, by a reader that does one thing at a time."""
    found, at = [], 0
    while at < len(data) and data[at : at + 1] == b"*":
        end = data.find(b"\r\n", at)
        if end < 0:
            break
        count, at = int(data[at + 1 : end]), end + 2
        for number in range(count):
            end = data.find(b"\r\n", at)
            if end < 0:
                return found
            size, at = int(data[at + 1 : end]), end + 2
            if number == 0:
                found.append(data[at : at + size].upper())
            at += size + 2
    return found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", []),
        (b"  a  b ", [b"a", b"b"]),
        (b"a 'b c' \"d e\"", [b"a", b"b c", b"d e"]),
        (b'"\\x00\\xff\\n\\"\\\\"', [b'\x00\xff\n"\\']),
        (b"'it\\'s'", [b"it's"]),
        (b'a"b"', [b"ab"]),
        (b'""', [b""]),
    ],
)
def test_inline_words(line: bytes, words: list[bytes]) -> None:
    assert split_inline(line) == words


@pytest.mark.parametrize("line", [b'"a', b"'a", b'"a"b', b"'a'b", b'"\\'])
def test_quotes_that_do_not_fit(line: bytes) -> None:
    with pytest.raises(QuotesError):
        split_inline(line)
