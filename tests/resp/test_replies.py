from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.resp.replies import (
    MISSING_BYTES,
    ErrorReply,
    ProtocolError,
    ReplyParser,
    Status,
    is_refusal,
    parse_token,
)

LITERAL = [
    (b"+OK\r\n", Status("OK")),
    (b"+\r\n", Status("")),
    (b"-ERR no\r\n", ErrorReply("ERR no")),
    (b"-\xff\r\n", ErrorReply("\\xff")),
    (b":0\r\n", 0),
    (b":-12\r\n", -12),
    (b":9223372036854775807\r\n", 9223372036854775807),
    (b"$-1\r\n", None),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
    (b"*-1\r\n", None),
    (b"*0\r\n", []),
    (b"*3\r\n:1\r\n$-1\r\n*1\r\n+x\r\n", [1, None, [Status("x")]]),
    (b"*2\r\n*0\r\n-WRONGTYPE it is\r\n", [[], ErrorReply("WRONGTYPE it is")]),
]


@pytest.mark.parametrize(("data", "reply"), LITERAL)
def test_a_reply(data, reply):
    parser = ReplyParser()
    parser.feed(data)
    assert parser.next() == reply
    assert parser.next() is MISSING_BYTES


@pytest.mark.parametrize(("data", "reply"), LITERAL)
def test_a_reply_is_never_there_before_its_last_byte(data, reply):
    parser = ReplyParser()
    for position in range(len(data)):
        assert parser.next() is MISSING_BYTES
        parser.feed(data[position : position + 1])
    assert parser.next() == reply


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello\r\n", "no reply begins with b'hello"),
        (b"x", "no reply begins with b'x'"),
        (b"$-2\r\n", "not a length: b'-2'"),
        (b"$+3\r\nabc\r\n", "not a length"),
        (b"$1_0\r\n", "not a length"),
        (b"$ 3\r\n", "not a length"),
        (b"$99999999999\r\n", "not a length"),
        (b"*9999999999\r\n", "not a length: b'9999999999'"),
        (b"$3\r\nabcde\r\n", "a string of 3 bytes does not end where it should"),
        (b":\r\n", "not an integer: b''"),
        (b":1.5\r\n", "not an integer: b'1.5'"),
        (b":" + b"9" * 5000 + b"\r\n", "not an integer"),
        (b"%1\r\n", "no reply begins with b'%1"),
        (b"+" + b"x" * 70_000, "a line of more than 65536 bytes"),
        (b"*1\r\n" * 17, "arrays nested more than 16 deep"),
    ],
)
def test_what_is_no_reply(data, message):
    parser = ReplyParser()
    parser.feed(data)
    with pytest.raises(ProtocolError, match=message):
        parser.next()


LINES = st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)
SCALARS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.none(),
    st.binary(max_size=60),
    LINES.map(Status),
    LINES.map(ErrorReply),
)
REPLIES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=5), max_leaves=12)


def encoded(reply):
    if isinstance(reply, Status):
        return b"+" + reply.text.encode() + b"\r\n"
    if isinstance(reply, ErrorReply):
        return b"-" + reply.text.encode() + b"\r\n"
    if isinstance(reply, int):
        return f":{reply}\r\n".encode()
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, bytes):
        return b"$" + str(len(reply)).encode() + b"\r\n" + reply + b"\r\n"
    return b"*" + str(len(reply)).encode() + b"\r\n" + b"".join(map(encoded, reply))


@given(st.lists(REPLIES, max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=10), st.integers(0, 2000))
def test_any_replies_cut_anywhere(replies, pieces, end):
    whole = b"".join(map(encoded, replies))
    data = whole[:end]
    parser, found, position, turn = ReplyParser(), [], 0, 0
    while position < len(data):
        size = pieces[turn % len(pieces)]
        parser.feed(data[position : position + size])
        position, turn = position + size, turn + 1
        while (reply := parser.next()) is not MISSING_BYTES:
            found.append(reply)
    ends = [len(b"".join(map(encoded, replies[: count + 1]))) for count in range(len(replies))]
    assert found == replies[: sum(stop <= len(data) for stop in ends)]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_replies_or_a_protocol_error_and_end(data):
    parser = ReplyParser()
    parser.feed(data)
    try:
        while parser.next() is not MISSING_BYTES:
            pass
    except ProtocolError:
        return


@settings(max_examples=6, deadline=None)
@given(st.sampled_from([1, 1 << 16, (1 << 16) + 1, 64 << 20]))
def test_a_string_of_any_size(size):
    data = b"$%d\r\n%b\r\n" % (size, b"x" * size)
    parser = ReplyParser()
    for start in range(0, len(data), 1 << 20):
        assert parser.next() is MISSING_BYTES
        parser.feed(data[start : start + (1 << 20)])
    reply = parser.next()
    assert isinstance(reply, bytes)
    assert len(reply) == size


def test_a_token_tells_where_the_next_begins():
    data = b"junk:12\r\n$2\r\nab\r\n"
    assert parse_token(data, 4, len(data)) == (12, 9)
    assert parse_token(data, 9, len(data)) == (b"ab", len(data))
    assert parse_token(data, 9, len(data) - 1) is MISSING_BYTES


@pytest.mark.parametrize(
    "text",
    [
        "MOVED 866 127.0.0.1:7001",
        "ASK 866 127.0.0.1:7001",
        "TRYAGAIN Multiple keys",
        "CLUSTERDOWN The cluster is down",
        "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "NOREPLICAS Not enough good replicas to write.",
        "MISCONF Errors writing to the AOF file",
        "LOADING dataset in memory",
        "BUSY a script is running",
        "MASTERDOWN Link is down",
        "NOAUTH Authentication required.",
        "NOPERM this user has no permissions",
        "WRONGTYPE Operation against a key",
        "EXECABORT Transaction discarded",
        "ERR unknown command 'RPUSH', with args beginning with: ",
        "ERR Unknown command",
    ],
)
def test_a_listed_refusal_surely_did_not_happen(text):
    assert is_refusal(ErrorReply(text))


@pytest.mark.parametrize("text", ["ERR timeout", "BUSYKEY exists", "UNKNOWN", "", "ERR OOM", "moved 1 x"])
def test_any_other_error_decides_nothing(text):
    assert not is_refusal(ErrorReply(text))
