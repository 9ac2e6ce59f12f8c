"""A registry of container images on this machine's loopback: what `docker pull` needs of its HTTP API, and no more."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Registry:
    """Serves images under "name:tag". refuses: the status with which every request is answered, 0: none."""

    def __init__(self) -> None:
        self.refuses = 0
        self.pulls = 0  # manifests asked for by tag
        self._blobs: dict[str, bytes] = {}
        self._manifests: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def add(self, client: Any, source: str, name: str, tag: str) -> str:
        """Offer an image that the daemon has under another name; returns the digest of its manifest."""
        saved = io.BytesIO(b"".join(client.images.get(source).save()))
        with tarfile.open(fileobj=saved) as archive:

            def read(path: str) -> bytes:
                found = archive.extractfile(path)
                assert found is not None
                return found.read()

            (told,) = json.loads(read("manifest.json"))
            config = self._blob(read(told["Config"]), "application/vnd.docker.container.image.v1+json")
            layers = [
                self._blob(gzip.compress(read(path), 1, mtime=0), "application/vnd.docker.image.rootfs.diff.tar.gzip")
                for path in told["Layers"]
            ]
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
        content = json.dumps(manifest).encode()
        digest = _digest(content)
        self._manifests[f"{name}/manifests/{tag}"] = self._manifests[f"{name}/manifests/{digest}"] = content
        return digest

    def _blob(self, content: bytes, kind: str) -> dict[str, Any]:
        digest = _digest(content)
        self._blobs[digest] = content
        return {"mediaType": kind, "size": len(content), "digest": digest}

    def _answer(self, path: str) -> tuple[int, bytes, str]:
        if self.refuses:
            told = {"errors": [{"code": "DENIED", "message": "not for you"}]}
            return self.refuses, json.dumps(told).encode(), "application/json"
        if path == "/v2/":
            return 200, b"{}", "application/json"
        if found := self._manifests.get(path.removeprefix("/v2/")):
            self.pulls += "sha256:" not in path
            return 200, found, _MANIFEST
        if found := self._blobs.get(path.rpartition("/")[2]):
            return 200, found, "application/octet-stream"
        told = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        return 404, json.dumps(told).encode(), "application/json"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, content, kind = registry._answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Docker-Content-Digest", _digest(content))
                self.send_header("Docker-Distribution-API-Version", "registry/2.0")
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content)

            do_HEAD = do_GET  # noqa: N815 - the server looks for it by this name

            def log_message(self, *words: object) -> None:
                """Nothing."""

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
