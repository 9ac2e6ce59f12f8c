from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.runtime.server_config import Credentials, ServerPlan, quoted, server_config, sync_leftover
from harness.topology import Node


def plan(*directives: tuple[str, str], **changes: object) -> ServerPlan:
    node = Node("b", 10878, replica_of="a", password="se cret", directives=directives)
    return ServerPlan(node, "127.3.4.5", 10878, Path("/run/b"), **changes)  # type: ignore[arg-type]


def test_the_whole_file() -> None:
    made = plan(
        ("maxmemory", "100mb"),
        upstream=Credentials("boss", "pw"),
        follows=("127.3.4.5", 6379),
    )

    assert server_config(made) == (
        "bind 127.3.4.5\n"
        "port 10878\n"
        "protected-mode no\n"
        "daemonize no\n"
        'dir "/run/b"\n'
        'logfile "/run/b/server.log"\n'
        "loglevel notice\n"
        'save ""\n'
        "appendonly no\n"
        "rdb-del-sync-files yes\n"
        "repl-diskless-sync no\n"
        "repl-diskless-sync-delay 0\n"
        "repl-diskless-load on-empty-db\n"
        "hz 500\n"
        'requirepass "se cret"\n'
        'masteruser "boss"\n'
        'masterauth "pw"\n'
        "replicaof 127.3.4.5 6379\n"
        "maxmemory 100mb\n"
    )


def test_a_directive_of_the_scenario_replaces_ours() -> None:
    made = server_config(plan(("Repl-Diskless-Sync", "yes"), ("save", "900 1"), ("save", "60 1000")))

    assert "repl-diskless-sync no" not in made
    assert made.count("save") == 2
    assert made.endswith("Repl-Diskless-Sync yes\nsave 900 1\nsave 60 1000\n")


def test_an_empty_value_is_written_as_one() -> None:
    assert server_config(plan(("save", ""))).endswith('save ""\n')


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("port", "write the node's port"),
        ("REPLICAOF", "write the node's replica_of"),
        ("dir", "folder of the run's own"),
    ],
)
def test_what_the_runtime_decides_is_refused(name: str, instead: str) -> None:
    with pytest.raises(UsageError, match=f"node b: the directive '{name}' can't be set: .*{instead}"):
        server_config(plan((name, "1")))


@pytest.mark.parametrize(
    ("name", "value"), [("maxmemory", "1\nport 1"), ("max\nmemory", "1"), ("max memory", "1"), ("", "1")]
)
def test_a_directive_stays_on_its_line(name: str, value: str) -> None:
    with pytest.raises(UsageError, match="has to stand on one line"):
        server_config(plan((name, value)))


def test_quoting_holds_any_text() -> None:
    assert quoted('a"b\\c\nü') == '"a\\x22b\\x5cc\\x0a\\xc3\\xbc"'


def test_a_plan_shows_no_password() -> None:
    shown = repr(plan(upstream=Credentials("y", "hidden2")))
    assert "hidden" not in shown
    assert "se cret" not in shown


def test_what_a_sync_leaves_is_not_what_a_server_saves() -> None:
    assert sync_leftover(plan()) == Path("/run/b/dump.rdb")
    assert sync_leftover(plan(("dbfilename", "my.rdb"))) == Path("/run/b/my.rdb")
    assert sync_leftover(plan(("save", "900 1"))) is None
    assert sync_leftover(plan(("appendonly", "yes"))) is None
