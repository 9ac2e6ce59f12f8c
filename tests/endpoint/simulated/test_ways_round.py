"""Ways round a product's rules, each of them closed: forms of a command, scripts, dumps, replication, sheer size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.endpoint.address import Endpoint
from harness.endpoint.simulated.requests import as_array
from harness.resp.connection import Connection
from harness.runtime.readiness import wait_until
from tests.endpoint.simulated.endpoints import Raw, simulated
from tests.support.servers import running


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
