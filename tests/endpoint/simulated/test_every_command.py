"""Every command that a server has, sent once to every product: refused or allowed as the data say, in their wording.

What is expected is worked out here from profiles.yaml itself, in a few lines of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

import harness.endpoint.profile as profile_module
from harness.endpoint.address import Endpoint
from harness.endpoint.profile import profile, profiles
from harness.resp.connection import Connection, ConnectionLost
from harness.resp.replies import ErrorReply, Reply
from tests.endpoint.simulated.endpoints import simulated
from tests.support.servers import engines_at_hand, running

# Allowed commands that end the connection, hold it up or stop the server; whether they are refused is tested above all.
DANGEROUS = {
    "shutdown",
    "quit",
    "monitor",
    "sync",
    "psync",
    "debug",
    "failover",
    "reset",
    "client|reply",
    "client|pause",
}
DANGEROUS |= {
    "replicaof",
    "slaveof",
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "client|kill",
    "client|no-evict",
    "hello",
}
DANGEROUS |= {"config|set", "config|rewrite", "acl|deluser", "multi", "exec", "module|load", "module|loadex", "auth"}
PRODUCTS = [name for name in profiles() if name != "oss" and profile(name.partition("/")[0]).name == name] + [
    "azure-managed-redis/enterprise",
    "redis-enterprise/oss-cluster",
    "redis-enterprise/sharded",
    "azure-managed-redis/no-cluster",
]


@pytest.fixture(scope="module", params=engines_at_hand())
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with running(request.param, tmp_path_factory.mktemp("server")) as endpoint:
        yield endpoint


@cache
def facts() -> Any:
    return yaml.safe_load(Path(profile_module.__file__).with_name("profiles.yaml").read_text())


def commands(server: Endpoint) -> list[str]:
    with Connection(server) as connection:
        reply = connection.command("COMMAND", "LIST")
    assert isinstance(reply, list)
    return sorted(name.decode() for name in reply if isinstance(name, bytes))


def admin_commands(server: Endpoint) -> set[str]:
    with Connection(server) as connection:
        reply = connection.command("COMMAND", "LIST", "FILTERBY", "ACLCAT", "admin")
    assert isinstance(reply, list)
    return {name.decode() for name in reply if isinstance(name, bytes)}


def refused_by(name: str, server: Endpoint) -> set[str]:
    """What the product refuses, in the spelling of COMMAND LIST."""
    everything = facts()["profiles"]
    enterprise, elasticache = everything["redis-enterprise"], everything["elasticache"]
    core = enterprise["blocked_core"] + enterprise["blocked_not_yet_implemented"]
    cluster = enterprise["cluster"]["oss_api_only"]
    lists = {
        "redis-enterprise": core + cluster,
        "redis-enterprise/oss-cluster": core,
        "redis-enterprise/sharded": core + cluster,
        "redis-cloud": [*core, *cluster, "WAIT"],
        "azure-managed-redis": [*core, "SELECT"],
        "azure-managed-redis/enterprise": [*core, *cluster, "SELECT"],
        "azure-managed-redis/no-cluster": [*core, *cluster, "SELECT"],
        "azure-cache-for-redis": everything["azure-cache-for-redis"]["simulation"]["refused"],
        "elasticache": elasticache["blocked"],
        "elasticache-serverless": elasticache["blocked"] + everything["elasticache-serverless"]["blocked_extra"],
        "memorystore": everything["memorystore"]["blocked"],
    }
    if name in lists:
        management = facts()["common"]["server_management"]["commands"]
        return {command.lower().replace(" ", "|") for command in (*lists[name], *management)}
    allowed = {command.lower().replace(" ", "|") for command in everything[name]["simulation"]["allowed"]}
    return ({"client", "config"} | admin_commands(server)) - allowed


WORDS = {
    "redis-enterprise": "ERR command '{full}' is not allowed",
    "redis-cloud": "ERR command '{full}' is not allowed",
    "redis-enterprise/oss-cluster": "ERR command '{full}' is not allowed",
    "azure-managed-redis": "ERR unknown {sub}command '{last}'",
    "azure-managed-redis/enterprise": "ERR unknown {sub}command '{last}'",
    "azure-cache-for-redis": "ERR unknown command `{first}`, with args beginning with: {rest}",
    "elasticache": "ERR unknown command '{first}', with args beginning with: {rest}",
    "elasticache-serverless": "ERR unknown command '{first}', with args beginning with: {rest}",
    "memorystore": "ERR unknown command `{first}`, with args beginning with: {rest}",
    "memorystore-cluster": "NOPERM this user has no permissions to run the '{full}' command",
}
REST = {"elasticache": "'{}' ", "elasticache-serverless": "{} "}
SUBCOMMAND = {
    "azure-cache-for-redis": "ERR Unknown subcommand or wrong number of arguments for '{last}'. Try {upper} HELP.",
    "elasticache": "ERR unknown subcommand '{last}'. Try {upper} HELP.",
    "elasticache-serverless": "ERR unknown subcommand '{last}'. Try {upper} HELP.",
    "memorystore": "ERR Unknown subcommand or wrong number of arguments for '{last}'. Try {upper} HELP.",
}
OTHER = {
    "asking": "ERR unknown command 'asking'",
    "readonly": "ERR unknown command 'readonly'",
    "readwrite": "ERR unknown command 'readwrite'",
}


SAME = {"redis-enterprise/sharded": "redis-enterprise", "azure-managed-redis/no-cluster": "azure-managed-redis"}


def wording(name: str, command: str, refused: set[str]) -> str:
    name = SAME.get(name, name)
    first, _, last = command.partition("|")
    if name == "azure-managed-redis/enterprise" and first == "cluster":
        return "ERR command is not allowed"
    if name.startswith("redis-") and command in OTHER:
        return OTHER[command]
    by_subcommand = bool(last) and first not in refused
    if by_subcommand and name in SUBCOMMAND:
        return SUBCOMMAND[name].format(last=last, upper=first.upper())
    rest = REST.get(name, "`{}`, ").format(last) if last else ""
    sub, full = ("sub", command) if by_subcommand else ("", first)
    if name == "azure-managed-redis" or name.startswith("azure-managed"):
        return WORDS[name].format(sub=sub, last=last if by_subcommand else first)
    if name == "memorystore-cluster":
        full = command if by_subcommand else first
    return WORDS[name].format(full=full, first=first, rest=rest)


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_command_once(server: Endpoint, name: str, tmp_path: Path) -> None:
    refused = refused_by(name, server)
    wrong = []
    with simulated(server, name, tmp_path) as endpoint, Asking(endpoint) as asking:
        for command in commands(server):
            is_refused = command in refused or command.partition("|")[0] in refused
            if name == "memorystore-cluster":
                allowed = {one.lower().replace(" ", "|") for one in facts()["profiles"][name]["simulation"]["allowed"]}
                is_refused = is_refused and command not in allowed and command not in ("client", "config")
                if command in ("client", "config"):
                    continue  # without a subcommand: whether it is refused depends on the server's own arity check
            if not is_refused and command in DANGEROUS:
                continue
            reply = asking.once(command)
            text = reply.text if isinstance(reply, ErrorReply) else ""
            expected = wording(name, command, refused)
            if is_refused and text != expected:
                wrong.append(f"{command}: {text!r}, not {expected!r}")
            if not is_refused and any(words in text for words in ("not allowed", "unknown", "NOPERM")):
                wrong.append(f"{command}: should be allowed, but: {text!r}")
    assert wrong == []


class Asking:
    """One connection for many commands; a new one where a command ended it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection = Connection(endpoint, timeout_s=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def once(self, command: str) -> Reply:
        """Sent without arguments, which no allowed command may take amiss but by saying so."""
        try:
            return self._connection.command(*command.split("|"))
        except ConnectionLost as lost:
            self._connection.close()
            self._connection = Connection(self._endpoint, timeout_s=30)
            return str(lost).encode()
