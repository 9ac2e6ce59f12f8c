from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checker.evidence import KeyState, Run
from harness.resp import encode
from harness.resp.connection import Connection
from harness.resp.key_reader import KeyRead, PageReader, RunJoiner, page_size, read_key
from harness.resp.layouts import ListLayout, SortedSetLayout
from tests.support.scripted import ScriptedServer


def read(endpoint, key="list", **options):
    runs = []
    with Connection(endpoint, timeout_s=options.pop("timeout_s", 10)) as connection:
        result = read_key(connection, key, runs.append, **options)
        assert connection.command("PING").text == "PONG" if result.error is None else True
    return result, runs


def fill(endpoint, key, *elements):
    with Connection(endpoint) as connection:
        connection.command("DEL", key)
        for start in range(0, len(elements), 5000):
            connection.command("RPUSH", key, *elements[start : start + 5000])


class TestRealServers:
    def test_a_long_list_is_one_run(self, server):
        fill(server, "list", *range(1, 120_001))
        assert read(server) == (KeyRead(KeyState.LIST, 120_000, 120_000), [Run(1, 120_000)])

    @pytest.mark.parametrize("length", [1, 6, 7, 8, 14, 20, 21, 22, 1000])
    def test_any_length_at_the_edge_of_a_chunk(self, server, length):
        fill(server, "list", *range(1, length + 1))
        assert read(server, chunk=7) == (KeyRead(KeyState.LIST, length, length), [Run(1, length)])

    def test_an_absent_key(self, server):
        assert read(server, "no such key") == (KeyRead(KeyState.ABSENT), [])

    def test_a_string_in_place_of_a_list(self, server):
        with Connection(server) as connection:
            connection.command("SET", "text", "x")
        assert read(server, "text") == (KeyRead(KeyState.WRONG_TYPE, found_type="string"), [])

    def test_elements_that_are_no_canonical_numbers_keep_their_bytes(self, server):
        fill(server, "list", 1, 2, "007", "+1", "0", "-3", "abc", b"\x00\r\n\xff", "", "4", 5, "1" * 19, 9)
        strays = [b"007", b"+1", b"0", b"-3", b"abc", b"\x00\r\n\xff", b""]
        assert read(server)[1] == [
            Run(1, 2),
            *[Run(0, 1, raw) for raw in strays],
            Run(4, 2),
            Run(0, 1, b"1" * 19),
            Run(9, 1),
        ]

    def test_one_changed_element_divides_the_run_exactly_there(self, server):
        for index in (0, 1, 4_999, 5_000, 5_001, 9_999, 10_000, 29_999, 30_000, 59_998, 59_999):
            fill(server, "list", *range(1, 60_001))
            with Connection(server) as connection:
                connection.command("LSET", "list", index, 99_999_999)
            before = [Run(1, index)] if index else []
            after = [Run(index + 2, 59_999 - index)] if index < 59_999 else []
            assert read(server)[1] == [*before, Run(99_999_999, 1), *after]

    def test_what_is_swapped_missing_and_twice(self, server):
        fill(server, "list", 1, 2, 4, 3, 5, 6, 6, 7, 9, 10)
        assert read(server, chunk=3)[1] == [Run(1, 2), Run(4, 1), Run(3, 1), Run(5, 2), Run(6, 2), Run(9, 2)]

    def test_a_large_element(self, server):
        fill(server, "list", 1, b"x" * (8 << 20), 2)
        result, runs = read(server)
        assert [(run.first, run.count, len(run.raw or b"")) for run in runs] == [(1, 1, 0), (0, 1, 8 << 20), (2, 1, 0)]
        assert result.length == 3

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.one_of(st.integers(0, 12), st.binary(max_size=3)), max_size=40),
        st.integers(1, 9),
        st.integers(1, 5),
    )
    def test_the_runs_joined_are_the_list(self, server, elements, chunk, piece):
        fill(server, "drawn", *elements)
        runs = []
        with Connection(server) as connection:
            result = PageReader(connection, runs.append, ListLayout(), chunk=chunk, piece=piece).read(b"drawn", 1)
        assert expand(runs) == [element if isinstance(element, bytes) else b"%d" % element for element in elements]
        assert result.length == len(elements)


def expand(runs):
    elements = []
    for run in runs:
        elements += [run.raw] if run.raw is not None else [b"%d" % (run.first + n) for n in range(run.count)]
    return elements


def node(told, *chunks):
    """A node that answers LLEN with `told` and each LRANGE with the next of these replies; the last one for ever."""
    replies = list(chunks)

    def serve(client):
        while words := client.request():
            if words[0] == b"LLEN":
                client.send(told if isinstance(told, bytes) else b":%d\r\n" % told)
            elif words[0] == b"LRANGE":
                client.send(replies.pop(0) if len(replies) > 1 else replies[0])
            elif words[0] == b"TYPE":
                client.send(b"+hash\r\n")
            else:
                client.send(b"+PONG\r\n")

    return ScriptedServer(serve)


def array(*elements):
    return encode.array_header(len(elements)) + b"".join(encode.bulk(str(element).encode()) for element in elements)


EMPTY = b"*0\r\n"
WRONGTYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"


class TestLies:
    @pytest.mark.parametrize(
        ("told", "chunks", "read_before", "why"),
        [
            (8, [array(1, 2, 3), array(4, 5), array(6, 7, 8), EMPTY], 5, "a page gave 3 after one that was not full"),
            (6, [array(1, 2, 3), EMPTY, array(4, 5, 6), EMPTY], 3, "a page gave 3 after one that was not full"),
            (6, [EMPTY, array(1, 2, 3), array(4, 5, 6), EMPTY], 0, "a page gave 3 after one that was not full"),
            (7, [array(1, 2, 3), array(4, 5, 6, 7), EMPTY], 3, "a page of at most 3 gave 4"),
            (6, [array(1, 2, 3), array(4, 5, 6), EMPTY + EMPTY], 6, "LLEN gave an unexpected reply: []"),
            (3, [array(1, 2, 3), array(4)], 4, "a page gave 1 after one that was not full"),
            (2, [array(1, 2), array(3)], 2, "a page gave 1 after one that was not full"),
        ],
    )
    def test_replies_out_of_step_with_their_pages(self, told, chunks, read_before, why):
        """Also where all elements are right, and as many as told."""
        with node(told, *chunks) as server:
            result, runs = read(server.endpoint, chunk=3)
        assert (result.state, result.error) == (KeyState.UNREADABLE, f"replies out of step: {why}")
        assert (result.length, expand(runs)) == (read_before, [b"%d" % n for n in range(1, read_before + 1)])

    def test_a_reply_that_nobody_asked_for_at_the_end(self):
        lengths = [b":3\r\n", b":3\r\n*0\r\n"]

        def serve(client):
            while words := client.request():
                client.send(lengths.pop(0) if words[0] == b"LLEN" else array(1, 2, 3) if words[2] == b"0" else EMPTY)

        with ScriptedServer(serve) as server:
            result, _ = read(server.endpoint, chunk=3)
        assert result.error == "replies out of step: more came than was asked for"

    def test_pages_after_the_end_are_not_asked_for(self):
        asked = []

        def serve(client):
            while words := client.request():
                asked.append(words[0])
                told = b":4000000000\r\n"
                client.send(told if words[0] == b"LLEN" else array(1, 2) if b"0" in words else EMPTY)

        with ScriptedServer(serve) as server, Connection(server.endpoint) as connection:
            result = read_key(connection, "k", lambda run: None, chunk=3)
        assert result == KeyRead(KeyState.LIST, 2, 4_000_000_000)
        assert len(asked) < 30

    def test_more_than_the_length_told(self):
        with node(3, array(1, 2, 3), array(4, 5, 6), array(7), EMPTY) as server:
            assert read(server.endpoint, chunk=3) == (KeyRead(KeyState.LIST, 7, 3), [Run(1, 7)])

    def test_elements_although_the_length_told_is_nought(self):
        with node(0, array(1, 2), EMPTY) as server:
            assert read(server.endpoint) == (KeyRead(KeyState.LIST, 2, 0), [Run(1, 2)])

    def test_nothing_although_a_length_was_told(self):
        with node(5, EMPTY) as server:
            assert read(server.endpoint) == (KeyRead(KeyState.LIST, 0, 5), [])

    def test_a_node_that_never_ends(self):
        with node(3, array(*range(1, 9001))) as server:
            result, _ = read(server.endpoint, chunk=9000)
        assert result.state is KeyState.UNREADABLE
        assert result.error == "LLEN told 3 elements, and 1008000 come and do not end"

    def test_a_header_that_promises_four_billion_elements(self):
        with node(3, b"*4294967295\r\n") as server:
            result, _ = read(server.endpoint)
        assert result.error == "LLEN told 3 elements, and 4294967295 come and do not end"

    def test_a_length_that_no_list_has(self):
        with node(4294967296, EMPTY) as server:
            assert read(server.endpoint)[0].error == "an unexpected reply: 4294967296"

    def test_a_string_from_the_middle_on(self):
        with node(9, array(1, 2, 3), WRONGTYPE) as server:
            result, runs = read(server.endpoint, chunk=3)
        assert result == KeyRead(KeyState.WRONG_TYPE, 3, 9, found_type="hash")
        assert runs == [Run(1, 3)]

    def test_an_error_in_the_middle(self):
        with node(9, array(1, 2, 3), b"-ERR proxy lost the shard\r\n") as server:
            result, runs = read(server.endpoint, chunk=3)
        assert result == KeyRead(KeyState.UNREADABLE, 3, 9, error="ERR proxy lost the shard")
        assert runs == [Run(1, 3)]

    def test_an_element_that_is_no_string(self):
        with node(3, b"*3\r\n$1\r\n1\r\n:2\r\n$1\r\n3\r\n") as server:
            result, runs = read(server.endpoint)
        assert result.error == "an element of a list was an unexpected reply: 2"
        assert runs == [Run(1, 1)]

    def test_a_nil_in_place_of_the_list(self):
        with node(3, b"*-1\r\n") as server:
            assert read(server.endpoint)[0].error == "an unexpected reply: None"


@pytest.mark.parametrize(
    ("layout", "told", "size"),
    [
        (ListLayout(), 0, 10_000),
        (ListLayout(), 3_000_000, 10_000),
        (ListLayout(), 12_000_000, 32_000),
        (ListLayout(), 300_000_000, 160_000),
        (ListLayout("left"), 300_000_000, 10_000),
        (SortedSetLayout(), 300_000_000, 10_000),
    ],
)
def test_pages_of_a_very_long_list_grow_with_the_root_of_its_length(layout, told, size):
    assert page_size(layout, told) == size


class TestErrors:
    def test_loading_is_waited_for(self):
        answers = [b"-LOADING dataset in memory\r\n", b"-MASTERDOWN Link is down\r\n", b":1\r\n", b":1\r\n"]

        def serve(client):
            while words := client.request():
                client.send(answers.pop(0) if words[0] == b"LLEN" else array(1) if words[2] == b"0" else EMPTY)

        with ScriptedServer(serve) as server, Connection(server.endpoint) as connection:
            runs = []
            assert read_key(connection, "k", runs.append) == KeyRead(KeyState.LIST, 1, 1)
            assert runs == [Run(1, 1)]

    def test_loading_for_ever_is_unreadable(self):
        with node(b"-LOADING dataset in memory\r\n", EMPTY) as server:
            result, _ = read(server.endpoint, wait_s=0.1)
        assert result == KeyRead(KeyState.UNREADABLE, error="after 0.1 s still LOADING dataset in memory")

    def test_a_node_that_falls_silent_is_unreadable(self):
        def serve(client):
            client.request()
            client.send(b":3\r\n*3\r\n$1\r\n1")
            client.until_closed()

        with ScriptedServer(serve) as server:
            result, _ = read(server.endpoint, timeout_s=0.2)
        assert result.state is KeyState.UNREADABLE
        assert "did not answer within 0.2 s" in str(result.error)

    @settings(max_examples=80, deadline=None)
    @given(st.integers(0, 60), st.booleans(), st.integers(1, 4))
    def test_a_connection_that_ends_at_any_byte_is_never_a_shorter_list(self, cut, reset, chunk):
        whole = b":5\r\n" + b"".join(array(*range(n, min(6, n + chunk))) for n in range(1, 6, chunk))
        whole += EMPTY + b":5\r\n"

        def serve(client):
            client.request()
            client.send(whole[:cut])
            if reset:
                client.reset()
            elif cut >= len(whole):
                client.until_closed()

        with ScriptedServer(serve) as server, Connection(server.endpoint, timeout_s=5) as connection:
            runs = []
            result = read_key(connection, "k", runs.append, chunk=chunk)
        assert expand(runs) == [b"%d" % n for n in range(1, result.length + 1)]
        assert result.length <= 5
        if result.state is KeyState.LIST:
            assert (result.length, cut >= len(whole)) == (5, True)
        else:
            assert result.state is KeyState.UNREADABLE


def test_runs_are_joined_across_fast_and_slow_replies():
    runs = []
    joiner = RunJoiner(runs.append)
    joiner.consecutive(1, 3)
    joiner.element(4)
    joiner.element(b"x")
    assert joiner.next == 6
    joiner.consecutive(6, 2)
    joiner.close()
    joiner.close()
    assert runs == [Run(1, 4), Run(0, 1, b"x"), Run(6, 2)]
    assert joiner.length == 7
