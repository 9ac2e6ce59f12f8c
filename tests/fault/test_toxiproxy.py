"""The adapter: which proxy is had and how, what it cures in toxiproxy-python, and that nothing is left behind."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import toxiproxy.api

from harness.errors import HarnessError, SetupError, UsageError
from harness.fault.toxic import Toxic
from harness.fault.toxiproxy import FaultProxy, open_fault_proxy
from harness.runtime.owner import Owner
from harness.runtime.readiness import wait_until
from harness.topology import Link
from tests.fault.tcp import Upstream, receive, refuses

A_TO_B = Link.parse("a->b")
LATENCY = Toxic("latency", {"latency": 1})


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[FaultProxy]:
    """A fault proxy that somebody else runs, to be given by its URL."""
    with open_fault_proxy("embedded") as running:
        yield running


def shown(url: str, path: str = "/proxies") -> Any:
    connection = http.client.HTTPConnection(str(urlsplit(url).hostname), urlsplit(url).port, timeout=20)
    connection.request("GET", path)
    content = json.loads(connection.getresponse().read())
    connection.close()
    return content


def is_running(pid: int) -> bool:
    """Whether there is such a process, but as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children() -> set[int]:
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return {int(pid) for pid in listed.split() if is_running(int(pid))}


def program(folder: Path, text: str, name: str = "toxiproxy-server") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


class Answering(ThreadingHTTPServer):
    """A web server that gives the same answer to everything; a context manager."""

    daemon_threads = True

    def __init__(self, status: int, body: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name that http.server looks for
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class TestEmbedded:
    def test_what_it_says_of_itself(self) -> None:
        with open_fault_proxy("embedded") as proxy:
            assert (proxy.kind, proxy.version, proxy.where) == ("embedded", "2.12.0", "own process")

    def test_closing_ends_its_process_and_only_that(self) -> None:
        before = children()
        with open_fault_proxy("embedded") as first, Upstream() as upstream:
            second = open_fault_proxy("embedded")
            link = first.open_link("a->b", upstream.address, "127.0.0.1")
            second.close()
            second.close()
            upstream.connect(link.listen)
            assert len(children() - before) == 1
        assert children() == before
        assert refuses(link.listen)
        link.close()

    def test_a_link_of_a_proxy_that_has_died(self) -> None:
        before = children()
        with open_fault_proxy("embedded") as proxy, Upstream() as upstream:
            link = proxy.open_link("a->b", upstream.address, "127.0.0.1")
            (pid,) = children() - before
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not is_running(pid), deadline_s=20, what="its end")
            expected = r"a->b: cut failed: the embedded fault proxy was ended by SIGKILL; its last lines:\n\(none\)"
            with pytest.raises(HarnessError, match=expected):
                link.cut()

    def test_dies_with_a_parent_that_is_killed(self) -> None:
        code = (
            "from harness.fault.toxiproxy import open_fault_proxy\n"
            "proxy = open_fault_proxy('embedded'); link = proxy.open_link('a->b', ('127.0.0.1', 1), '127.0.0.1')\n"
            "print(proxy._process.pid, link.listen[1], flush=True); input()"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            pid, port = map(int, parent.stdout.readline().split())
            assert is_running(pid)
            parent.kill()
        wait_until(lambda: not is_running(pid), deadline_s=20, what="the proxy's end")
        assert refuses(("127.0.0.1", port))

    def test_is_not_met_by_a_terminals_interrupt(self) -> None:
        before = children()
        with open_fault_proxy("embedded"):
            (pid,) = children() - before
            assert os.getsid(pid) == pid


class TestTwoServersAtOnce:
    def test_two_threads_on_each(self) -> None:
        """toxiproxy-python keeps one server's address for the whole process; we must not."""
        failures: list[BaseException] = []

        def disturb(proxy: FaultProxy, upstream: Upstream, name: str) -> None:
            try:
                link = proxy.open_link(name, upstream.address, "127.0.0.1")
                for _ in range(20):
                    toxic = link.add(LATENCY, A_TO_B)
                    made = next(
                        entry for entry in shown(proxy.url).values() if entry["listen"].endswith(str(link.listen[1]))
                    )
                    assert [entry["name"] for entry in made["toxics"]] == [toxic]
                    link.cut()
                    link.restore()
                    link.remove(toxic)
                link.close()
            except BaseException as error:  # noqa: BLE001  # told to the test's own thread
                failures.append(error)

        with open_fault_proxy("embedded") as one, open_fault_proxy("embedded") as two, Upstream() as upstream:
            threads = [
                threading.Thread(target=disturb, args=(proxy, upstream, name))
                for proxy in (one, two)
                for name in ("a->b", "a->c")
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failures == []
            assert (shown(one.url), shown(two.url)) == ({}, {})

    def test_the_package_stays_as_others_use_it(self) -> None:
        modules = set(sys.modules)
        with open_fault_proxy("embedded") as proxy:
            proxy.open_link("a->b", ("127.0.0.1", 1), "127.0.0.1")
        assert (toxiproxy.api.APIConsumer.host, toxiproxy.api.APIConsumer.port) == ("127.0.0.1", 8474)
        assert toxiproxy.api.requests.__name__ == "requests"
        assert not {name for name in set(sys.modules) - modules if "copy" in name}

    def test_http_proxies_of_the_environment_are_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with open_fault_proxy("embedded") as proxy:
            assert proxy.version == "2.12.0"


class TestGivenByUrl:
    def test_says_what_really_answers(self, elsewhere: FaultProxy) -> None:
        with open_fault_proxy(elsewhere.url) as proxy:
            assert (proxy.kind, proxy.version, proxy.where) == ("embedded", "2.12.0", elsewhere.url)

    def test_two_runs_use_the_same_names_and_remove_only_their_own(self, elsewhere: FaultProxy) -> None:
        with Upstream() as upstream, open_fault_proxy(elsewhere.url) as first:
            with open_fault_proxy(elsewhere.url) as second:
                mine = first.open_link("a->b", upstream.address, "127.0.0.1")
                second.open_link("a->b", upstream.address, "127.0.0.1")
                names = list(shown(elsewhere.url))
                assert len(names) == 2
                assert all(re.fullmatch(rf"harness-{os.getpid()}-[0-9a-f]{{8}}-1-a-to-b", name) for name in names)
            assert len(shown(elsewhere.url)) == 1
            mine.add(LATENCY, A_TO_B)
        assert shown(elsewhere.url) == {}

    def test_the_way_through_it_is_tried_once(self, elsewhere: FaultProxy) -> None:
        with Upstream() as upstream, open_fault_proxy(elsewhere.url) as proxy:
            link = proxy.open_link("a->b", upstream.address, "127.0.0.1")
            assert receive(upstream.accept(), 1) == b""
            client, server = upstream.connect(link.listen)
            client.sendall(b"x")
            assert receive(server, 1) == b"x"

    def test_a_proxy_that_somebody_else_removed(self, elsewhere: FaultProxy) -> None:
        with Upstream() as upstream, open_fault_proxy(elsewhere.url) as proxy:
            link = proxy.open_link("a->b", upstream.address, "127.0.0.1")
            (name,) = shown(elsewhere.url)
            connection = http.client.HTTPConnection(urlsplit(elsewhere.url).netloc, timeout=20)
            connection.request("DELETE", f"/proxies/{name}")
            connection.getresponse().read()
            connection.close()
            with pytest.raises(SetupError, match=r"a->b: cut failed: .* refused POST .*: proxy not found \(HTTP 404\)"):
                link.cut()

    def test_a_server_that_goes_away_has_nothing_left_to_remove(self) -> None:
        with Upstream() as upstream, open_fault_proxy("embedded") as server, open_fault_proxy(server.url) as proxy:
            link = proxy.open_link("a->b", upstream.address, "127.0.0.1")
            server.close()
            with pytest.raises(
                SetupError, match=r"a->b: cut failed: .* did not answer POST .*: Connection refused; is it running\?"
            ):
                link.cut()

    def test_nobody_there(self) -> None:
        with pytest.raises(
            SetupError, match=r"http://127.0.0.1:1 did not answer GET /version: Connection refused; is it running"
        ):
            open_fault_proxy("http://127.0.0.1:1")

    @pytest.mark.parametrize("body", ["<html>It works!</html>", "[]", '{"release": "1"}', '"2.12.0"'])
    def test_something_else_there(self, body: str) -> None:
        with (
            Answering(200, body) as server,
            pytest.raises(SetupError, match=r"is no Toxiproxy: /version gave .*start one"),
        ):
            open_fault_proxy(server.url)

    def test_an_error_without_json(self) -> None:
        expected = r"refused GET /version: come back later \(HTTP 503\)"
        with Answering(503, "come back later") as server, pytest.raises(SetupError, match=expected):
            open_fault_proxy(server.url)

    def test_an_answer_that_never_comes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("harness.fault.toxiproxy_client.ANSWER_WITHIN_S", 0.1)
        expected = r"did not answer GET /version: timed out"
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SetupError, match=expected):
            open_fault_proxy(f"http://127.0.0.1:{silent.getsockname()[1]}")

    def test_a_server_on_another_machine(self, elsewhere: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("harness.fault.toxiproxy._is_this_machine", lambda host: False)
        expected = r"runs on another machine and can't reach .*127.9.9.9, 127.9.9.8"
        with open_fault_proxy(elsewhere.url) as proxy, pytest.raises(SetupError, match=expected):
            proxy.open_link("a->b", ("127.9.9.9", 6379), "127.9.9.8")

    def test_a_server_in_a_network_of_its_own(self) -> None:
        made = {"name": "x", "listen": "127.0.0.1:1", "upstream": "127.0.0.1:1", "enabled": True, "toxics": []}
        with Answering(200, json.dumps({**made, "version": "2.12.0"})) as server:
            proxy = open_fault_proxy(server.url)
            proxy._client.library.proxies = dict  # the answering server knows only one answer
            with pytest.raises(
                SetupError, match=r"says that it listens on 127.0.0.1:1, but .*refused; .*in a container"
            ):
                proxy.open_link("a->b", ("127.0.0.1", 1), "127.0.0.1")
            proxy.close()

    def test_what_could_not_be_removed_is_named(self, elsewhere: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
        with Upstream() as upstream:
            proxy = open_fault_proxy(elsewhere.url)
            link = proxy.open_link("a->b", upstream.address, "127.0.0.1")
            with Answering(500, '{"error": "no", "status": 500}') as broken:
                monkeypatch.setattr(proxy._client._http, "server", broken.url)
                with pytest.raises(
                    SetupError, match=r"are left in the fault proxy.*\na->b: remove the proxy failed: .*: no"
                ):
                    proxy.close()
            monkeypatch.undo()
            link.close()
        assert shown(elsewhere.url) == {}


class TestChoices:
    @pytest.mark.parametrize(
        "choice", ["https://127.0.0.1:8474", "http://", "http://h:port", "http://h/path", "http://u:p@h:1", "ftp://h"]
    )
    def test_a_url_that_is_none(self, choice: str) -> None:
        with pytest.raises(UsageError, match=r"the fault proxy '.*; expected embedded, auto, http://HOST:PORT"):
            open_fault_proxy(choice)

    def test_no_such_program(self) -> None:
        with pytest.raises(UsageError, match=r"there is no fault proxy '/nowhere/toxiproxy'; expected embedded, auto"):
            open_fault_proxy("/nowhere/toxiproxy")

    def test_a_program_that_may_not_be_run(self, tmp_path: Path) -> None:
        (tmp_path / "toxiproxy").touch()
        with pytest.raises(SetupError, match=r"toxiproxy' is not an executable file; make it one \(chmod"):
            open_fault_proxy(str(tmp_path / "toxiproxy"))

    def test_a_program_for_another_machine(self, tmp_path: Path) -> None:
        path = Path(program(tmp_path, ""))
        path.write_bytes(b"\x7fELF nonsense")
        with pytest.raises(
            SetupError, match=r"toxiproxy-server cannot be started: Exec format error; is it an executable"
        ):
            open_fault_proxy(str(path))

    def test_a_program_that_ends(self, tmp_path: Path) -> None:
        before = children()
        with pytest.raises(
            SetupError, match=r"toxiproxy-server ended with code 3; its last lines:\nflag -host: unknown"
        ):
            open_fault_proxy(program(tmp_path, "echo flag $1: unknown; exit 3"))
        assert children() == before

    def test_a_program_that_never_answers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("harness.fault.toxiproxy.READY_WITHIN_S", 0.3)
        before = children()
        with pytest.raises(
            SetupError, match=r"waited .* for .*toxiproxy-server to answer; last seen: .*Connection refused"
        ):
            open_fault_proxy(program(tmp_path, "exec sleep 600"))
        assert children() == before

    def test_auto_takes_the_one_on_path_and_does_not_hide_that_it_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program(tmp_path, "exit 4")
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        with pytest.raises(SetupError, match=rf"{tmp_path}/toxiproxy-server ended with code 4"):
            open_fault_proxy("auto")

    def test_auto_is_embedded_where_there_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with open_fault_proxy("auto") as proxy:
            assert proxy.kind == "embedded"

    def test_a_program_carries_its_owners_mark_from_its_first_moment(self, tmp_path: Path) -> None:
        """Whoever is killed before he could note its number leaves a process that can be found."""
        with Owner() as owner:
            path = program(tmp_path, f'echo "$REPLICATION_HARNESS_OWNER" > {tmp_path}/mark; exit 3')
            with pytest.raises(SetupError, match="ended with code 3"):
                open_fault_proxy(path, popen=owner.popen)
            assert (tmp_path / "mark").read_text() == f"{owner.marker}\n"
