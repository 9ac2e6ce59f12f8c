from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.engine.binaries import Engine, choose
from harness.errors import HarnessError, SetupError, UsageError
from harness.resp.connection import Connection
from harness.resp.replies import Status
from harness.runtime.local import LocalRuntime
from harness.runtime.owner import Owner
from harness.topology import Link, Node, Topology

ALONE = Topology({"a": Node("a", 6379, password="tops3cret")})
PAIR = Topology({"a": Node("a", 6379, password="tops3cret"), "b": Node("b", 10878, replica_of="a")})


@pytest.fixture
def owner() -> Iterator[Owner]:
    with Owner() as owner:
        yield owner


@pytest.fixture
def runtime(owner: Owner) -> LocalRuntime:
    return LocalRuntime(lambda node: choose(None), "written", owner)


def running(program: Path | str, owner: Owner) -> LocalRuntime:
    return LocalRuntime(lambda node: replace(choose(None), program=Path(program)), "written", owner)


def script(folder: Path, text: str) -> Path:
    path = folder / "redis-server"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_only_this_user_can_read_a_server_s_files(runtime: LocalRuntime, owner: Owner) -> None:
    with runtime.deploy(ALONE) as deployment:
        folder = deployment._server("a").plan.folder
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder, folder / "server.conf")
        }
        assert modes == {folder.parent.name: 0o700, "0-a": 0o700, "server.conf": 0o600}


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a process's arguments are read from /proc")
def test_no_password_stands_in_a_process_list(runtime: LocalRuntime) -> None:
    with runtime.deploy(PAIR) as deployment:
        deployment.attach()
        listed = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        assert not [arguments for arguments in listed if b"tops3cret" in arguments]


def test_any_ports_are_free_ones(owner: Owner) -> None:
    runtime = LocalRuntime(lambda node: choose(None), "any", owner)
    with runtime.deploy(PAIR) as deployment:
        deployment.attach()
        assert deployment.endpoint("a").port not in (6379, 10878)
        with Connection(deployment.endpoint("b")) as b:
            assert b.command("PING") == Status("PONG")


def test_a_port_that_is_taken_everywhere_is_named_before_anything_starts(owner: Owner) -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(SetupError, match=rf"port {port} is taken .*--ports any"):
            running("/nowhere", owner).deploy(Topology({"a": Node("a", port)}))


def test_a_port_that_is_taken_meanwhile_is_named(owner: Owner, tmp_path: Path) -> None:
    """Somebody may take it between our look and the server's start."""
    says = "echo '# Could not create server TCP listening socket 127.1.1.1:6379: bind: Address already in use'; exit 1"
    with pytest.raises(
        SetupError, match=r"node a .* ended with exit code 1: port 6379 on 127\.\S+ is taken; use --ports any"
    ):
        running(script(tmp_path, says), owner).deploy(ALONE)


def test_a_program_that_can_t_be_run(owner: Owner) -> None:
    with pytest.raises(SetupError, match=r"node a: /nowhere/redis-server can't be run: No such file or directory"):
        running("/nowhere/redis-server", owner).deploy(ALONE)


def test_a_server_that_dies_by_a_signal_is_shown_with_the_end_of_its_log(owner: Owner, tmp_path: Path) -> None:
    says = "for n in $(seq 30); do echo line $n; done; kill -SEGV $$"
    with pytest.raises(
        SetupError, match=r"node a .* ended by signal 11 \(Segmentation fault\)\n  its log ends:"
    ) as caught:
        running(script(tmp_path, says), owner).deploy(ALONE)
    assert str(caught.value).endswith("\n    line 29\n    line 30")
    assert "line 18" not in str(caught.value)


def test_no_password_stands_in_an_error(owner: Owner, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r'requirepass "\*\*\*"') as caught:
        running(script(tmp_path, 'cat "$1"; exit 1'), owner).deploy(PAIR)
    assert "tops3cret" not in str(caught.value)


def test_a_password_that_a_directive_overrides_is_no_riddle(owner: Owner) -> None:
    nodes = {"a": Node("a", 6379, password="tops3cret", directives=(("user", "default on >other ~* +@all"),))}
    runtime = LocalRuntime(lambda node: choose(None), "written", owner)
    with pytest.raises(SetupError, match=r"node a .* doesn't take the password that its own file gives"):
        runtime.deploy(Topology(nodes))


def test_a_reserved_directive_is_the_scenario_s_mistake(runtime: LocalRuntime) -> None:
    with pytest.raises(UsageError, match="node a: the directive 'bind' can't be set"):
        runtime.deploy(Topology({"a": Node("a", 6379, directives=(("bind", "0.0.0.0"),))}))


def test_an_engine_that_is_not_there_stops_everything_before_it_starts(owner: Owner) -> None:
    def engines(node: Node) -> Engine:
        return choose("redis-1.0" if node.name == "b" else None)

    with pytest.raises(SetupError, match=r"engine redis-1\.0 is not on this machine"):
        LocalRuntime(engines, "written", owner).deploy(PAIR)
    assert owner._processes == {}


def test_after_a_failed_start_nothing_is_left(runtime: LocalRuntime, owner: Owner) -> None:
    nodes = {"a": Node("a", 6379), "b": Node("b", 6380, directives=(("no-such-directive", "1"),))}
    with pytest.raises(SetupError, match=r"no-such-directive"):
        runtime.deploy(Topology(nodes))
    assert owner._processes == {}
    assert owner._folders == []


@dataclass
class Proxy:
    """Notes what is asked of it; the link it gives leads to where it was asked to lead."""

    opened: list[tuple[str, tuple[str, int], str]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def open_link(self, name: str, upstream: tuple[str, int], listen_host: str) -> ProxiedLink:
        self.opened.append((name, upstream, listen_host))
        return ProxiedLink(self, name, upstream)


@dataclass
class ProxiedLink:
    proxy: Proxy
    name: str
    listen: tuple[str, int]

    def close(self) -> None:
        self.proxy.closed.append(self.name)


def test_links_that_are_to_be_disturbed_lead_through_the_proxy(runtime: LocalRuntime) -> None:
    proxy, links = Proxy(), (Link("a", "b"), Link("client", "a"))
    with runtime.deploy(PAIR, links, proxy) as deployment:
        host = deployment.endpoint("a").host
        assert proxy.opened == [
            (f"a-b-{host}-6379", (host, 6379), host),
            (f"client-a-{host}-6379", (host, 6379), host),
        ]
        assert set(deployment.proxied) == set(links)

        elsewhere = ("127.0.0.1", 1)
        deployment.proxied[Link("client", "a")].listen = elsewhere  # type: ignore[misc]
        assert (deployment.entry("a").host, deployment.entry("a").port) == elsewhere
        assert deployment.entry("a").password == "tops3cret"
        assert deployment.endpoint("a").port == 6379
        assert deployment.control("a").port == 6379
        assert deployment.entry("b") == deployment.endpoint("b")

        deployment.attach()
        with Connection(deployment.control("a")) as a:
            a.command("SET", "k", "v")
            assert a.command("WAIT", 1, 10_000) == 1
    assert sorted(proxy.closed) == [f"a-b-{host}-6379", f"client-a-{host}-6379"]


def test_links_need_a_proxy(runtime: LocalRuntime) -> None:
    with pytest.raises(HarnessError, match=re.escape("the links a->b need a fault proxy, and none was given")):
        runtime.deploy(PAIR, (Link("a", "b"),))


def test_a_dead_node_can_t_be_paused(runtime: LocalRuntime) -> None:
    with runtime.deploy(ALONE) as deployment:
        deployment.kill("a")
        with pytest.raises(SetupError, match=r"node a \(.*\) ended by signal 9"):
            deployment.pause("a")


def test_the_clock_is_fast_only_while_replicas_attach(runtime: LocalRuntime) -> None:
    with runtime.deploy(PAIR) as deployment:
        deployment.attach()
        for restart in (False, True):
            if restart:
                deployment.restart("a")
            with Connection(deployment.control("a")) as a:
                assert a.command("CONFIG", "GET", "hz") == [b"hz", b"10"]
