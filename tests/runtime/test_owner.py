import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.runtime.owner import Owner
from harness.runtime.readiness import wait_until
from harness.runtime.watchdog import MARKER_VARIABLE, started, sweep

FOREVER = ["sleep", "600"]


def test_closing_ends_processes_and_removes_folders() -> None:
    with Owner() as owner:
        folder = owner.folder("replication-harness")
        (folder / "inside").mkdir()
        process = owner.popen(FOREVER, cwd=folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.name.startswith("replication-harness-")

    assert process.returncode == -signal.SIGKILL
    assert not folder.exists()
    owner.close()


def test_children_have_a_session_and_the_marker_but_no_standard_streams() -> None:
    with Owner() as owner:
        show = f"echo ${MARKER_VARIABLE} $(ps -o sid= -p $$) $$; cat"
        process = owner.popen(["sh", "-c", show], stdout=subprocess.PIPE)
        assert process.stdout is not None
        marker, session, pid = process.stdout.read().split()  # ends, because cat reads nothing

        assert marker.decode() == owner.marker
        assert session == pid


def test_children_of_a_child_end_with_it() -> None:
    with Owner() as owner:
        process = owner.popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        owner.stop(process)

        wait_until(lambda: started(grandchild) == "", deadline_s=5, what="the grandchild to end")


def test_nothing_is_started_after_closing() -> None:
    owner = Owner()
    owner.close()

    with pytest.raises(HarnessError, match="after its owner had been closed"):
        owner.popen(FOREVER)
    with pytest.raises(HarnessError, match="after its owner had been closed"):
        owner.folder("x")


def test_a_program_that_is_not_there_is_an_os_error() -> None:
    with Owner() as owner, pytest.raises(FileNotFoundError):
        owner.popen(["/nowhere/redis-server"])


def test_closing_in_a_forked_child_touches_nothing() -> None:
    script = """
import os, sys
from harness.runtime.owner import Owner
owner = Owner()
process = owner.popen(["sleep", "600"])
if (child := os.fork()) == 0:
    owner.close()
    os._exit(0)
os.waitpid(child, 0)
assert process.poll() is None
owner.close()
assert process.returncode == -9
print("done")
"""
    shown = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=False)
    assert (shown.stdout, shown.stderr) == ("done\n", "")


KILLED = """
import os, signal, subprocess, sys
from harness.runtime.owner import Owner

def sleep(seconds, **options):
    return subprocess.Popen(["sleep", seconds], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)

owner = Owner()
folder = owner.folder("replication-harness")
noted = owner.popen(["sleep", "600"])
marked = sleep("601", env={**os.environ, "REPLICATION_HARNESS_OWNER": owner.marker})
inside = sleep("602", cwd=folder)
stranger = sleep("604")
(folder / "file").write_text("x")
print(folder, noted.pid, marked.pid, inside.pid, stranger.pid, flush=True)
if "deaf" in sys.argv:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(owner._watchdog.pid, number)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="unreported processes are found through /proc")
@pytest.mark.parametrize("watchdog", ["barely started", "deaf"])
def test_after_sigkill_the_watchdog_ends_and_removes_everything(watchdog: str) -> None:
    """What was noted, what only carries the marker, what only works in a folder of ours; and no
    one else. Signals that a terminal sends to everybody don't keep it from that.
    """
    shown = subprocess.run([sys.executable, "-c", KILLED, watchdog], capture_output=True, text=True, check=False)
    assert shown.returncode == -signal.SIGKILL, shown.stderr
    folder, *pids = shown.stdout.split()
    *ours, stranger = map(int, pids)

    try:
        wait_until(
            lambda: not [pid for pid in ours if started(pid)] and not Path(folder).exists(),
            deadline_s=5,
            what="everything to be gone",
            describe=lambda: [pid for pid in ours if started(pid)],
        )
        assert started(stranger)
    finally:
        os.kill(stranger, signal.SIGKILL)


def test_a_reused_process_number_is_spared() -> None:
    process = subprocess.Popen(FOREVER)
    try:
        sweep("no such marker", {process.pid: started(process.pid) + "0"}, [])
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_process_has_begun_once() -> None:
    first = started(os.getpid())
    time.sleep(0)
    assert first
    assert started(os.getpid()) == first
    assert started(2**22 + 1) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only there processes show their environment")
def test_the_child_of_a_process_that_ended_by_itself_ends_with_it() -> None:
    with Owner() as owner:
        process = owner.popen(["sh", "-c", "sleep 600 & echo $!"], stdout=subprocess.PIPE)
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert process.wait(30) == 0
        assert started(child)
        owner.stop(process)
        wait_until(lambda: not started(child), deadline_s=30, what="the child to end")
