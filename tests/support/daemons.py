"""Docker daemons of the tests' own, each in namespaces of its own: bridge, packet filter and disk stay untouched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.engine.daemon import open_daemon
from harness.errors import SetupError
from harness.runtime.readiness import wait_until
from tests.support.docker import require_docker

_START = r"""
ip link set lo up
mount -t tmpfs -o size="$2" none "$1/data"
exec dockerd --bridge=none --iptables=false --ip-forward=false --data-root "$1/data" --exec-root "$1/exec" \
    --pidfile "$1/pid" --host "unix://$1/s"
"""


@contextmanager
def own_daemon(folder: Path, size: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Answers, and is what DOCKER_HOST names. folder: with a short name, for the socket; size: of its disk, "16m"."""
    require_docker()
    if os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("unshare"):
        pytest.skip("a daemon of its own needs root, dockerd and unshare")
    for part in ("data", "exec"):
        (folder / part).mkdir(parents=True)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/s")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", _START, "sh", str(folder), size], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: _answers(process, folder), deadline_s=60, what="the daemon to answer")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(process: subprocess.Popen[bytes], folder: Path) -> bool:
    assert process.poll() is None, (folder / "log").read_text()[-2000:]
    try:
        open_daemon().close()
    except SetupError:
        return False
    return True
