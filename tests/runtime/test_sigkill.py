"""A harness that is killed leaves no process, no folder and no port, whenever it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.runtime.loopback import free_ports
from harness.runtime.readiness import wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="what is left is looked for in /proc"),
    pytest.mark.alone,  # five seconds, and ports that nobody else may use meanwhile
]

VICTIM = """
import sys
from harness.engine.binaries import choose
from harness.resp.connection import Connection
from harness.runtime.local import LocalRuntime
from harness.runtime.owner import Owner
from harness.topology import Node, Topology

engine = choose(None)
ports = [int(port) for port in sys.argv[1:]]
nodes = {"a": Node("a", ports[0], password="x"), "b": Node("b", ports[1], "a"), "c": Node("c", ports[2], "b")}
print("ready", flush=True)
sys.stdin.readline()
while True:
    with Owner() as owner, LocalRuntime(lambda node: engine, "written", owner).deploy(Topology(nodes)) as deployment:
        deployment.attach()
        with Connection(deployment.entry("a")) as a:
            for index in range(200):
                a.command("RPUSH", "list", *range(1000))
"""


@pytest.mark.parametrize("milliseconds", [0, 1, 2, 4, 7, 11, 16, 24, 40, 80])
def test_nothing_is_left_five_seconds_after_a_kill(milliseconds: int, tmp_path: Path) -> None:
    ports = free_ports("127.0.0.1", 3)
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, *map(str, ports)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert victim.stdout is not None
    assert victim.stdin is not None
    with victim.stdout, victim.stdin:
        assert victim.stdout.readline() == b"ready\n"
        victim.stdin.write(b"go\n")
        victim.stdin.flush()
        time.sleep(milliseconds / 1000)  # not to wait for anything: the moment is what is tested
        victim.kill()
        assert victim.wait() == -signal.SIGKILL

    wait_until(
        lambda: not (left_in(tmp_path) or listening(ports)),
        deadline_s=5,
        what="everything to be gone",
        describe=lambda: (left_in(tmp_path), listening(ports)),
    )


def left_in(folder: Path) -> list[str]:
    """What is there, and the processes that work there or were given a file there."""
    left = [str(path) for path in folder.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in os.readlink(process / "cwd") or os.fsencode(folder) in (process / "cmdline").read_bytes():
                left.append(f"process {process.name}")
        except OSError:  # it ended meanwhile
            continue
    return left


def listening(ports: list[int]) -> list[int]:
    """Which of these ports somebody listens on, at any address."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [port for port in ports if any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)]
