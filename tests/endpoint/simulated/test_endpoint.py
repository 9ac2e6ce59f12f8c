"""A simulated endpoint in front of a real server, byte by byte."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from harness.endpoint.address import Endpoint
from harness.endpoint.certificate import make_certificate
from harness.endpoint.client import connect
from harness.endpoint.simulated.connection import waiting
from harness.endpoint.simulated.requests import as_array
from harness.resp.connection import Connection
from harness.resp.replies import ErrorReply, Status
from harness.runtime.readiness import wait_until
from tests.endpoint.simulated.endpoints import Raw, simulated
from tests.support.servers import engines_at_hand, running

ROLE_REFUSED = b"-ERR command 'role' is not allowed\r\n"
INFO = "replication"


@pytest.fixture(scope="module", params=engines_at_hand())
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(request.param, tmp_path_factory.mktemp("server")) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def enterprise(server: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with simulated(server, "redis-enterprise", tmp_path_factory.mktemp("endpoint")) as endpoint:
        yield endpoint


@pytest.fixture
def client(enterprise: Endpoint) -> Iterator[Raw]:
    with Raw(enterprise) as raw:
        raw.ask(b"FLUSHALL\r\n", b"+OK\r\n")
        yield raw


def test_refusals_stand_in_their_place_in_a_pipeline(client: Raw) -> None:
    client.ask(
        b"SET k v\r\nROLE\r\nGET k\r\nrole a b\r\nrole\r\nINCR n\r\n",
        b"+OK\r\n" + ROLE_REFUSED + b"$1\r\nv\r\n" + 2 * ROLE_REFUSED + b":1\r\n",
    )


def test_however_the_bytes_are_cut(client: Raw) -> None:
    data = as_array([b"SET", b"k", b"v"]) + as_array([b"rOlE"]) + as_array([b"CONFIG", b"resetstat"]) + b"get k\r\n"
    for at in range(len(data)):
        client.send(data[at : at + 1])
    refused = b"-ERR command 'config|resetstat' is not allowed\r\n"
    assert client.take(5 + len(ROLE_REFUSED) + len(refused) + 7) == b"+OK\r\n" + ROLE_REFUSED + refused + b"$1\r\nv\r\n"


def test_a_refused_command_spoils_a_transaction(client: Raw) -> None:
    client.ask(
        b"MULTI\r\nSET k v\r\nROLE\r\nEXEC\r\nEXISTS k\r\n",
        b"+OK\r\n+QUEUED\r\n"
        + ROLE_REFUSED
        + b"-EXECABORT Transaction discarded because of previous errors.\r\n:0\r\n",
    )


def test_what_is_changed_is_changed_inside_of_a_transaction_too(client: Raw) -> None:
    client.send(b"MULTI\r\nSET k v\r\nINFO replication\r\nSELECT 3\r\nCONFIG GET maxm*\r\nGET k\r\nEXEC\r\nPING\r\n")
    assert client.take(5 + 5 * 9) == b"+OK\r\n" + 5 * b"+QUEUED\r\n"
    assert client.line() == b"*5\r\n"
    assert client.line() == b"+OK\r\n"
    info = client.take(int(client.line()[1:]) + 2)
    assert b"role:master\r\n" in info
    assert b"master_repl_offset:0\r\n" in info
    assert b"replid" not in info
    assert client.take(5 + 4 + 7 + 7) == b"+OK\r\n*0\r\n$1\r\nv\r\n+PONG\r\n"


def test_a_discarded_transaction_leaves_nothing_behind(client: Raw) -> None:
    client.ask(
        b"WATCH w\r\nMULTI\r\nINFO\r\nSELECT 1\r\nDISCARD\r\nMULTI\r\nSELECT 1\r\nEXEC\r\nECHO x\r\n",
        b"+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n$1\r\nx\r\n",
    )


def test_a_transaction_whose_key_was_touched(client: Raw, enterprise: Endpoint) -> None:
    client.ask(b"WATCH w\r\n", b"+OK\r\n")
    with Raw(enterprise) as other:
        other.ask(b"SET w 1\r\n", b"+OK\r\n")
    client.ask(b"MULTI\r\nSELECT 1\r\nINFO\r\nEXEC\r\nGET w\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n$1\r\n1\r\n")


def test_info_shows_the_product(enterprise: Endpoint, client: Raw) -> None:
    with connect(enterprise) as user:
        shown = user.info()
        assert (shown["role"], shown["master_repl_offset"], shown["tcp_port"]) == ("master", 0, enterprise.port)
        assert not {"master_replid", "executable", "slave_repl_offset"} & set(shown)


def test_config_knows_only_what_the_product_lets_see(client: Raw) -> None:
    client.ask(b"CONFIG GET slowlog-max-len\r\n", b"*2\r\n$15\r\nslowlog-max-len\r\n$3\r\n128\r\n")
    client.ask(b"CONFIG GET maxmemory\r\n", b"*0\r\n")
    client.ask(b"CONFIG SET slowlog-max-len 256\r\nCONFIG SET slowlog-max-len 128\r\n", b"+OK\r\n+OK\r\n")
    client.send(b"CONFIG SET maxmemory 1\r\nCONFIG SET slowlog-max-len 5\r\nPING\r\n")
    assert client.line() == b"-ERR Unknown option or number of arguments for CONFIG SET - 'maxmemory'\r\n"
    assert b"between 128 and 1024" in client.line()
    assert client.line() == b"+PONG\r\n"


def test_select_has_no_effect(client: Raw) -> None:
    client.ask(b"SELECT 5\r\nSET k v\r\nSELECT 0\r\nGET k\r\n", b"+OK\r\n+OK\r\n+OK\r\n$1\r\nv\r\n")


def test_a_reply_with_the_looks_of_ours_passes(client: Raw) -> None:
    value = b"-ERR unknown command 'X" + b"0" * 26 + b"', with args beginning with: \r\n"
    client.ask(as_array([b"SET", b"k", value]), b"+OK\r\n")
    client.ask(b"ROLE\r\nGET k\r\nROLE\r\n", ROLE_REFUSED + b"$%d\r\n%b\r\n" % (len(value), value) + ROLE_REFUSED)


def test_a_large_value_goes_through_between_refusals(client: Raw) -> None:
    value = bytes(range(256)) * (64 * 4096)  # 64 MB
    received: list[bytes] = []
    size = 5 + len(ROLE_REFUSED) * 2 + len(b"$67108864\r\n") + len(value) + 2
    reader = threading.Thread(target=lambda: received.append(client.take(size)))
    reader.start()
    client.send(as_array([b"SET", b"k", value]) + b"ROLE\r\nGET k\r\nROLE\r\n")
    reader.join(60)
    assert received == [b"+OK\r\n" + ROLE_REFUSED + b"$67108864\r\n" + value + b"\r\n" + ROLE_REFUSED]


def test_a_blocked_client_is_served_when_it_is_time(client: Raw, enterprise: Endpoint) -> None:
    client.send(b"GET nothing\r\nBLPOP l 0\r\nROLE\r\n")
    assert client.take(5) == b"$-1\r\n"
    with Raw(enterprise) as other:
        other.ask(b"RPUSH l x\r\n", b":1\r\n")
    assert client.take(18 + len(ROLE_REFUSED)) == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n" + ROLE_REFUSED


def test_a_subscriber_of_either_protocol(client: Raw, enterprise: Endpoint) -> None:
    with Raw(enterprise) as new:
        new.send(b"HELLO 3\r\n")
        while new.line() != b"*0\r\n":  # no modules, the last field
            pass
        for subscriber, sign in ((client, b"*"), (new, b">")):
            subscriber.ask(b"SUBSCRIBE c\r\n", sign + b"3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
        with Raw(enterprise) as publisher:
            publisher.ask(b"PUBLISH c hi\r\n", b":2\r\n")
        for subscriber, sign in ((client, b"*"), (new, b">")):
            message = sign + b"3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"
            assert subscriber.take(len(message)) == message
        new.ask(b"ROLE\r\n", ROLE_REFUSED)
        new.send(b"INFO server\r\n")
        assert new.line().startswith(b"=")


def test_hello_shows_a_primary(client: Raw) -> None:
    client.send(b"HELLO 2\r\n")
    shown = [client.line() for _ in range(2)]
    assert shown == [b"*14\r\n", b"$6\r\n"]


def test_replies_that_a_client_does_not_want(client: Raw) -> None:
    client.ask(
        b"CLIENT REPLY SKIP\r\nROLE\r\nPING\r\nCLIENT REPLY OFF\r\nROLE\r\nINFO\r\nCLIENT REPLY ON\r\nROLE\r\n",
        b"+PONG\r\n+OK\r\n" + ROLE_REFUSED,
    )


def test_a_half_closed_client_gets_all_its_replies(enterprise: Endpoint) -> None:
    with Raw(enterprise) as raw:
        raw.send(b"PING\r\nROLE\r\nECHO x\r\n")
        raw.socket.shutdown(1)
        assert raw.rest() == b"+PONG\r\n" + ROLE_REFUSED + b"$1\r\nx\r\n"


@pytest.mark.parametrize(
    ("garbage", "error"),
    [
        (b"*1\r\n$10737418240\r\n", b"invalid bulk length"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n:1\r\n", b"expected '$', got ':'"),
        (b"*2\r\n$4\r\nINFO\r\n\x00", b"expected '$', got '\x00'"),
        (b"\x16\x03\x01" + b"\x00" * 70_000, b"too big inline request"),
    ],
)
def test_who_sends_garbage_is_disconnected_alone(
    client: Raw, enterprise: Endpoint, garbage: bytes, error: bytes
) -> None:
    with Raw(enterprise) as bad:
        bad.ask(b"PING\r\n", b"+PONG\r\n")
        bad.send(b"ECHO x\r\n" + garbage)
        assert bad.rest() == b"$1\r\nx\r\n-ERR Protocol error: " + error + b"\r\n"
    client.ask(b"PING\r\n", b"+PONG\r\n")


def test_scripts_can_not_go_round_the_rules(client: Raw) -> None:
    def refused(script: bytes) -> None:
        client.send(as_array([b"EVAL", script, b"0"]))
        assert b"not allowed from script" in client.line()

    refused(b"return redis.call('ROLE')")
    refused(b"return redis['ca'..'ll']('ro'..'le')")
    refused(b"local c = redis.pcall return c('LASTSAVE')")
    refused(b"return redis.call('INFO')")
    refused(b"return redis.call('memory', 'DOCTOR')")
    refused(b"return getmetatable('').__index.lower and redis.call('Role')")
    client.ask(as_array([b"EVAL", b"return {KEYS[1], ARGV[1]}", b"1", b"a", b"b"]), b"*2\r\n$1\r\na\r\n$1\r\nb\r\n")
    client.ask(as_array([b"EVAL", b"return tostring(_G) .. tostring(loadstring)", b"0"]), b"$6\r\nnilnil\r\n")
    client.ask(as_array([b"EVAL", b"return getmetatable(redis)", b"0"]), b"$-1\r\n")


def test_scripts_keep_their_names(client: Raw) -> None:
    name = b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"  # of return 1
    client.ask(as_array([b"SCRIPT", b"LOAD", b"return 1"]), b"$40\r\n" + name + b"\r\n")
    client.ask(as_array([b"EVALSHA", name.upper(), b"0"]), b":1\r\n")
    client.ask(as_array([b"SCRIPT", b"EXISTS", name, b"0" * 40]), b"*2\r\n:1\r\n:0\r\n")
    client.send(as_array([b"EVALSHA", b"0" * 40, b"0"]))
    assert client.line().startswith(b"-NOSCRIPT")


def test_functions_are_guarded_too(client: Raw) -> None:
    library = b"#!lua name=l\nredis.register_function('f', function(k, a) return redis.call(a[1]) end)"
    client.ask(as_array([b"FUNCTION", b"LOAD", b"REPLACE", library]), b"$1\r\nl\r\n")
    client.ask(as_array([b"FCALL", b"f", b"0", b"PING"]), b"+PONG\r\n")
    client.send(as_array([b"FCALL", b"f", b"0", b"ROLE"]))
    assert b"not allowed from script" in client.line()


def test_a_thousand_refusals_at_once(client: Raw) -> None:
    client.ask(b"ROLE\r\nPING\r\n" * 1000, (ROLE_REFUSED + b"+PONG\r\n") * 1000)


def test_it_says_that_it_is_simulated(client: Raw) -> None:
    client.ask(b"HARNESS\r\n", b"$26\r\nsimulated redis-enterprise\r\n")


@pytest.mark.parametrize("engine", engines_at_hand())
def test_logging_in(engine: str, tmp_path: Path) -> None:
    users = ("requirepass secret", "user ann on >pw ~a* &* +get +set +info")
    with (
        running(engine, tmp_path, *users) as server,
        simulated(Endpoint(server.host, server.port, password="secret"), "redis-enterprise", tmp_path) as endpoint,
    ):
        with Raw(endpoint) as raw:
            raw.send(b"PING\r\nROLE\r\nAUTH wrong\r\nAUTH ann pw\r\nSET a 1\r\nSET b 1\r\nROLE\r\n")
            assert [raw.line()[:8] for _ in range(3)] == [b"-NOAUTH ", b"-NOAUTH ", b"-WRONGPA"]
            assert raw.take(10) == b"+OK\r\n+OK\r\n"
            assert raw.line().startswith(b"-NOPERM")
            assert raw.line() == ROLE_REFUSED
            raw.ask(b"AUTH secret\r\nSET b 1\r\n", b"+OK\r\n+OK\r\n")
        with redis.Redis(endpoint.host, endpoint.port, password="secret", protocol=3) as user:
            assert user.get("b") == b"1"
            assert user.info("replication")["role"] == "master"


def test_reset_logs_out(tmp_path: Path) -> None:
    with (
        running("valkey-server", tmp_path, "requirepass secret") as server,
        simulated(Endpoint(server.host, server.port, password="secret"), "elasticache", tmp_path) as endpoint,
        Raw(endpoint) as raw,
    ):
        raw.ask(b"AUTH secret\r\nPING\r\nRESET\r\n", b"+OK\r\n+PONG\r\n+RESET\r\n")
        raw.send(b"GET k\r\nAUTH secret\r\nSAVE\r\nPING\r\n")
        assert raw.line().startswith(b"-NOAUTH")
        assert raw.line() == b"+OK\r\n"
        assert raw.line() == b"-ERR unknown command 'SAVE', with args beginning with: \r\n"
        assert raw.line() == b"+PONG\r\n"


def test_the_server_dies_and_comes_back(tmp_path: Path) -> None:
    with running("valkey-server", tmp_path / "one") as server:
        port = server.port
        with simulated(server, "redis-enterprise", tmp_path) as endpoint:
            raw = Raw(endpoint)
            raw.ask(b"PING\r\n", b"+PONG\r\n")
            with Connection(server) as admin, pytest.raises(Exception, match="closed"):
                admin.command("SHUTDOWN", "NOSAVE")
            with raw:
                assert raw.rest() == b"-ERR the database behind this endpoint does not answer\r\n"
            with Raw(endpoint) as refused:
                assert refused.rest() == b"-ERR the database behind this endpoint does not answer\r\n"
            with running("valkey-server", tmp_path / "two", port=port), Raw(endpoint) as again:
                again.ask(b"PING\r\nROLE\r\n", b"+PONG\r\n" + ROLE_REFUSED)
    assert "out of reach" in (tmp_path / "endpoint.log").read_text()


def test_limits_of_clients_and_of_idleness(server: Endpoint, tmp_path: Path) -> None:
    limited = simulated(server, "redis-enterprise", tmp_path, max_clients=1, idle_s=0.5)
    with limited as endpoint, Raw(endpoint) as first:
        first.ask(b"PING\r\n", b"+PONG\r\n")
        with Raw(endpoint) as second:
            assert second.rest() == b"-ERR max number of clients reached\r\n"
        assert first.rest() == b""
    assert "idle for 0.5 s" in (tmp_path / "endpoint.log").read_text()


def test_who_waits_is_not_idle(server: Endpoint, tmp_path: Path) -> None:
    limited = simulated(server, "redis-enterprise", tmp_path, idle_s=0.5)
    with limited as endpoint, Raw(endpoint) as blocked, Raw(endpoint) as subscriber, Raw(server) as direct:
        subscriber.ask(b"SUBSCRIBE waiting\r\n", b"*3\r\n$9\r\nsubscribe\r\n$7\r\nwaiting\r\n:1\r\n")
        blocked.ask(b"DEL waited\r\n", b":0\r\n")
        blocked.send(b"BLPOP waited 0\r\n")
        for _ in range(3):  # each of these comes and is found idle, in turn
            with Raw(endpoint) as idle:
                assert idle.rest() == b""
        direct.ask(b"RPUSH waited v\r\nPUBLISH waiting m\r\n", b":1\r\n:1\r\n")
        blocked.ask(b"", b"*2\r\n$6\r\nwaited\r\n$1\r\nv\r\n")
        subscriber.ask(b"", b"*3\r\n$7\r\nmessage\r\n$7\r\nwaiting\r\n$1\r\nm\r\n")


def test_who_waits_by_the_server_s_own_words() -> None:
    clients = b"".join(
        b"id=%d addr=127.0.0.1:%d laddr=127.0.0.1:1 name= flags=%b db=0 sub=0\n" % (port, port, flags)
        for port, flags in ((10, b"N"), (11, b"b"), (12, b"P"), (110, b"bx"))
    )
    assert [waiting(clients, port) for port in (10, 11, 12, 110, 1)] == [False, True, True, True, False]


def test_tls_with_an_authority_made_for_it(server: Endpoint, tmp_path: Path) -> None:
    made = make_certificate(tmp_path, ("127.0.0.1", "localhost"))
    with simulated(server, "azure-managed-redis", tmp_path, certificate=str(made.server)) as endpoint:
        user = Endpoint("127.0.0.1", endpoint.port, tls=True, ca_file=str(made.authority))
        with Connection(user) as connection:
            assert connection.command("SET", "k", "x" * 1_000_000) == Status("OK")
            assert connection.command("GET", "k") == b"x" * 1_000_000
            assert connection.command("SELECT", "1") == ErrorReply("ERR unknown command 'SELECT'")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authority.pem", "endpoint.log", "server.pem"]


def test_a_cluster_client_finds_one_node(server: Endpoint, tmp_path: Path) -> None:
    with simulated(server, "redis-enterprise/oss-cluster", tmp_path) as endpoint:
        for protocol in (2, 3):
            with redis.RedisCluster(host=endpoint.host, port=endpoint.port, protocol=protocol) as cluster:
                assert cluster.set("k", "v")
                assert cluster.get("k") == b"v"
                assert cluster.cluster_keyslot("{a}b") == 15495
                assert [node.port for node in cluster.get_nodes()] == [endpoint.port]
        with Raw(endpoint) as raw:
            raw.send(b"CLUSTER MYID\r\nREADONLY\r\nMSET a 1 b 2\r\n")
            assert raw.line() == b"-ERR command 'cluster|myid' is not allowed\r\n"
            assert raw.line() == b"-ERR unknown command 'READONLY'\r\n"
            assert raw.line().startswith(b"-CROSSSLOT")


def test_keys_of_a_transaction_share_a_slot(server: Endpoint, tmp_path: Path) -> None:
    with simulated(server, "redis-enterprise/sharded", tmp_path) as endpoint, Raw(endpoint) as raw:
        raw.ask(b"FLUSHALL\r\nMSET key1 1 key2 2\r\nMGET key1 key2\r\n", b"+OK\r\n+OK\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n")
        raw.ask(
            b"SUNION key1 key2\r\nMULTI\r\nSET key1 1\r\nSET key2 2\r\nEXEC\r\n",
            b"-CROSSSLOT Keys in request don't hash to the same slot\r\n+OK\r\n+QUEUED\r\n"
            b"-CROSSSLOT Keys in request don't hash to the same slot (context='within MULTI', command='SET', "
            b"original-slot='9189', wrong-slot='4998', first-key='key1', violating-key='key2')\r\n"
            b"-EXECABORT Transaction discarded because of previous errors.\r\n",
        )
        raw.ask(b"MULTI\r\nSET {a}1 1\r\nSET {a}2 2\r\nEXEC\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n")


def test_a_client_that_never_reads_holds_up_nobody(enterprise: Endpoint, client: Raw) -> None:
    client.ask(as_array([b"SET", b"k", b"x" * 1_000_000]), b"+OK\r\n")
    with Raw(enterprise) as deaf:
        deaf.send(b"GET k\r\n" * 100)
        client.ask(b"PING\r\n", b"+PONG\r\n")
        with Connection(enterprise) as third:
            wait_until(lambda: third.command("PING") == Status("PONG"), deadline_s=5, what="an answer")


def test_a_client_that_never_reads_is_disconnected_alone(server: Endpoint, tmp_path: Path) -> None:
    log = tmp_path / "endpoint.log"
    with simulated(server, "redis-enterprise", tmp_path, stalled_s=0.5) as endpoint, Raw(endpoint) as deaf:
        with Raw(endpoint) as other:
            other.ask(as_array([b"SET", b"k", b"x" * 1_000_000]), b"+OK\r\n")
            deaf.send(b"GET k\r\n" * 100)
            told = "it did not read its replies for 0.5 s"
            wait_until(lambda: told in log.read_text(), deadline_s=60, what="the disconnection to be told")
            other.ask(b"PING\r\n", b"+PONG\r\n")
        assert log.read_text().count("disconnected") == 1


def test_oss_changes_nothing(server: Endpoint, tmp_path: Path) -> None:
    with simulated(server, "oss", tmp_path) as endpoint, Raw(endpoint) as raw:
        raw.ask(b"CONFIG GET maxmemory\r\n", b"*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n")
        raw.send(b"HARNESS\r\n")
        assert raw.line().startswith(b"-ERR unknown command 'HARNESS'")
