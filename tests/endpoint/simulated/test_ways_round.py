"""Ways round a product's rules, each of them closed: forms of a command, scripts, dumps, replication, sheer size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.simulated.commands import MOVABLE, CommandFacts, _movable_keys, read_commands
from harness.endpoint.simulated.frames import parse
from harness.endpoint.simulated.plan import Behaviour
from harness.endpoint.simulated.requests import as_array
from harness.endpoint.simulated.rules import Rules
from harness.resp.connection import Connection
from harness.runtime.readiness import wait_until
from tests.endpoint.simulated.endpoints import Raw, simulated
from tests.support.servers import engines_at_hand, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running("valkey-server", tmp_path_factory.mktemp("server"), "repl-diskless-sync-delay 0") as endpoint:
        yield endpoint


def test_functions_from_a_dump_would_go_round_the_rules(server: Endpoint, tmp_path: Path) -> None:
    with Connection(server) as direct:
        direct.command("FUNCTION", "FLUSH")
        direct.command("FUNCTION", "LOAD", "#!lua name=d\nredis.register_function('sly', function() return 1 end)")
        dump = direct.command("FUNCTION", "DUMP")
        direct.command("FUNCTION", "FLUSH")
    assert isinstance(dump, bytes)
    with simulated(server, "redis-enterprise", tmp_path) as endpoint, Raw(endpoint) as client:
        client.send(as_array([b"function", b"ReStore", dump]) + as_array([b"FCALL", b"sly", b"0"]))
        assert client.line() == b"-ERR a simulated endpoint can't look into a dump of functions; use FUNCTION LOAD\r\n"
        assert client.line() == b"-ERR Function not found\r\n"


HARMFUL = {
    "redis-enterprise": [
        b"CONFIG REWRITE",
        b"SYNC",
        b"PSYNC ? -1",
        b"REPLICAOF NO ONE",
        b"MODULE LOAD x",
        b"DEBUG JMAP",
    ],
    "elasticache": [b"CONFIG REWRITE", b"SYNC", b"PSYNC ? -1", b"SLAVEOF NO ONE", b"FAILOVER", b"CLUSTER RESET"],
    "memorystore": [b"CONFIG REWRITE", b"REPLICAOF NO ONE", b"SLAVEOF NO ONE", b"SHUTDOWN NOSAVE", b"MODULE UNLOAD x"],
    "memorystore-cluster": [b"CONFIG REWRITE", b"SYNC", b"PSYNC ? -1", b"SLAVEOF NO ONE", b"ACL SETUSER x on"],
}


def mixed_case(word: bytes) -> bytes:
    return b"".join(word[at : at + 1].swapcase() if at % 2 else word[at : at + 1] for at in range(len(word)))


@pytest.mark.parametrize("name", HARMFUL)
def test_no_form_of_a_refused_command_reaches_the_server(server: Endpoint, name: str, tmp_path: Path) -> None:
    """Mixed case, an array cut at any byte, typed, queued, in a script; the server's own counters are the witness."""
    commands = [line.split() for line in HARMFUL[name]]
    with Connection(server) as admin:
        admin.command("CONFIG", "RESETSTAT")
    with simulated(server, name, tmp_path) as endpoint, Raw(endpoint) as raw:
        for words in commands:
            mixed = [
                b"".join(bytes([one]).swapcase() if at % 2 else bytes([one]) for at, one in enumerate(word))
                for word in words
            ]
            for at, byte in enumerate(data := as_array(mixed)):
                raw.send(bytes([byte])) if at < len(data) else None
            raw.send(b" ".join(words) + b"\r\n" + b"MULTI\r\n" + b" ".join(mixed) + b"\r\nEXEC\r\n")
            script = b"return redis.call(%b)" % b",".join(b"'%b'" % word for word in mixed)
            raw.send(as_array([b"EVAL", script, b"0"]) + as_array([b"eval_ro", script, b"0"]))
            refusals = [raw.line(), raw.line()]
            assert raw.line() == b"+OK\r\n"
            refusals.append(raw.line())
            assert raw.line().startswith(b"-EXECABORT")
            assert all(
                line.startswith((b"-ERR unknown", b"-ERR Unknown", b"-ERR command", b"-NOPERM")) for line in refusals
            )
            assert [b"not allowed from script" in raw.line() for _ in range(2)] == [True, True]
        raw.ask(b"PING\r\n", b"+PONG\r\n")
    with Connection(server) as admin:
        stats = admin.command("INFO", "commandstats")
    assert isinstance(stats, bytes)
    reached = {line.partition(b":")[0].removeprefix(b"cmdstat_") for line in stats.splitlines()}
    refused = {words[0].lower() for words in commands} | {b"|".join(words[:2]).lower() for words in commands}
    assert not (reached & refused)


@pytest.mark.parametrize(("name", "follows"), [("elasticache", False), ("memorystore", True)])
def test_a_replica_can_not_attach_where_the_product_refuses_it(
    server: Endpoint, name: str, follows: bool, tmp_path: Path
) -> None:
    """Without PSYNC a replica falls back to SYNC, so that both have to be refused; where neither is, it follows."""
    with (
        simulated(server, name, tmp_path) as endpoint,
        running("valkey-server", tmp_path / "replica", f"replicaof 127.0.0.1 {endpoint.port}") as replica,
        Connection(replica) as asked,
    ):

        def decided() -> bytes | None:
            info, log = asked.command("INFO", "replication"), (tmp_path / "replica" / "server.log").read_bytes()
            assert isinstance(info, bytes)
            return info if b"master_link_status:up" in info or b"unknown command" in log.lower() else None

        info = wait_until(decided, deadline_s=60, what="the replica to follow, or to be refused")
        assert (b"master_link_status:up" in info) == follows


def test_large_commands_are_looked_at_too(server: Endpoint, tmp_path: Path) -> None:
    """Keys that share a slot pass whatever their number and their values' size, others are refused as a whole."""
    value = b"v" * 3_000_000
    pairs = [word for number in range(30_000) for word in (b"{t}%d" % number, b"x" * 40)]
    with simulated(server, "redis-enterprise/oss-cluster", tmp_path) as endpoint, Raw(endpoint) as raw:
        raw.ask(as_array([b"MSET", b"{t}a", value, b"{t}b", value]), b"+OK\r\n")
        raw.ask(as_array([b"MSET", *pairs]) + b"EXISTS {t}29999\r\n", b"+OK\r\n:1\r\n")
        keys = [b"{t}%d" % number for number in range(100_000)]
        script = as_array([b"EVAL", b"return #KEYS + #ARGV", b"%d" % len(keys), *keys, value])
        raw.ask(script, b":100001\r\n")
        raw.send(as_array([b"MSET", b"{t}c", value, b"{u}c", value]) + b"EXISTS {t}c\r\n")
        assert raw.line().startswith(b"-CROSSSLOT")
        assert raw.line() == b":0\r\n"
        raw.send(as_array([b"EVAL", b"return 1", b"2", b"{t}a", b"{u}a", value]) + b"PING\r\n")
        assert raw.line().startswith(b"-CROSSSLOT")
        assert raw.line() == b"+PONG\r\n"
        raw.send(as_array([b"MSET", b"{t}c", b"v" * 65 * 1024 * 1024]) + b"PING\r\n")
        assert b"larger than what a simulated endpoint looks at (64 MB" in raw.line()
        raw.ask(b"PING\r\n" + as_array([b"MSET", b"{t}a", value]), b"+PONG\r\n+PONG\r\n+OK\r\n")


def test_a_reset_that_the_server_refuses_opens_no_gap(server: Endpoint, tmp_path: Path) -> None:
    with simulated(server, "elasticache", tmp_path) as endpoint, Raw(endpoint) as raw:
        for command in (b"CONFIG SET maxmemory 123mb\r\n", b"EVAL \"return redis.call('CONFIG','GET','save')\" 0\r\n"):
            raw.send(b"RESET x\r\n" + command + b"PING\r\n")
            assert raw.line() == b"-ERR wrong number of arguments for 'reset' command\r\n"
            assert b"unknown command" in (line := raw.line()) or b"not allowed from script" in line
            assert raw.line() == b"+PONG\r\n"


@pytest.mark.parametrize("name", [b"N" * 70, b"N" * 700, b""])
def test_no_name_hides_a_login(name: bytes, tmp_path: Path) -> None:
    """The reply to a command that has no proper name is its own, and not that of the login behind it."""
    with (
        running("valkey-server", tmp_path, "requirepass secret") as server,
        simulated(replace(server, password="secret"), "redis-enterprise", tmp_path) as endpoint,
        Raw(endpoint) as raw,
    ):
        raw.send(as_array([name]) + as_array([b"AUTH", b"secret"]) + b"REPLICAOF 127.0.0.1 1\r\nROLE\r\n")
        assert raw.line().startswith((b"-NOAUTH", b"-ERR unknown command"))
        assert raw.line() == b"+OK\r\n"
        assert [raw.line()[:12] for _ in range(2)] == [b"-ERR command"] * 2


DISARMING = [b"refused_={}", b"refuse_=function() end", b"call_=nil pcall_=nil r_=nil", b"lower_=nil type_=nil"]


@pytest.mark.parametrize("start", DISARMING)
def test_a_script_can_not_disarm_its_guard(server: Endpoint, start: bytes, tmp_path: Path) -> None:
    body = b"return redis.pcall('RoLe').err or 'it went through'"
    library = b"#!lua name=l\n%b redis.register_function('f', function() %b end)" % (start, body)
    with simulated(server, "redis-enterprise", tmp_path) as endpoint, Raw(endpoint) as raw:
        raw.send(as_array([b"EVAL", start + b" " + body, b"0"]))
        raw.send(as_array([b"FUNCTION", b"LOAD", b"REPLACE", library]) + b"FCALL f 0\r\nPING\r\n")
        replies = [raw.line()]
        while not replies[-1].startswith(b"+PONG"):
            replies.append(raw.line())
    assert not any(b"went through" in reply for reply in replies)
    assert any(b"not allowed from script" in reply or b"global variable" in reply for reply in replies)


@pytest.mark.parametrize(
    "call", [b"'SELECT',5", b"'select','5'", b"'COPY','a','b','DB',5", b"'copy','a','b','REPLACE','db','5'"]
)
def test_a_script_has_the_product_s_databases(server: Endpoint, call: bytes, tmp_path: Path) -> None:
    script = b"redis.call(%b) return redis.call('SET','in5','v')" % call
    with simulated(server, "elasticache-serverless", tmp_path) as endpoint, Raw(endpoint) as raw:
        raw.send(as_array([b"EVAL", script, b"0"]))
        assert b"DB index is out of range" in raw.line()
        raw.ask(as_array([b"EVAL", b"redis.call('SELECT',0) return 1", b"0"]), b":1\r\n")


@pytest.mark.parametrize("name", ["redis-enterprise", "elasticache-serverless"])
def test_no_copy_into_a_database_that_the_product_lacks(server: Endpoint, name: str, tmp_path: Path) -> None:
    with simulated(server, name, tmp_path) as endpoint, Raw(endpoint) as raw:
        raw.ask(as_array([b"SET", b"{c}a", b"1"]) + b"DEL {c}b\r\n", b"+OK\r\n:0\r\n")
        raw.ask(b"COPY {c}a {c}b DB 3\r\ncopy {c}a {c}b replace db 3\r\n", b"-ERR DB index is out of range\r\n" * 2)
        raw.ask(b"COPY {c}a {c}b DB 0\r\nDEL {c}b\r\n", b":1\r\n:1\r\n")


def test_replies_go_on_where_the_server_did_not_stop_them(server: Endpoint, tmp_path: Path) -> None:
    with simulated(server, "redis-enterprise", tmp_path) as endpoint, Raw(endpoint) as raw:
        raw.send(b"CLIENT REPLY OFF x\r\nROLE\r\nHARNESS\r\n")
        assert [raw.line()[:12] for _ in range(2)] == [b"-ERR wrong n", b"-ERR command"]
        raw.ask(b"", b"$26\r\nsimulated redis-enterprise\r\n")
        raw.send(b"MULTI\r\nCLIENT REPLY OFF\r\nDISCARD\r\nROLE\r\n")
        assert raw.line() == b"+OK\r\n"
        assert raw.line() == b"-ERR CLIENT REPLY inside a transaction is not simulated\r\n"
        assert [raw.line()[:12] for _ in range(2)] == [b"+OK\r\n", b"-ERR command"]


@pytest.mark.parametrize("begin", [b"MULTI x\r\n", b"DISCARD x\r\n", b"EXEC x\r\n"])
def test_what_begins_no_transaction_changes_nothing(server: Endpoint, begin: bytes, tmp_path: Path) -> None:
    with simulated(server, "redis-enterprise", tmp_path) as endpoint, Raw(endpoint) as raw:
        raw.send(begin + b"HARNESS\r\nSELECT 0\r\nCONFIG GET nothing\r\n")
        assert b"wrong number of arguments" in raw.line()
        raw.ask(b"", b"$26\r\nsimulated redis-enterprise\r\n+OK\r\n*0\r\n")


def test_keys_behind_a_subcommand_count_in_a_transaction(server: Endpoint, tmp_path: Path) -> None:
    with simulated(server, "redis-enterprise/oss-cluster", tmp_path) as endpoint, Raw(endpoint) as raw:
        raw.send(b"MULTI\r\nSET {a} 1\r\nOBJECT ENCODING {a}\r\nXGROUP CREATE {b} g $ MKSTREAM\r\nDISCARD\r\n")
        lines = [raw.line() for _ in range(5)]
        assert lines[:3] == [b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n"]
        assert lines[3].startswith(b"-CROSSSLOT")


def test_keys_with_something_between_them() -> None:
    facts = CommandFacts("msetex", frozenset(), frozenset(), 2, 2, 1, movable=True)
    assert _movable_keys("msetex", [b"MSETEX", b"2", b"a", b"1", b"b", b"2", b"EX", b"9"]) == [b"a", b"b"]
    rules = Rules(Behaviour(one_slot=True), {"msetex": facts})
    assert rules.further([b"msetex", b"2"]) == 6
    assert rules.crossing([b"msetex", b"2", b"a", b"1", b"b", b"2"], None) is not None
    assert rules.crossing([b"msetex", b"1", b"a", b"b", b"EX", b"9"], None) is None


@pytest.mark.parametrize("engine", engines_at_hand())
def test_every_command_s_keys_are_known(engine: str, tmp_path: Path) -> None:
    with running(engine, tmp_path) as server, Raw(server) as raw:
        raw.send(b"COMMAND\r\nQUIT\r\n")
        facts = read_commands(parse(raw.rest()))
    assert {name for name, fact in facts.items() if fact.movable} <= MOVABLE
