"""The fault proxy as a process: prints `READY <port>` once its API answers, and ends when its standard input closes.

That its life hangs on a pipe is what makes it die with its parent, however the parent dies.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import select
import selectors
import signal
import sys
from collections.abc import Sequence
from typing import Any

from . import http
from .api import Api

_CRASHED = 70


def main(arguments: Sequence[str]) -> None:
    options = _options(arguments)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _allow_many_connections()
    with asyncio.Runner(loop_factory=_event_loop) as runner:
        runner.run(_serve(options.host, options.port))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m harness.fault.embedded", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address of the REST API (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8474, help="its port; 0: any (default: %(default)s)")
    return parser.parse_args(arguments)


async def _serve(host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_crash)
    try:
        server = await http.start(Api().answer, host, port)
    except OSError as error:
        sys.exit(f"the fault proxy cannot listen on {host}:{port}: {error.strerror or error}")
    print("READY", server.sockets[0].getsockname()[1], flush=True)
    await _standard_input_closed()
    os._exit(0)  # at once; the kernel closes what is open


async def _standard_input_closed() -> None:
    closed = asyncio.Event()

    def readable() -> None:
        if not os.read(0, 4096):
            closed.set()

    try:
        asyncio.get_running_loop().add_reader(0, readable)
    except PermissionError:
        return  # a file, or /dev/null: nobody holds it open
    await closed.wait()


def _crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A fault proxy with a bug must not go on as if nothing were: what it did to the bytes is not known any more."""
    loop.default_exception_handler(context)
    if not isinstance(context.get("exception"), OSError):
        sys.stderr.flush()
        os._exit(_CRASHED)


def _allow_many_connections() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _event_loop() -> asyncio.AbstractEventLoop:
    if hasattr(selectors, "EpollSelector"):
        return asyncio.SelectorEventLoop(_FineSelector())
    return asyncio.SelectorEventLoop()


class _FineSelector(selectors.EpollSelector):
    """Waits as exactly as select() does; epoll alone rounds every wait up to a millisecond."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and 0 < timeout < 0.1:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)
