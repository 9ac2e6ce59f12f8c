"""As much of HTTP/1.1 as clients of a REST API use: bodies by length or in chunks, kept-alive connections."""

from __future__ import annotations

import asyncio
import os
import posixpath
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote, unquote

_PHRASES: Final = {
    200: "OK",
    201: "Created",
    204: "No Content",
    301: "Moved Permanently",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Request Entity Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
}
_LARGEST_HEAD: Final = 64 * 1024
_LARGEST_BODY: Final = 64 * 1024 * 1024
_ID_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuv"


class Request:
    """path: decoded, without the query; headers: names in lower case."""

    def __init__(self, method: str, target: str, version: str, headers: dict[str, str]) -> None:
        self.method, self.version, self.headers = method, version, headers
        self.path, _, self.query = target.partition("?")
        self.path = unquote(self.path)
        self.body = b""

    @property
    def keep_alive(self) -> bool:
        wish = self.headers.get("connection", "").lower()
        return wish == "keep-alive" if self.version == "HTTP/1.0" else wish != "close"


class Response:
    """routed: whether a handler was found, in which case the answer gets an id as Toxiproxy gives one."""

    def __init__(self, status: int, body: bytes = b"", content_type: str = "") -> None:
        self.status, self.body, self.routed = status, body, False
        self.headers = {"Content-Type": content_type} if content_type else {}

    @classmethod
    def text(cls, status: int, message: str) -> Response:
        """A plain line, as Toxiproxy sends all its errors, JSON ones too."""
        response = cls(status, f"{message}\n".encode(), "text/plain; charset=utf-8")
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def encode(self, request: Request | None) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {_PHRASES[self.status]}"]
        lines.append(time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT", time.gmtime()))
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append("Server: replication-harness")  # the one thing that tells a client which proxy this is
        if self.routed:
            lines.append("X-Toxiproxy-Request-Id: " + "".join(_ID_ALPHABET[byte & 31] for byte in os.urandom(20)))
        if self.status != 204:
            lines.append(f"Content-Length: {len(self.body)}")
        if request is None or not request.keep_alive:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        return head if request is not None and request.method == "HEAD" else head + self.body


class BadRequestError(Exception):
    """Not HTTP, or more of it than is reasonable; the connection cannot go on after it."""

    def __init__(self, status: int = 400) -> None:
        super().__init__(f"{status} {_PHRASES[status]}")
        self.status = status


async def serve(
    answer: Callable[[Request], Awaitable[Response]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer the requests of one connection until it is closed."""
    try:
        keep_alive = True
        while keep_alive:
            request = await _read_request(reader, writer)
            response = _redirect(request) or await answer(request)
            writer.write(response.encode(request))
            await writer.drain()
            keep_alive = request.keep_alive
    except BadRequestError as bad:
        refusal = Response(bad.status, str(bad).encode(), "text/plain; charset=utf-8")
        writer.write(refusal.encode(None))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client is gone: nobody is left to tell
    finally:
        writer.close()


async def start(answer: Callable[[Request], Awaitable[Response]], host: str, port: int) -> asyncio.Server:
    """Listen for requests."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(answer, reader, writer)

    return await asyncio.start_server(connected, host, port, limit=_LARGEST_HEAD)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError:
        raise BadRequestError(431) from None
    first, *lines = head.strip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[1].startswith("/") or not words[2].startswith("HTTP/1."):
        raise BadRequestError
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    request = Request(words[0], words[1], words[2], headers)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.body = await _read_body(reader, headers)
    return request


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequestError
    if int(length) > _LARGEST_BODY:
        raise BadRequestError(413)
    return await reader.readexactly(int(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        try:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        except (ValueError, asyncio.LimitOverrunError):
            raise BadRequestError from None
        if not 0 <= size <= _LARGEST_BODY - len(body):
            raise BadRequestError(413)
        if size == 0:
            break
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers, which nobody needs
    return bytes(body)


def _redirect(request: Request) -> Response | None:
    """A path with empty or dotted parts is answered with the clean one."""
    clean = "/" + posixpath.normpath(request.path).lstrip("/").removeprefix(".")
    if request.path.endswith("/") and not clean.endswith("/"):
        clean += "/"
    if clean == request.path:
        return None
    response = Response(301)
    response.headers["Location"] = quote(clean) + (f"?{request.query}" if request.query else "")
    return response
