"""The embedded proxy as a process: when it is ready, when it ends, and what it says if it cannot start."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

BY_MODULE = [sys.executable, "-m", "harness.fault.embedded"]


def test_ends_when_its_standard_input_closes() -> None:
    with subprocess.Popen([*BY_MODULE, "--port", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        word, port = process.stdout.readline().split()
        assert word == b"READY"
        socket.create_connection(("127.0.0.1", int(port)), timeout=20).close()
        process.stdin.write(b"input means nothing\n")
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.parametrize("by_path", [True, False])
def test_nobody_holds_its_standard_input(by_path: bool) -> None:
    from harness.fault.embedded import __file__ as package

    command = [sys.executable, "-I", "-S", package.replace("__init__", "__main__")] if by_path else BY_MODULE
    ended = subprocess.run([*command, "--port", "0"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout[:6], ended.stderr) == (0, b"READY ", b"")


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [*BY_MODULE, "--port", str(port)], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    assert ended.returncode == 1
    assert b"the fault proxy cannot listen on 127.0.0.1:%d: " % port in ended.stderr
    assert b"Traceback" not in ended.stderr
