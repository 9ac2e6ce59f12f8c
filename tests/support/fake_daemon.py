"""A Docker daemon that is none: it answers what a test tells it to, and lets the rest hang."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest

Answer = tuple[int, object] | None
Answers = Callable[[str, str], Answer]  # (method, path without its version) -> status and body; None: no answer

VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.0"}


def greeting(path: str) -> Answer:
    """What a client asks for first, and what even a daemon that hangs may still answer."""
    return {"/_ping": (200, "OK"), "/version": (200, VERSION)}.get(path)


class FakeDaemon:
    """asked: every request so far, as "METHOD /path", in order."""

    def __init__(self, path: Path, answers: Answers) -> None:
        self.path, self.asked = path, list[str]()
        self._over = threading.Event()
        self._server = _Server(str(path), self._handler(answers))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self, answers: Answers) -> type[BaseHTTPRequestHandler]:
        asked, over = self.asked, self._over

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                path = urlsplit(self.path).path
                if path.startswith("/v1."):
                    path = "/" + path[1:].partition("/")[2]
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked.append(f"{self.command} {path}")
                told = answers(self.command, path)
                if told is None:
                    over.wait(60)
                    return
                body = json.dumps(told[1]).encode()
                self.send_response(told[0])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = answer  # noqa: N815 - the names that its base calls

            def address_string(self) -> str:
                return "client"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
                return

        return Handler


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gave up is no error here."""


@contextmanager
def fake_daemon(path: Path, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """It is what DOCKER_HOST names. path: short enough for a socket."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    opened = FakeDaemon(path, answers)
    try:
        yield opened
    finally:
        opened.close()
