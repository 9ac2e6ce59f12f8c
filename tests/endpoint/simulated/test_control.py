"""The endpoint's own connection: no answer is taken for another question's, and one that was closed is made anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from harness.endpoint.simulated.control import Control, UpstreamError
from harness.endpoint.simulated.plan import Upstream

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def against(serve: Serve, test: Callable[[Control], Awaitable[None]], patience_s: float = 60.0) -> None:
    async def both() -> None:
        async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

        server = await asyncio.start_server(closing, "127.0.0.1", 0)
        control = Control(Upstream("127.0.0.1", server.sockets[0].getsockname()[1]), patience_s)
        try:
            await test(control)
        finally:
            control.close()
            server.close()
            await server.wait_closed()

    asyncio.run(both())


def test_what_was_given_up_is_not_answered_later() -> None:
    late = asyncio.Event()
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        number = connections
        while await reader.readuntil(b"\r\nPING\r\n" if number == 1 else b"\r\nINFO\r\n"):
            if number == 1:
                await late.wait()
                writer.write(b"+PONG\r\n")
                return
            writer.write(b"$4\r\ninfo\r\n")
            await reader.read()
            return

    async def test(control: Control) -> None:
        asked = asyncio.ensure_future(control.ask([b"PING"]))
        while not connections:
            await asyncio.sleep(0)
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
        late.set()
        assert await control.ask([b"INFO"]) == b"$4\r\ninfo\r\n"

    against(serve, test)


def test_an_idle_connection_that_was_closed_is_made_anew() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\nPING\r\n")
        writer.write(b"+PONG\r\n")

    async def test(control: Control) -> None:
        for _ in range(3):
            assert await control.ask([b"PING"]) == b"+PONG\r\n"

    against(serve, test)


def test_who_never_answers_is_given_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def test(control: Control) -> None:
        for _ in range(2):
            try:
                await control.ask([b"PING"])
            except UpstreamError:
                continue
            raise AssertionError("it was answered")

    against(serve, test, patience_s=0.2)
