from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.endpoint.allowed import (
    ALLOWED,
    Guard,
    Scope,
    check,
    check_payload,
    check_run_id,
    run_of,
    scoped_key,
    slot_tag,
)
from harness.errors import HarnessError, UsageError

KEY = "harness:r1:numbers:list"


@pytest.fixture
def primary():
    return Scope("r1", writes=True, writable_claims={(0, KEY.encode())}, clients={7}, server="abc")


@pytest.fixture
def replica():
    return Scope("r1", writes=False)


@pytest.mark.parametrize(
    "command",
    [
        ["PING"],
        ["AUTH", "pw"],
        ["AUTH", "me", "pw"],
        ["SELECT", 3],
        ["INFO", "replication"],
        ["CLIENT", "ID"],
        ["client", "setname", "harness-r1"],
        ["CLIENT", "KILL", "ID", 7],
        ["CLIENT KILL", "ID", "7"],
        ["DPING"],
        ["MULTI"],
        ["EXEC"],
        ["TYPE", KEY],
        ["LLEN", KEY],
        ["LRANGE", KEY, 0, -1],
        ["EXISTS", KEY, "harness:r1:other"],
        ["RPUSH", KEY, 1, 2, 3],
        ["SET", "harness:r1::canary:{x}", "v", "EX", 60],
        ["GET", "harness:r1::canary:{x}"],
        ["UNLINK", KEY, "harness:r1::canary:{x}"],
        ["SCAN", 0, "MATCH", "harness:r1:*", "COUNT", 10],
    ],
)
def test_a_run_may_send_these_to_its_primary(primary, command):
    check(command, primary)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["FLUSHALL"], "FLUSHALL may not be sent to an endpoint that the harness did not start: it is not on the list"),
        (["flushdb"], "FLUSHDB may not"),
        (["CONFIG", "SET", "save", ""], "CONFIG may not"),
        (["CONFIG SET", "save", ""], "CONFIG may not"),
        (["REPLICAOF", "NO", "ONE"], "REPLICAOF may not"),
        (["SHUTDOWN"], "SHUTDOWN may not"),
        (["DEBUG", "SLEEP", 1], "DEBUG may not"),
        (["KEYS", "*"], "KEYS may not"),
        (["EVAL", "return 1", 0], "EVAL may not"),
        (["DEL", KEY], "DEL may not"),
        (["EXPIRE", "numbers:list", 1], "is not a key that this run made"),
        (["EXPIRE", KEY, 1, "NX"], "only EXPIRE key seconds"),
        (["PERSIST", KEY], "PERSIST may not"),
        (["CLIENT", "KILL", "TYPE", "master"], "only ID with the id of a connection of our own"),
        (["CLIENT", "KILL", "ID", 8], "only ID with the id of a connection of our own"),
        (["CLIENT", "KILL", "ID", 7, "SKIPME", "no"], "only ID with the id of a connection of our own"),
        (["CLIENT", "KILL", "127.0.0.1:1"], "only ID with the id of a connection of our own"),
        (["CLIENT", "PAUSE", 1000], "CLIENT PAUSE may not"),
        (["CLIENT", "SETNAME", "worker"], "our names begin with harness"),
        (["CLIENT", "LIST"], "CLIENT LIST may not"),
        (["RPUSH", "numbers:list", 1], "'numbers:list' in database 0 was not claimed"),
        (["RPUSH", "harness:r1:unclaimed", 1], "'harness:r1:unclaimed' in database 0 was not claimed"),
        (["RPUSH", KEY], "takes a key and at least one element"),
        (["LRANGE", "numbers:list", 0, -1], "'numbers:list' in database 0 is not a key of this run"),
        (["LLEN", "harness:r2:numbers:list"], "is not a key of this run"),
        (["LLEN", "harness:r11:numbers:list"], "is not a key of this run"),
        (["EXISTS"], "it takes a key"),
        (["EXISTS", KEY, "other"], "'other' in database 0 is not a key of this run"),
        (["UNLINK", KEY, "other"], "'other' in database 0 is not a key that this run made"),
        (["UNLINK"], "it takes a key"),
        (["SET", KEY, "v", "EX", 60], "it is for canaries and probes"),
        (["SET", "other", "v", "EX", 60], "it is for canaries and probes"),
        (["SET", "harness:r1::canary:{x}", "v"], "only SET key value EX seconds"),
        (["SCAN", 0], "only SCAN cursor MATCH harness:r1:"),
        (["SCAN", 0, "MATCH", "*", "COUNT", 10], "only SCAN cursor MATCH harness:r1:"),
        (["SELECT", "x"], "it takes one database number"),
        (["INFO", "server", "replication"], "it takes 0 to 1 arguments"),
        (["OBJECT", "ENCODING", KEY], "OBJECT ENCODING may not"),
    ],
)
def test_nothing_else_may_be_sent_to_it(primary, command, why):
    with pytest.raises(HarnessError, match=why):
        check(command, primary)


def test_a_refusal_shows_no_arguments_that_may_be_secret(primary):
    with pytest.raises(HarnessError) as caught:
        check(["AUTH", "me", "s3cr3t", "x"], primary)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "command",
    [["LRANGE", KEY, 0, 1], ["GET", "harness:r1::canary:{x}"], ["SET", "harness:r1::probe:b", "1", "EX", 60],
     ["UNLINK", "harness:r1::probe:b"], ["INFO"], ["MULTI"], ["TYPE", KEY]],
)  # fmt: skip
def test_a_replica_is_read_and_takes_a_probe(replica, command):
    check(command, replica)


@pytest.mark.parametrize(
    "command",
    [["RPUSH", KEY, 1], ["UNLINK", KEY], ["SET", "harness:r1::canary:{x}", "v", "EX", 60],
     ["SET", "harness:r2::probe:b", "v", "EX", 60], ["CLIENT", "KILL", "ID", 7]],
)  # fmt: skip
def test_nothing_else_is_written_to_a_replica(replica, command):
    with pytest.raises(HarnessError, match="may not be sent"):
        check(command, replica)


def test_a_connection_is_killed_only_where_its_server_is_known():
    with pytest.raises(HarnessError, match="this endpoint's connections are not to be killed"):
        check(["CLIENT", "KILL", "ID", 7], Scope("r1", writes=True, clients={7}))


def test_an_exact_key_counts_in_its_own_database_only():
    scope = Scope("r1", writes=True, readable_claims={(3, b"mine")}, writable_claims={(3, b"mine")})
    guard = Guard(scope)
    with pytest.raises(HarnessError, match="'mine' in database 0 was not claimed"):
        guard.check(["RPUSH", "mine", 1])
    guard.check(["SELECT", 3])
    guard.check(["RPUSH", "mine", 1])
    guard.check(["LRANGE", "mine", 0, -1])
    guard.check(["UNLINK", "mine"])
    with pytest.raises(HarnessError, match="'mines' in database 3"):
        guard.check(["LLEN", "mines"])


def test_whoever_looks_for_leftovers_sees_the_keys_of_all_runs_and_no_others():
    scope = Scope(None, writes=True)
    check(["SCAN", 0, "MATCH", "harness:*", "COUNT", 10], scope)
    check(["UNLINK", "harness:r1:x", "harness:r2::canary:{x}"], scope)
    for command in (["UNLINK", "harness:x"], ["UNLINK", "harness"], ["UNLINK", "harness::x"], ["TYPE", "x"],
                    ["RPUSH", "harness:r1:x", 1], ["SET", "harness:r1::canary:x", 1, "EX", 1]):  # fmt: skip
        with pytest.raises(HarnessError, match="may not be sent"):
            check(command, scope)


def command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


PUSH = command(b"RPUSH", KEY.encode(), b"1", b"2")


@pytest.mark.parametrize("payload", [b"", PUSH, PUSH * 3, command(b"MULTI") + PUSH + command(b"EXEC")])
def test_a_payload_of_pushes_to_our_key_may_be_sent(primary, payload):
    check_payload(payload, KEY, primary)
    check_payload(bytearray(payload), KEY, primary)


@pytest.mark.parametrize(
    "payload",
    [
        PUSH + command(b"FLUSHALL"),
        command(b"FLUSHALL") + PUSH,
        PUSH + command(b"RPUSH", b"other", b"1"),
        command(b"RPUSH", KEY.encode() + b"x", b"1"),
        command(b"RPUSH", KEY.encode(), b"1\r\nFLUSHALL"),
        command(b"LINSERT", KEY.encode(), b"1"),
        command(b"RPUSH", KEY.encode()),
        PUSH[:-1],
        b"FLUSHALL\r\n",
    ],
)
def test_a_payload_with_anything_else_may_not(primary, payload):
    with pytest.raises(HarnessError, match="holds more than numbers added to 'harness:r1:numbers:list'"):
        check_payload(payload, KEY, primary)


def test_a_payload_for_a_key_that_is_not_ours_may_not_be_sent(primary):
    with pytest.raises(HarnessError, match="'numbers:list' in database 0 was not claimed"):
        check_payload(command(b"RPUSH", b"numbers:list", b"1"), "numbers:list", primary)


@pytest.mark.parametrize("run_id", ["r1", "2024-01-31.a_b", "0" * 64])
def test_run_ids_that_can_stand_in_a_key(run_id):
    assert check_run_id(run_id) == run_id
    assert run_of(scoped_key(run_id, "k:{t}").encode()) == run_id


@pytest.mark.parametrize("run_id", ["", "a:b", "a*", "a[b]", "{a}", "-a", "a b", "a\n", "é", "0" * 65])
def test_run_ids_that_can_not(run_id):
    with pytest.raises(UsageError, match="a run id is 1 to 64 of"):
        check_run_id(run_id)


@pytest.mark.parametrize(
    ("key", "tag"),
    [("a:b", "{a:b}"), ("a{t}b", "{t}"), ("{t}{u}", "{t}"), ("a{}b{t}", "{a{}b{t}}"), ("a{t", "{a{t}")],
)
def test_a_canary_stands_beside_its_key(key, tag):
    assert slot_tag(key) == tag


def hash_tag(key: str) -> str:
    """What a cluster hashes of a key, by the cluster specification."""
    opening = key.find("{")
    closing = key.find("}", opening + 1)
    return key if opening < 0 or closing <= opening + 1 else key[opening + 1 : closing]


@given(key=st.text(alphabet="ab{}:", min_size=1, max_size=8))
def test_the_prefix_keeps_a_hash_tag_and_a_canary_is_in_the_slot_of_its_key(key):
    scoped = scoped_key("r1", key)
    if hash_tag(key) != key:
        assert hash_tag(scoped) == hash_tag(key)
    if hash_tag(scoped) != scoped or "}" not in scoped:
        assert hash_tag("harness:r1::canary:" + slot_tag(scoped)) == hash_tag(scoped)


def test_the_list_of_allowed_commands():
    """Each of these was weighed. Whoever adds one adds its constraints, and says in the test above what stays out."""
    assert sorted(ALLOWED) == [
        "APPEND", "AUTH", "CLIENT ID", "CLIENT KILL", "CLIENT SETNAME", "DISCARD", "DPING", "EXEC", "EXISTS",
        "EXPIRE", "GET", "GETRANGE", "HLEN", "HSCAN", "HSET", "INFO", "LLEN", "LPUSH", "LRANGE", "MULTI",
        "OBJECT IDLETIME", "PING",
        "RPUSH", "SADD", "SCAN", "SCARD", "SELECT", "SET", "SSCAN", "STRLEN", "TYPE", "UNLINK", "XADD", "XLEN",
        "XRANGE", "ZADD", "ZCARD", "ZRANGE",
    ]  # fmt: skip
