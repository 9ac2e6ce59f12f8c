"""However a run ends, nothing of it stays: no process, no port, no temporary folder, and no directory that misleads."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.fault.toxiproxy import FaultProxy, open_fault_proxy
from harness.runtime.readiness import wait_until
from tests.conformance.fault_proxy.choices import choice
from tests.end_to_end.test_cli import PROGRAM, TEN_THOUSAND, harness

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left is looked for in /proc")

MARK = "MARK_OF_A_TEST"
PROPERTY = "property: {values: {min: 0, max: 500}, examples: 500}\n"
LATENCY = """\
version: 1
title: A run of some seconds, with a fault proxy
topology: {nodes: {a: {port: 6379, password: secret}, b: {replica_of: a, port: 6380}}}
workload: {key: "numbers:list", values: 20000, batch: {shape: variadic, size: 10}}
faults:
  - {at: 10%, until: 3s, link: a->b, toxic: latency, latency_ms: 300}
  - {at: 20%, until: 3s, link: client->a, toxic: bandwidth, kb_per_s: 20}
"""

CLUSTER = """\
version: 1
title: A cluster that is written to for some seconds, with a fault proxy
topology: {cluster: {shards: 3, replicas: 1}}
workload: {kind: sharded_list, key: "k:{n}", shards: 6, values: 20000, producers: 3, batch: {shape: variadic, size: 10}}
faults: [{at: 10%, until: 5s, link: "shard0->shard0-replica0", toxic: latency, latency_ms: 300}]
"""
OF_A_CLUSTER = 8  # its nodes, the fault proxy, and the run itself


@dataclass
class Run:
    """A `harness …` in a folder of its own, its processes marked, its temporary files below the folder."""

    process: subprocess.Popen[str]
    folder: Path
    mark: str
    known: set[int] = field(default_factory=set)
    ports: set[str] = field(default_factory=set)

    def look(self) -> int:
        """Note its processes and the addresses at which they listen; how many processes there are now."""
        living = _below(self.process.pid) | _marked(self.mark)
        self.known |= living
        self.ports |= {address for address, inode in _listening().items() if inode in _sockets(living)}
        return len(living)

    def await_processes(self, count: int) -> None:
        def there() -> bool:
            assert self.process.poll() is None, self.process.communicate()
            return self.look() >= count

        wait_until(there, deadline_s=30, what=f"{count} processes", describe=lambda: self.known)

    def find(self, title: str) -> int | None:
        """The number of the process of it that calls itself so."""
        self.look()
        return next((pid for pid in self.known if re.search(title, _command(pid))), None)

    def left(self) -> list[str]:
        """What there is still of it."""
        temporary = self.folder / "temporary"
        found = [str(path) for path in temporary.iterdir()]
        found += [f"process {pid}: {_command(pid)}" for pid in (self.known | _marked(self.mark)) if _lives(pid)]
        found += [f"process {pid} works below it" for pid in _working_below(temporary)]
        return found + [f"port {address}" for address in self.ports & set(_listening())]

    def must_be_gone(self) -> None:
        wait_until(lambda: not self.left(), deadline_s=5, what="everything to be gone", describe=self.left)


@contextmanager
def started(folder: Path, *arguments: object, **environment: str) -> Iterator[Run]:
    (folder / "temporary").mkdir()
    mark = secrets.token_hex(8)
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, MARK: mark, "TMPDIR": str(folder / "temporary"), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = Run(process, folder, mark)
    try:
        yield run
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "latency.yaml"
    path.write_text(LATENCY)
    return path


@pytest.mark.alone
class TestKilled:
    """kill -9: five seconds later there is nothing, at whatever moment it came."""

    @pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 0.7, 1.5])
    def test_at_any_moment_from_its_first_process_on(self, tmp_path, scenario, after_s):
        with started(tmp_path, "run", scenario, "--out", "out") as run:
            run.await_processes(2)
            time.sleep(after_s)  # not to wait for anything: the moment is what is tested
            run.look()
            run.process.kill()
            assert run.process.wait() == -signal.SIGKILL
            run.must_be_gone()

    @pytest.mark.parametrize("processes", [3, 4])
    def test_with_a_program_as_its_fault_proxy(self, tmp_path, scenario, processes):
        with started(tmp_path, "run", scenario, "--out", "out", "--fault-proxy", choice("toxiproxy")) as run:
            run.await_processes(processes)
            run.process.kill()
            run.process.wait()
            run.must_be_gone()

    def test_while_the_writers_way_is_disturbed(self, tmp_path, scenario):
        with started(tmp_path, "run", scenario, "--out", "out") as run:
            wait_until(lambda: _has_begun(run), deadline_s=30, what="it to begin")
            run.look()
            assert len(run.ports) >= 5  # two servers, two links, the proxy's own
            run.process.kill()
            run.process.wait()
            run.must_be_gone()
        (directory,) = tmp_path.glob("out/latency/*")
        assert not (directory / "verdict.json").exists()
        for command in ("judge", "replay"):
            ended = harness(command, directory, cwd=tmp_path)
            assert (ended.returncode, ended.stdout) == (4, "")
            assert "is not there: the run ended before it was written" in ended.stderr

    def test_while_it_draws(self, tmp_path, scenario):
        scenario.write_text(LATENCY.partition("faults:")[0] + PROPERTY)
        with started(tmp_path, "run", scenario, "--property", "--out", "out") as run:
            run.await_processes(4)
            time.sleep(0.5)  # likewise
            run.look()
            run.process.kill()
            run.process.wait()
            run.must_be_gone()

    def test_what_is_kept_up(self, tmp_path):
        with started(tmp_path, "up", TEN_THOUSAND, "--env") as run:
            assert run.process.stdout is not None
            assert run.process.stdout.readline().startswith("export REDIS_SERVER1_IP=")
            run.look()
            assert len(run.ports) == 3  # a, the endpoint of b, and the server behind it
            run.process.kill()
            run.process.wait()
            run.must_be_gone()


class TestInterrupted:
    """Ctrl-C and SIGTERM: exit 2, and when the process has ended there is nothing any more."""

    @staticmethod
    def interrupt(run: Run, number: signal.Signals) -> None:
        run.look()
        run.process.send_signal(number)
        _, told = run.process.communicate(timeout=30)
        assert run.process.returncode == 2, told
        assert told.splitlines()[-1] == "harness: interrupted"
        assert "Traceback" not in told
        assert run.left() == []
        assert not (run.folder / "out").exists()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("processes", [2, 3, 4])
    def test_while_it_starts(self, tmp_path, scenario, number, processes):
        with started(tmp_path, "run", scenario, "--out", "out") as run:
            run.await_processes(processes)
            self.interrupt(run, number)

    @pytest.mark.parametrize(("number", "proxy"), [(signal.SIGINT, "embedded"), (signal.SIGTERM, "toxiproxy")])
    def test_while_the_writers_way_is_disturbed(self, tmp_path, scenario, number, proxy):
        with started(tmp_path, "run", scenario, "--out", "out", "--fault-proxy", choice(proxy)) as run:
            wait_until(lambda: _has_begun(run), deadline_s=30, what="it to begin")
            self.interrupt(run, number)

    def test_while_several_writers_wait_at_a_mark(self, tmp_path, scenario):
        loads = ", ".join(f"{{key: k{n}, values: 100000, batch: {{shape: single}}}}" for n in range(3))
        faults = "faults: [{at: 1%, until: 99%, link: a->b, toxic: latency, latency_ms: 5}]\n"
        scenario.write_text(f"{LATENCY.partition('workload:')[0]}workload: [{loads}]\n{faults}")
        with started(tmp_path, "run", scenario, "--out", "out") as run:
            wait_until(lambda: _has_begun(run), deadline_s=30, what="it to begin")
            self.interrupt(run, signal.SIGINT)

    def test_while_a_frozen_replica_is_waited_for(self, tmp_path, scenario):
        with started(tmp_path, "run", scenario, "--out", "out") as run:
            wait_until(lambda: _has_begun(run), deadline_s=30, what="it to begin")
            replica = wait_until(lambda: run.find(r"server .*:6380"), deadline_s=30, what="the replica's process")
            os.kill(replica, signal.SIGSTOP)
            time.sleep(1)  # not to wait for anything: it must not matter how far it is
            self.interrupt(run, signal.SIGINT)

    def test_while_it_draws(self, tmp_path, scenario):
        scenario.write_text(LATENCY.partition("faults:")[0] + PROPERTY)
        with started(tmp_path, "run", scenario, "--property", "--out", "out") as run:
            run.await_processes(4)
            time.sleep(0.3)  # not to wait for anything: any moment of the drawing will do
            self.interrupt(run, signal.SIGINT)

    def test_a_toxiproxy_that_others_use_keeps_nothing_of_it(self, tmp_path, scenario):
        with open_fault_proxy(choice("toxiproxy")) as theirs:
            with started(tmp_path, "run", scenario, "--out", "out", "--fault-proxy", theirs.url) as run:
                wait_until(lambda: _has_begun(run), deadline_s=30, what="it to begin")
                assert len(_proxies(theirs)) == 2
                self.interrupt(run, signal.SIGINT)
            assert _proxies(theirs) == []

    def test_the_run_before_it_stays(self, tmp_path, scenario):
        """Only what the interrupted run itself made is removed."""
        clean = ["run", scenario, "--out", "out", "--keep", "--set", "faults=[]"]
        assert harness(*clean, cwd=tmp_path).returncode == 0
        (kept,) = tmp_path.glob("out/latency/*")
        with started(tmp_path, "run", scenario, "--out", "out") as run:
            wait_until(lambda: len(list(tmp_path.glob("out/latency/*"))) == 2, deadline_s=30, what="its directory")
            run.process.send_signal(signal.SIGINT)
            run.process.communicate(timeout=30)
            assert run.process.returncode == 2
        assert list(tmp_path.glob("out/latency/*")) == [kept]


@pytest.mark.alone
class TestOfACluster:
    """Its nodes, their files and ports, whether it forms or is written to."""

    @pytest.fixture
    def cluster(self, tmp_path: Path) -> Path:
        path = tmp_path / "latency.yaml"
        path.write_text(CLUSTER)
        return path

    @pytest.mark.parametrize("is_written_to", [False, True])
    def test_killed(self, tmp_path, cluster, is_written_to):
        with started(tmp_path, "run", cluster, "--out", "out") as run:
            run.await_processes(OF_A_CLUSTER)
            if is_written_to:
                wait_until(lambda: _has_begun(run), deadline_s=60, what="it to begin")
                run.look()
                assert len(run.ports) >= 2 * 6 + 2  # of each node two, the proxy's own and its link's
            run.process.kill()
            assert run.process.wait() == -signal.SIGKILL
            run.must_be_gone()

    @pytest.mark.parametrize("is_written_to", [False, True])
    def test_interrupted(self, tmp_path, cluster, is_written_to):
        with started(tmp_path, "run", cluster, "--out", "out") as run:
            run.await_processes(OF_A_CLUSTER)
            if is_written_to:
                wait_until(lambda: _has_begun(run), deadline_s=60, what="it to begin")
            TestInterrupted.interrupt(run, signal.SIGINT)


SWALLOWED = """
import os, signal, sys, threading, weakref
from harness import cli

def in_a_callback(reference):
    os.kill(os.getpid(), int(sys.argv[1]))
    for _ in range(1000):
        pass  # here the interpreter ignores whatever is raised

def run(arguments):
    class Something: ...
    something = Something()
    reference = weakref.ref(something, in_a_callback)
    try:
        del something
        threading.Event().wait(20)
        print("the signal was lost")
    finally:
        print("cleaned up")

cli.run_command_line = run
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_falls_into_a_finalizer_is_not_lost(number):
    ended = subprocess.run(
        [sys.executable, "-c", SWALLOWED, str(int(number))], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout == "cleaned up\n"
    assert "Exception ignored" not in ended.stderr


def test_a_program_runs_unchanged_with_the_printed_variables(tmp_path):
    """As in a shell: eval "$(harness up FILE --env)" in the background, then the program."""
    with started(tmp_path, "up", TEN_THOUSAND, "--env") as run:
        assert run.process.stdout is not None
        lines = [run.process.stdout.readline() for _ in range(6)]
        ended = subprocess.run(
            ["sh", "-c", "".join(lines) + 'exec "$0" -c "$1"', sys.executable, PROGRAM],
            env={**os.environ, "REDIS_SERVER2_PASSWORD": "of another shell"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (0, "10000 9999 9998 9997 9996\n"), ended.stderr
        run.look()
        run.process.send_signal(signal.SIGINT)
        run.process.communicate(timeout=30)
        assert run.process.returncode == 0
        assert run.left() == []


# -- what is looked for


def _below(pid: int) -> set[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended meanwhile
            continue
    found, new = set[int](), {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return found


def _marked(mark: str) -> set[int]:
    """Those that were started with it in their environment; servers that write over theirs are below somebody."""
    wanted, found = f"{MARK}={mark}".encode(), set()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in environment.read_bytes().split(b"\0"):
                found.add(int(environment.parent.name))
        except OSError:
            continue
    return found


def _working_below(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in os.readlink(process / "cwd"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def _lives(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def _listening() -> dict[str, str]:
    """Addresses as the kernel writes them, and the inode of each one's socket."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1]: row[9] for row in rows if row[3] == "0A"}


def _sockets(pids: set[int]) -> set[str]:
    found = set()
    for pid in pids:
        try:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                target = os.readlink(descriptor)
                if target.startswith("socket:["):
                    found.add(target[8:-1])
        except OSError:
            continue
    return found


def _has_begun(run: Run) -> bool:
    """Whether its servers are up and writing begins."""
    assert run.process.poll() is None, run.process.communicate()
    run.look()
    return any(run.folder.glob("out/latency/*/lag.jsonl"))


def _proxies(proxy: FaultProxy) -> list[str]:
    return sorted(proxy._client.library.proxies())
