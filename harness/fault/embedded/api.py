"""The REST API: which request does what. Paths, statuses, fields and wordings are Toxiproxy 2.12's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from . import body
from .http import Request, Response
from .proxies import DIRECTIONS, Proxies, Proxy, describe
from .refused import RefusedError
from .stream import Toxic
from .toxics import KINDS

VERSION: Final = "2.12.0"  # the Toxiproxy whose API and toxics these are

_PROXY_FIELDS: Final = {"name": "string", "listen": "string", "upstream": "string", "enabled": "bool"}
_TOXIC_FIELDS: Final = {
    "attributes": "object",
    "name": "string",
    "type": "string",
    "stream": "string",
    "toxicity": "float32",
}
_UPDATE_FIELDS: Final = {"attributes": "object", "toxicity": "float32"}
_POPULATE_ENTRY: Final = 'struct { toxiproxy.Proxy; Enabled *bool "json:\\"enabled\\"" }'
_UPDATE_BODY: Final = (
    'struct { Attributes interface {} "json:\\"attributes\\""; Toxicity float32 "json:\\"toxicity\\"" }'
)

Handler = Callable[["Api", list[str], bytes], Awaitable[Response]]


class Api:
    """Answers requests one after the other, so that each sees the finished work of the one before."""

    def __init__(self) -> None:
        self._proxies = Proxies()
        self._one_at_a_time = asyncio.Lock()

    async def answer(self, request: Request) -> Response:
        """Never raises for what a client may send."""
        segments = request.path.split("/")[1:]
        methods = next((methods for pattern, methods in _ROUTES if _fits(pattern, segments)), None)
        if methods is None:
            return Response.text(404, "404 page not found")
        if request.method not in methods:
            return Response(405)
        response = await self._carry_out(methods[request.method], request, segments)
        response.routed = True
        return response

    async def _carry_out(self, handler: Handler, request: Request, segments: list[str]) -> Response:
        if request.headers.get("user-agent", "").startswith("Mozilla/"):
            return Response.text(403, "User agent not allowed")
        async with self._one_at_a_time:
            try:
                return await handler(self, segments, request.body)
            except RefusedError as refusal:
                shown = body.encode({"error": refusal.message, "status": refusal.status}).decode()
                return Response.text(refusal.status, shown)

    # -- the server

    async def version(self, segments: list[str], raw: bytes) -> Response:
        return Response(200, f'{{"version": "{VERSION}"}}\n'.encode(), "application/json;charset=utf-8")

    async def reset(self, segments: list[str], raw: bytes) -> Response:
        await self._proxies.reset()
        return Response(204)

    async def populate(self, segments: list[str], raw: bytes) -> Response:
        """Create or replace a list of proxies; those made before an entry failed stay, and are shown."""
        made: list[Proxy] = []
        failed: dict[str, Any] = {}
        try:
            for entry in _populate_entries(body.decode(raw)):
                enabled = entry.pop("enabled", True)
                made.append(await self._proxies.add_or_replace(_new_proxy(entry), enabled))
        except RefusedError as refusal:
            failed = {"error": refusal.message, "status": refusal.status}
        shown = {**failed, "proxies": [proxy.describe() for proxy in made] or None}
        return _json(shown, failed.get("status", 201))

    # -- proxies

    async def list_proxies(self, segments: list[str], raw: bytes) -> Response:
        return _json({name: proxy.describe() for name, proxy in sorted(self._proxies.by_name.items())})

    async def create_proxy(self, segments: list[str], raw: bytes) -> Response:
        entry = body.fields(body.decode(raw), _PROXY_FIELDS, "Proxy", "toxiproxy.Proxy")
        _require(entry, "")
        enabled = entry.pop("enabled", True)
        proxy = _new_proxy(entry)
        await self._proxies.add(proxy, enabled)
        return _json(proxy.describe(), 201)

    async def show_proxy(self, segments: list[str], raw: bytes) -> Response:
        return _json(self._proxies.get(segments[1]).describe())

    async def update_proxy(self, segments: list[str], raw: bytes) -> Response:
        proxy = self._proxies.get(segments[1])
        entry = body.fields(body.decode(raw), _PROXY_FIELDS, "Proxy", "toxiproxy.Proxy")
        listen, upstream = entry.get("listen", proxy.listen), entry.get("upstream", proxy.upstream)
        await proxy.update(listen, upstream, entry.get("enabled", proxy.enabled))
        return _json(proxy.describe())

    async def delete_proxy(self, segments: list[str], raw: bytes) -> Response:
        await self._proxies.remove(segments[1])
        return Response(204)

    # -- toxics

    async def list_toxics(self, segments: list[str], raw: bytes) -> Response:
        return _json([describe(toxic) for toxic in self._proxies.get(segments[1]).all_toxics()])

    async def create_toxic(self, segments: list[str], raw: bytes) -> Response:
        proxy = self._proxies.get(segments[1])
        toxic = _new_toxic(body.fields(body.decode(raw), _TOXIC_FIELDS, "ToxicWrapper", "toxics.ToxicWrapper"))
        proxy.add(toxic)
        return _json(describe(toxic))

    async def show_toxic(self, segments: list[str], raw: bytes) -> Response:
        return _json(describe(self._proxies.get(segments[1]).find(segments[3])))

    async def update_toxic(self, segments: list[str], raw: bytes) -> Response:
        proxy = self._proxies.get(segments[1])
        toxic = proxy.find(segments[3])
        entry = body.fields(body.decode(raw), _UPDATE_FIELDS, "", _UPDATE_BODY)
        attributes = _attributes(toxic.kind, entry)
        toxic.toxicity = body.single_precision(entry.get("toxicity", toxic.toxicity))
        toxic.attributes.update(attributes)
        proxy.changed(toxic)
        return _json(describe(toxic))

    async def delete_toxic(self, segments: list[str], raw: bytes) -> Response:
        proxy = self._proxies.get(segments[1])
        proxy.remove(proxy.find(segments[3]))
        return Response(204)


_ROUTES: Final[list[tuple[list[str], dict[str, Handler]]]] = [
    (["version"], {"GET": Api.version}),
    (["reset"], {"POST": Api.reset}),
    (["populate"], {"POST": Api.populate}),
    (["proxies"], {"GET": Api.list_proxies, "POST": Api.create_proxy}),
    (
        ["proxies", "*"],
        {"GET": Api.show_proxy, "POST": Api.update_proxy, "PATCH": Api.update_proxy, "DELETE": Api.delete_proxy},
    ),
    (["proxies", "*", "toxics"], {"GET": Api.list_toxics, "POST": Api.create_toxic}),
    (
        ["proxies", "*", "toxics", "*"],
        {"GET": Api.show_toxic, "POST": Api.update_toxic, "PATCH": Api.update_toxic, "DELETE": Api.delete_toxic},
    ),
]


def _fits(pattern: list[str], segments: list[str]) -> bool:
    pairs = zip(pattern, segments, strict=False)
    return len(pattern) == len(segments) and all(part == seen or (part == "*" and seen) for part, seen in pairs)


def _json(value: Any, status: int = 200) -> Response:
    return Response(status, body.encode(value), "application/json")


def _require(entry: dict[str, Any], where: str) -> None:
    for field in ("name", "upstream"):
        if not entry.get(field):
            raise RefusedError(400, f"missing required field: {field}{where}")


def _populate_entries(value: Any) -> list[dict[str, Any]]:
    """All entries, every one of them looked at before the first is carried out."""
    entries = body.elements(value, f"[]{_POPULATE_ENTRY}")
    found = [body.fields(entry, _PROXY_FIELDS, ".Proxy", _POPULATE_ENTRY) for entry in entries]
    for number, entry in enumerate(found, 1):
        _require(entry, f" at proxy {number}")
    return found


def _new_proxy(entry: dict[str, Any]) -> Proxy:
    return Proxy(entry["name"], entry.get("listen", ""), entry["upstream"])


def _new_toxic(entry: dict[str, Any]) -> Toxic:
    kind, stream = entry.get("type", ""), entry.get("stream", "downstream")
    attributes = entry.get("attributes")
    if attributes is not None and not isinstance(attributes, dict):
        raise body.wrong_type(attributes, "ToxicWrapper.attributes", "toxics.NoopToxic")
    if stream.lower() not in DIRECTIONS:
        raise RefusedError(400, "stream was invalid, can be either upstream or downstream")
    if kind not in KINDS:
        raise RefusedError(400, "invalid toxic type")
    settings = dict.fromkeys(KINDS[kind].fields, 0) | _attributes(kind, entry)
    toxicity = body.single_precision(entry.get("toxicity", 1.0))
    return Toxic(entry.get("name") or f"{kind}_{stream}", kind, stream, toxicity, settings)


def _attributes(kind: str, entry: dict[str, Any]) -> dict[str, int]:
    given = entry.get("attributes")
    if given is not None and not isinstance(given, dict):
        raise body.wrong_type(given, ".attributes", f"toxics.{_struct_name(kind)}")
    return body.fields(given, KINDS[kind].fields, f"{_struct_name(kind)}.attributes")


def _struct_name(kind: str) -> str:
    """Toxiproxy's name of the type, which its messages show: limit_data -> LimitDataToxic."""
    return "".join(word.capitalize() for word in kind.removesuffix("_peer").split("_")) + "Toxic"
