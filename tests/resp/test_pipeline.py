"""A window of sends against a server that answers as Hypothesis wants: never a wrong count, never a hang."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.resp import encode, pipeline
from harness.resp.connection import Connection, ConnectionLost
from harness.resp.pipeline import Pipeline
from harness.resp.replies import ErrorReply
from tests.support.scripted import ScriptedServer

OK = b":1\r\n"
REPLIES = {OK: 1, b"-ERR in the middle\r\n": ErrorReply("ERR in the middle"), b"$-1\r\n": None, b"*-1\r\n": None}
PING = encode.command("PING")


class Batch:
    """So many commands, each of which should be answered with OK; told: what each was answered with."""

    def __init__(self, replies):
        self.replies, self.told = replies, []

    def expected(self):
        return OK * self.replies

    def matched(self):
        assert self.told == []
        self.told = [1] * self.replies

    def answered(self, index, reply):
        assert index == len(self.told)
        self.told.append(reply)


def answering(replies, pieces, cut, reset):
    """Sends these replies, asked for or not, in pieces of these sizes up to byte `cut`, then ends (None: does not)."""
    whole = b"".join(replies)[:cut]

    def serve(client):
        client.request()  # else the end could come before the connection does
        position = turn = 0
        while position < len(whole):
            size = pieces[turn % len(pieces)]
            client.send(whole[position : position + size])
            position, turn = position + size, turn + 1
        if reset:
            client.reset()
            return
        if cut is not None:
            client.finish()
        client.until_closed()

    return ScriptedServer(serve)


def run(batches, window, server):
    """What each command was answered with, in order; how many were submitted; the batches that stayed open."""
    pending = [Batch(size) for size in batches]
    left, submitted = [], 0
    with server as there, Connection(there.endpoint, timeout_s=10) as connection:
        pipeline = Pipeline(connection, window)
        try:
            for batch in pending:
                pipeline.make_room()
                submitted += batch.replies
                pipeline.submit(PING * batch.replies, batch)
            pipeline.drain()
        except ConnectionLost:
            left = pipeline.salvage()
    return [told for batch in pending for told in batch.told], submitted, left


BATCHES = st.lists(st.integers(1, 6), min_size=1, max_size=6)
ANSWERS = st.lists(st.sampled_from([OK, OK, OK, *REPLIES]), min_size=36, max_size=36)
PIECES = st.lists(st.integers(1, 60), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(BATCHES, ANSWERS, PIECES, st.integers(1, 4))
def test_every_reply_reaches_its_command_however_the_bytes_are_cut_up(batches, answers, pieces, window):
    answers = answers[: sum(batches)]

    told, submitted, left = run(batches, window, answering(answers, pieces, None, reset=False))

    assert told == [REPLIES[answer] for answer in answers]
    assert (submitted, left) == (len(answers), [])


@settings(max_examples=80, deadline=None)
@given(BATCHES, ANSWERS, PIECES, st.integers(1, 4), st.integers(0, 200), st.booleans())
def test_a_connection_that_ends_at_any_byte_leaves_open_what_was_not_answered(
    batches, answers, pieces, window, cut, reset
):
    answers = answers[: sum(batches)]
    whole = [index for index in range(len(answers)) if len(b"".join(answers[: index + 1])) <= cut]

    told, submitted, left = run(batches, window, answering(answers, pieces, cut, reset))

    known = [REPLIES[answers[index]] for index in whole if index < submitted]
    if reset:  # what the server's system had not sent yet is dropped
        known = known[: len(told)]
    assert told == known
    assert all(len(batch.told) < batch.replies for batch in left)


def test_replies_that_many_wait_for_are_taken_before_more_is_sent(monkeypatch):
    """However wide the window is: they would all be kept at once."""
    monkeypatch.setattr(pipeline, "MOST_REPLIES", 4)

    class Answering:
        def __init__(self):
            self.did = []

        def send(self, data):
            self.did.append("send")

        def take_if(self, expected):
            self.did.append("take")
            return True

    connection = Answering()
    window = Pipeline(connection, 10)
    for size in (2, 2, 1, 4, 1):
        window.submit(PING * size, Batch(size))
    assert connection.did == ["send", "send", "take", "send", "send", "take", "take", "take", "send"]
