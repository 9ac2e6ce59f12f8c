"""What the writer makes of replies that no healthy server gives."""

from __future__ import annotations

import pytest

from harness.history import Acknowledged, Broken, Ledger, LengthJump, Refused, Unanswered
from harness.workload.base import Patience, Route
from harness.workload.numbered import NumberedWriter, WritePlan
from tests.support.scripted import ScriptedServer

INFO = b"# Server\r\nrun_id:f00d\r\n"
TIMEOUT = b"-ERR proxy timed out\r\n"


class ListServer:
    """Counts RPUSHes into one list. odd: replies by the ordinal of the command (RPUSH, MULTI, EXEC) in place of its
    own; a command so answered is executed where its ordinal is in `executed` too. None: the connection is closed.
    """

    def __init__(self, odd, executed=()):
        self.odd, self.executed = odd, executed
        self.length = self.ordinal = 0

    def __call__(self, client):
        queued = None
        while words := client.request():
            name = words[0]
            if name in (b"CLIENT", b"INFO"):
                client.send(b":1\r\n" if name == b"CLIENT" else b"$%d\r\n%b\r\n" % (len(INFO), INFO))
                continue
            self.ordinal += 1
            odd = self.ordinal in self.odd
            if name == b"MULTI":
                reply, queued = b"+OK\r\n", None if odd else []
            elif name == b"EXEC":
                reply = b"-ERR EXEC without MULTI\r\n"
                if queued is not None:
                    replies = [self.push(each) for each in queued] if not odd else []
                    reply, queued = b"*%d\r\n" % len(replies) + b"".join(replies), None
            elif queued is not None:
                reply = b"+QUEUED\r\n"
                queued.append(words)
            else:
                reply = self.push(words) if not odd or self.ordinal in self.executed else b""
            if odd and self.odd[self.ordinal] is None:
                client.finish()
                return
            client.send(self.odd[self.ordinal] if odd else reply)

    def push(self, words):
        self.length += len(words) - 2
        return b":%d\r\n" % self.length


def entries(values, shape, size, odd, executed=()):
    with ScriptedServer(ListServer(odd, executed)) as server:
        route = Route("a", server.endpoint, server.endpoint)
        plan = WritePlan(b"k", values, shape, (size,))
        writer = NumberedWriter(plan, route, Ledger(None), patience=Patience(10, 10))
        writer.run()
    writer.ledger.close()
    return writer.ledger.entries


@pytest.mark.parametrize("shape", ["single", "pipeline"])
@pytest.mark.parametrize("executed", [(), (4,)])
def test_an_error_that_decides_nothing(shape, executed):
    """Whether it was executed or not: the lengths that follow say nothing against either."""
    assert entries(8, shape, 8, {4: TIMEOUT}, executed) == [
        Acknowledged(1, 1, 3, 1),
        Unanswered(1, 4, 4, 1, "ERR proxy timed out"),
        Acknowledged(1, 5, 8, 1),
    ]


def test_many_such_errors_travel_as_one():
    assert entries(40, "variadic", 4, dict.fromkeys(range(3, 8), TIMEOUT), (4, 5)) == [
        Acknowledged(1, 1, 8, 4),
        Unanswered(1, 9, 28, 4, "ERR proxy timed out"),
        Acknowledged(1, 29, 40, 4),
    ]


def test_a_refusal_in_the_middle_of_a_batch():
    assert entries(40, "variadic", 4, {3: b"-OOM no memory\r\n", 4: b"-OOM no memory\r\n", 5: b"-MOVED 1 x\r\n"}) == [
        Acknowledged(1, 1, 8, 4),
        Refused(1, 9, 16, "OOM no memory"),
        Refused(1, 17, 20, "MOVED 1 x"),
        Acknowledged(1, 21, 40, 4),
    ]


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (b"+OK\r\n", "Status(text='OK')"),
        (b"+QUEUED\r\n", "Status(text='QUEUED')"),
        (b"$-1\r\n", "None"),
        (b"$1\r\n4\r\n", "b'4'"),
        (b"*1\r\n:4\r\n", "[4]"),
    ],
)
def test_what_is_no_length_is_no_success(reply, text):
    assert entries(8, "pipeline", 8, {4: reply}) == [
        Acknowledged(1, 1, 3, 1),
        Unanswered(1, 4, 4, 1, f"an unexpected reply: {text}"),
        Acknowledged(1, 5, 8, 1),
    ]


def test_a_length_that_leaves_the_sequence():
    assert entries(8, "pipeline", 8, {4: b":3\r\n"}, (4,)) == [
        Acknowledged(1, 1, 3, 1),
        LengthJump(1, 4, 4, 3),
        Acknowledged(1, 4, 4, 1),
        LengthJump(1, 5, 4, 5),
        Acknowledged(1, 5, 8, 1),
    ]


def test_garbage_ends_the_connection():
    found = entries(8, "pipeline", 4, {3: b"HTTP/1.1 500\r\n"}, (3,))
    assert found[:2] == [Acknowledged(1, 1, 2, 1), Unanswered(1, 3, 8, 1)]
    assert "does not speak RESP: no reply begins with b'HTTP" in found[2].reason


class TestTransactions:
    """Two transactions of three: the commands 1 MULTI, 2-4 RPUSH, 5 EXEC, then 6 MULTI, 7-9 RPUSH, 10 EXEC."""

    def test_nil(self):
        assert entries(6, "multi", 3, {5: b"*-1\r\n"}) == [
            Refused(1, 1, 3, "EXEC was answered with nil"),
            Acknowledged(1, 4, 6, 3),
        ]

    def test_abort_names_the_first_objection(self):
        odd = {3: b"-OOM no memory\r\n", 4: b"-ERR other\r\n", 5: b"-EXECABORT discarded\r\n"}
        assert entries(6, "multi", 3, odd) == [
            Refused(1, 1, 3, "EXECABORT discarded (OOM no memory)"),
            Acknowledged(1, 4, 6, 3),
        ]

    def test_an_error_inside_belongs_to_its_command(self):
        reply = b"*3\r\n:1\r\n-WRONGTYPE it is\r\n-ERR lost\r\n"
        assert entries(6, "multi", 3, {5: reply})[:3] == [
            Acknowledged(1, 1, 1, 1),
            Refused(1, 2, 2, "WRONGTYPE it is"),
            Unanswered(1, 3, 3, 1, "ERR lost"),
        ]

    def test_an_error_that_decides_nothing_leaves_all_of_it_open(self):
        assert entries(6, "multi", 3, {5: TIMEOUT}) == [
            Unanswered(1, 1, 3, 3, "ERR proxy timed out"),
            Acknowledged(1, 4, 6, 3),
        ]

    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (b"*2\r\n:1\r\n:2\r\n", "EXEC was answered with 2 replies to 3 commands"),
            (b"*0\r\n", "EXEC was answered with 0 replies to 3 commands"),
            (b":3\r\n", "EXEC: an unexpected reply: 3"),
            (b"+OK\r\n", "EXEC: an unexpected reply: Status(text='OK')"),
        ],
    )
    def test_a_reply_that_fits_no_transaction(self, reply, error):
        assert entries(6, "multi", 3, {5: reply}) == [
            Unanswered(1, 1, 3, 3, error),
            Acknowledged(1, 4, 6, 3),
        ]

    def test_without_multi_each_command_stands_for_itself(self):
        assert entries(6, "multi", 3, {1: b"-NOPERM no\r\n", 3: b"-OOM no memory\r\n"}) == [
            Acknowledged(1, 1, 1, 1),
            Refused(1, 2, 2, "OOM no memory"),
            Acknowledged(1, 3, 6, 0),
        ]

    def test_cut_before_exec_was_answered(self):
        opened, broken, *_ = entries(6, "multi", 3, {5: None})
        assert (opened, broken.fenced) == (Unanswered(1, 1, 6, 3), True)

    def test_cut_without_multi(self):
        found = entries(3, "multi", 3, {1: b"-NOPERM no\r\n", 4: None})
        assert found[:2] == [Acknowledged(1, 1, 2, 1), Unanswered(1, 3, 3, 1)]
        assert isinstance(found[2], Broken)


def test_a_refusal_on_a_connection_that_breaks_is_remembered_with_it():
    found = entries(8, "pipeline", 4, {2: b"-OOM no memory\r\n", 4: None})
    (broken,) = [entry for entry in found if isinstance(entry, Broken)]
    assert broken.refusals_possible
