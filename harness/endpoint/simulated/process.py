"""The endpoint as a process: reads its plan from standard input, prints `READY <port>`, ends when that input closes.

That its life hangs on a pipe is what makes it die with its parent, however the parent dies. Passwords come with the
plan, never as arguments. What happens to clients is told on standard error, a line each.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import ssl
import sys
from asyncio import sslproto
from typing import Any, Final

from .cluster import ClusterFronts
from .connection import Connection
from .control import Control, UpstreamError
from .layout import Layout
from .plan import Plan
from .rules import Rules
from .scripts import ScriptGuard
from .shared import Shared

CANNOT: Final = 7
_CRASHED: Final = 70
_LOOK_S: Final = 1.0
_BACKLOG: Final = 1024


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plan = Plan.from_json(_first_line())
    try:
        asyncio.run(_serve(plan))
    except UpstreamError as error:
        _end(f"the upstream server can't be used: {error}")


def _first_line() -> str:
    """Byte by byte, so that nothing of what follows is taken away from the event loop."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(CANNOT)
        line += byte
    return line.decode()


async def _serve(plan: Plan) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_crash)
    control = Control(plan.upstream)
    shared = await _shared(plan, control)
    connections: set[Connection] = set()
    certificate = _tls(plan)

    async def listen(shared: Shared, port: int) -> int:
        server = await loop.create_server(
            lambda: Connection(shared, connections, _log).client, plan.host, port, ssl=certificate, backlog=_BACKLOG
        )
        listening: int = server.sockets[0].getsockname()[1]
        return listening

    jobs = set()
    try:
        if await control.is_cluster():
            fronts = ClusterFronts(shared, control, listen, _log)
            port = await fronts.open()
            jobs.add(loop.create_task(fronts.follow()))
        else:
            port = await listen(shared, plan.port)
    except OSError as error:
        _end(f"can't listen on {plan.host}:{plan.port}: {error.strerror or error}")
    print("READY", port, flush=True)
    await _until_told(loop, connections)
    os._exit(0)  # at once; the kernel closes what is open


async def _until_told(loop: asyncio.AbstractEventLoop, connections: set[Connection]) -> None:
    closed = _standard_input_closed(loop)
    while not closed.is_set():
        for connection in list(connections):
            connection.look(loop.time())
        try:
            await asyncio.wait_for(closed.wait(), _LOOK_S)
        except TimeoutError:
            continue


async def _shared(plan: Plan, control: Control) -> Shared:
    facts = await control.commands()
    rules = Rules(plan.behaviour, facts)
    without_effect = ["select"] if plan.behaviour.select == "no-op" else []
    scripts = ScriptGuard(rules.for_scripts(), without_effect, plan.behaviour.databases)
    return Shared(plan, rules, scripts, await control.mark_reply(), control.ask, Layout())


def _tls(plan: Plan) -> ssl.SSLContext | None:
    if plan.certificate is None:
        return None
    if hasattr(sslproto.SSLProtocol, "max_size"):
        sslproto.SSLProtocol.max_size = 1 << 15  # its buffer, for each connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(plan.certificate)
    return context


def _standard_input_closed(loop: asyncio.AbstractEventLoop) -> asyncio.Event:
    closed = asyncio.Event()

    def readable() -> None:
        if not os.read(0, 4096):
            closed.set()

    loop.add_reader(0, readable)
    return closed


def _crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An endpoint with a bug must not go on as if nothing were: its rules can't be trusted any more."""
    loop.default_exception_handler(context)
    if not isinstance(context.get("exception"), OSError):
        sys.stderr.flush()
        os._exit(_CRASHED)


def _log(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        return  # nobody listens any more


def _end(reason: str) -> None:
    print(reason, file=sys.stderr, flush=True)
    os._exit(CANNOT)
