"""The REST API, on the embedded proxy and on the real Toxiproxy alike: what a client in any language relies on."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness.fault.toxiproxy import open_fault_proxy
from tests.conformance.fault_proxy.choices import choice
from tests.fault.tcp import refuses

PROXY = {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}
NO_TOXICS: list[Any] = []


class Api:
    """Requests to one server. `json` and `text` send a body that is no string as JSON."""

    def __init__(self, url: str) -> None:
        self.address = (str(urlsplit(url).hostname), int(urlsplit(url).port or 0))

    def send(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        raw = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        try:
            connection.request(method, path, raw, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        answer, content = self.send(method, path, body)
        return answer.status, json.loads(content) if content else None

    def make(self, **fields: object) -> dict[str, Any]:
        status, made = self.json("POST", "/proxies", {**PROXY, **fields})
        assert status == 201
        return dict(made)


@pytest.fixture(scope="module", params=["embedded", "toxiproxy"])
def server(request: pytest.FixtureRequest) -> Iterator[Api]:
    with open_fault_proxy(choice(request.param)) as opened:
        yield Api(opened.url)


@pytest.fixture
def api(server: Api) -> Iterator[Api]:
    """A server without proxies, before and after."""
    yield server
    for name in server.json("GET", "/proxies")[1]:
        server.send("DELETE", f"/proxies/{name}")


def address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host, int(port)


def toxic(kind: str = "latency", **changes: object) -> dict[str, Any]:
    attributes = {"latency": {"latency": 0, "jitter": 0}}.get(kind, {})
    shown = {
        "attributes": attributes,
        "name": f"{kind}_downstream",
        "type": kind,
        "stream": "downstream",
        "toxicity": 1,
    }
    return {**shown, **changes}


class TestServer:
    def test_version(self, api: Api) -> None:
        answer, content = api.send("GET", "/version")
        assert answer.status == 200
        assert answer.getheader("Content-Type") == "application/json;charset=utf-8"
        assert re.fullmatch(rb'\{"version": "[^"]+"\}\n', content)

    def test_every_answer_of_a_handler_has_an_id(self, api: Api) -> None:
        ids = [api.send("GET", "/proxies")[0].getheader("X-Toxiproxy-Request-Id") or "" for _ in range(2)]
        assert all(re.fullmatch("[0-9a-v]{20}", id_) for id_ in ids)
        assert ids[0] != ids[1]
        assert api.send("GET", "/nothing")[0].getheader("X-Toxiproxy-Request-Id") is None

    def test_browsers_are_kept_out(self, api: Api) -> None:
        answer, content = api.send("GET", "/proxies", User_Agent="Mozilla/5.0 (X11)")
        assert (answer.status, content) == (403, b"User agent not allowed\n")
        assert api.send("GET", "/proxies", User_Agent="Wget/2.1 Mozilla/")[0].status == 200

    @pytest.mark.parametrize(
        ("method", "path", "status", "content"),
        [
            ("GET", "/nothing", 404, b"404 page not found\n"),
            ("GET", "/proxies/", 404, b"404 page not found\n"),
            ("GET", "/metrics", 404, b"404 page not found\n"),
            ("GET", "/proxies/p/toxics/", 404, b"404 page not found\n"),
            ("GET", "/proxies/a%2Fb", 404, b"404 page not found\n"),
            ("PUT", "/proxies", 405, b""),
            ("HEAD", "/proxies", 405, b""),
            ("GET", "/populate", 405, b""),
            ("GET", "/reset", 405, b""),
            ("PUT", "/proxies/p", 405, b""),
            ("PUT", "/proxies/p/toxics/x", 405, b""),
            ("GET", "/proxies?pretty=1", 200, b"{}"),
        ],
    )
    def test_paths_and_methods(self, api: Api, method: str, path: str, status: int, content: bytes) -> None:
        answer, received = api.send(method, path)
        assert (answer.status, received) == (status, content)

    @pytest.mark.parametrize(
        ("path", "clean"),
        [("//proxies", "/proxies"), ("/proxies/p/../q", "/proxies/q"), ("/proxies//toxics?x=1", "/proxies/toxics?x=1")],
    )
    def test_a_path_that_is_not_clean_is_redirected(self, api: Api, path: str, clean: str) -> None:
        answer, _ = api.send("GET", path)
        assert (answer.status, answer.getheader("Location")) == (301, clean)

    def test_several_requests_over_one_connection(self, api: Api) -> None:
        connection = http.client.HTTPConnection(*api.address, timeout=20)
        for _ in range(3):
            connection.request("GET", "/proxies")
            assert connection.getresponse().read() == b"{}"
        connection.close()

    def test_a_chunked_body(self, api: Api) -> None:
        connection = http.client.HTTPConnection(*api.address, timeout=20)
        body = json.dumps(PROXY).encode()
        connection.request("POST", "/proxies", iter([body[:10], body[10:]]), encode_chunked=True)
        assert connection.getresponse().status == 201
        connection.close()

    @pytest.mark.parametrize("expected", [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created"])
    def test_a_client_that_asks_before_it_sends(self, api: Api, expected: bytes) -> None:
        body = json.dumps(PROXY).encode()
        head = f"POST /proxies HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(api.address, timeout=20) as client:
            client.sendall(head.encode() + body)
            received = b""
            while len(received) < len(expected):
                received += client.recv(4096)
        assert received.startswith(expected)

    def test_what_is_not_http(self, api: Api) -> None:
        with socket.create_connection(api.address, timeout=20) as client:
            client.sendall(b"*1\r\n$4\r\nPING\r\n\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 400 Bad Request\r\n")


class TestProxies:
    def test_create(self, api: Api) -> None:
        answer, content = api.send("POST", "/proxies", {**PROXY, "name": "r<&>é"})
        port = json.loads(content)["listen"].rpartition(":")[2]
        assert answer.status == 201
        assert answer.getheader("Content-Type") == "application/json"
        assert content.decode() == (
            f'{{"name":"r\\u003c\\u0026\\u003eé","listen":"127.0.0.1:{port}","upstream":"127.0.0.1:1",'
            '"enabled":true,"Logger":{},"toxics":[]}'
        )
        api.send("DELETE", "/proxies/r%3C%26%3E%C3%A9")
        assert refuses(("127.0.0.1", int(port)))

    def test_create_disabled(self, api: Api) -> None:
        made = api.make(listen="localhost:0", enabled=False)
        assert (made["listen"], made["enabled"]) == ("localhost:0", False)
        status, shown = api.json("PATCH", "/proxies/p", {"enabled": True})
        assert (status, shown["enabled"], shown["listen"].startswith("127.0.0.1:")) == (200, True, True)
        assert not refuses(address(shown["listen"]))

    def test_ipv6(self, api: Api) -> None:
        assert re.fullmatch(r"\[::1\]:\d+", api.make(listen="[::1]:0")["listen"])

    def test_list(self, api: Api) -> None:
        made = {name: api.make(name=name) for name in ("b", "a")}
        assert api.json("GET", "/proxies") == (200, made)
        assert api.json("GET", "/proxies/a") == (200, made["a"])

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_update_keeps_what_is_not_given(self, api: Api, method: str) -> None:
        made = api.make()
        api.json("POST", "/proxies/p/toxics", {"type": "noop"})
        status, shown = api.json(method, "/proxies/p", {"upstream": "127.0.0.1:2", "name": "other", "enabled": None})
        assert status == 200
        assert shown == {**made, "upstream": "127.0.0.1:2", "toxics": [toxic("noop")]}

    def test_update_moves_the_listener(self, api: Api) -> None:
        before = api.make()["listen"]
        after = api.json("PATCH", "/proxies/p", {"listen": "127.0.0.1:0"})[1]["listen"]
        assert refuses(address(before))
        assert not refuses(address(after))

    def test_delete(self, api: Api) -> None:
        made = api.make()
        assert api.json("DELETE", "/proxies/p") == (204, None)
        assert refuses(address(made["listen"]))
        assert api.json("DELETE", "/proxies/p") == (404, {"error": "proxy not found", "status": 404})

    def test_reset_enables_and_removes_toxics(self, api: Api) -> None:
        made = api.make()
        api.json("POST", "/proxies/p/toxics", {"type": "latency"})
        api.json("POST", "/proxies/p/toxics", {"type": "noop", "stream": "upstream"})
        api.json("PATCH", "/proxies/p", {"enabled": False})
        assert api.json("POST", "/reset") == (204, None)
        assert api.json("GET", "/proxies/p") == (200, made)

    def test_a_port_in_use(self, api: Api) -> None:
        taken = api.make()["listen"]
        error = {"error": f"listen tcp {taken}: bind: address already in use", "status": 500}
        assert api.json("POST", "/proxies", {**PROXY, "name": "q", "listen": taken}) == (500, error)
        api.make(name="q")
        assert api.json("PATCH", "/proxies/q", {"listen": taken}) == (500, error)
        shown = api.json("GET", "/proxies/q")[1]
        assert (shown["listen"], shown["enabled"]) == (taken, False)

    @pytest.mark.parametrize(
        ("listen", "error"),
        [
            ("nowhere", "listen tcp: address nowhere: missing port in address"),
            ("127.0.0.1:99999", "listen tcp: address 99999: invalid port"),
            ("127.0.0.1:abc", "listen tcp: lookup tcp/abc: unknown port"),
            ("::1:5", "listen tcp: address ::1:5: too many colons in address"),
            ("[::1]", "listen tcp: address [::1]: missing port in address"),
            ("[::1:5", "listen tcp: address [::1:5: missing ']' in address"),
            ("192.0.2.1:5", "listen tcp 192.0.2.1:5: bind: cannot assign requested address"),
        ],
    )
    def test_an_address_that_cannot_be_listened_on(self, api: Api, listen: str, error: str) -> None:
        expected = (500, {"error": error, "status": 500})
        assert api.json("POST", "/proxies", {**PROXY, "listen": listen}) == expected
        assert api.json("GET", "/proxies") == (200, {})

    @pytest.mark.parametrize(
        ("body", "status", "error"),
        [
            ("", 400, "bad request body: EOF"),
            ("  ", 400, "bad request body: EOF"),
            ('{"name":"x', 400, "bad request body: unexpected EOF"),
            ("xx", 400, "bad request body: invalid character 'x' looking for beginning of value"),
            ("{'name':1}", 400, "bad request body: invalid character '\\'' looking for beginning of object key string"),
            (
                '{"name":"x",}',
                400,
                "bad request body: invalid character '}' looking for beginning of object key string",
            ),
            ('{"name" "x"}', 400, "bad request body: invalid character '\"' after object key"),
            ('{"name":"x" 1}', 400, "bad request body: invalid character '1' after object key:value pair"),
            ('{"name":NaN}', 400, "bad request body: invalid character 'N' looking for beginning of value"),
            ("[]", 400, "bad request body: json: cannot unmarshal array into Go value of type toxiproxy.Proxy"),
            (
                '{"name":1}',
                400,
                "bad request body: json: cannot unmarshal number into Go struct field Proxy.name of type string",
            ),
            (
                '{"enabled":"x"}',
                400,
                "bad request body: json: cannot unmarshal string into Go struct field Proxy.enabled of type bool",
            ),
            ("null", 400, "missing required field: name"),
            ('{"name":"x","upstream":""}', 400, "missing required field: upstream"),
            ('{"NAME":"x","upstream":null} and more', 400, "missing required field: upstream"),
            (json.dumps({**PROXY, "name": "there"}), 409, "proxy already exists"),
        ],
    )
    def test_refused_bodies(self, api: Api, body: str, status: int, error: str) -> None:
        api.make(name="there")
        answer, content = api.send("POST", "/proxies", body)
        assert (answer.status, json.loads(content)) == (status, {"error": error, "status": status})
        assert answer.getheader("Content-Type") == "text/plain; charset=utf-8"
        assert list(api.json("GET", "/proxies")[1]) == ["there"]


class TestPopulate:
    def test_creates_in_order(self, api: Api) -> None:
        wanted = [{**PROXY, "name": "one"}, {**PROXY, "name": "two", "enabled": False}]
        status, shown = api.json("POST", "/populate", wanted)
        assert status == 201
        assert [(proxy["name"], proxy["enabled"]) for proxy in shown["proxies"]] == [("one", True), ("two", False)]

    def test_keeps_an_identical_proxy_with_its_toxics(self, api: Api) -> None:
        made = api.make()
        api.json("POST", "/proxies/p/toxics", {"type": "latency"})
        listen = made["listen"].replace("127.0.0.1", "localhost")
        status, shown = api.json("POST", "/populate", [{**PROXY, "listen": listen}])
        assert (status, shown) == (201, {"proxies": [{**made, "toxics": [toxic()]}]})

    def test_replaces_a_proxy_that_differs(self, api: Api) -> None:
        made = api.make()
        api.json("POST", "/proxies/p/toxics", {"type": "latency"})
        _, shown = api.json("POST", "/populate", [{**made, "upstream": "127.0.0.1:2"}])
        assert shown == {"proxies": [{**made, "upstream": "127.0.0.1:2"}]}

    @pytest.mark.parametrize(
        ("bad", "error"),
        [
            ({"name": ""}, "missing required field: name at proxy 2"),
            ({"name": "q"}, "missing required field: upstream at proxy 2"),
        ],
    )
    def test_creates_nothing_when_one_entry_lacks_a_field(self, api: Api, bad: dict[str, Any], error: str) -> None:
        assert api.json("POST", "/populate", [PROXY, bad]) == (400, {"error": error, "status": 400, "proxies": None})
        assert api.json("GET", "/proxies") == (200, {})

    def test_keeps_what_came_before_an_entry_that_failed(self, api: Api) -> None:
        wanted = [{**PROXY, "name": "one"}, {**PROXY, "name": "two", "listen": "bad"}, {**PROXY, "name": "three"}]
        status, shown = api.json("POST", "/populate", wanted)
        assert (status, shown["error"]) == (500, "listen tcp: address bad: missing port in address")
        assert [proxy["name"] for proxy in shown["proxies"]] == ["one"]
        assert list(api.json("GET", "/proxies")[1]) == ["one"]

    @pytest.mark.parametrize("body", ["[]", "null"])
    def test_nothing_to_do(self, api: Api, body: str) -> None:
        assert api.json("POST", "/populate", body) == (201, {"proxies": None})

    def test_a_body_that_is_no_list(self, api: Api) -> None:
        status, shown = api.json("POST", "/populate", "{}")
        assert (status, shown["proxies"]) == (400, None)
        assert shown["error"].startswith(
            "bad request body: json: cannot unmarshal object into Go value of type []struct"
        )


class TestToxics:
    @pytest.fixture(autouse=True)
    def _proxy(self, api: Api) -> None:
        api.make()

    @pytest.mark.parametrize(
        ("kind", "attributes"),
        [
            ("bandwidth", {"rate": 0}),
            ("latency", {"latency": 0, "jitter": 0}),
            ("limit_data", {"bytes": 0}),
            ("noop", {}),
            ("reset_peer", {"timeout": 0}),
            ("slicer", {"average_size": 0, "size_variation": 0, "delay": 0}),
            ("slow_close", {"delay": 0}),
            ("timeout", {"timeout": 0}),
        ],
    )
    def test_kinds_and_defaults(self, api: Api, kind: str, attributes: dict[str, int]) -> None:
        expected = toxic(kind, attributes=attributes)
        assert api.json("POST", "/proxies/p/toxics", {"type": kind}) == (200, expected)
        assert api.json("GET", f"/proxies/p/toxics/{kind}_downstream") == (200, expected)

    def test_the_text_of_an_answer(self, api: Api) -> None:
        body = {"type": "latency", "attributes": {"LATENCY": 5, "other": "x", "jitter": None}, "toxicity": 0.123456789}
        assert api.send("POST", "/proxies/p/toxics", body)[1] == (
            b'{"attributes":{"latency":5,"jitter":0},"name":"latency_downstream","type":"latency",'
            b'"stream":"downstream","toxicity":0.12345679}'
        )

    def test_the_stream_is_shown_as_written(self, api: Api) -> None:
        expected = toxic(name="latency_UPSTREAM", stream="UPSTREAM")
        assert api.json("POST", "/proxies/p/toxics", {"type": "latency", "stream": "UPSTREAM"}) == (200, expected)

    def test_listed_upstream_first_then_in_order(self, api: Api) -> None:
        for number, stream in enumerate(("downstream", "upstream", "downstream", "upstream")):
            api.json("POST", "/proxies/p/toxics", {"type": "noop", "name": f"t{number}", "stream": stream})
        names = [entry["name"] for entry in api.json("GET", "/proxies/p/toxics")[1]]
        assert names == ["t1", "t3", "t0", "t2"]
        assert api.json("DELETE", "/proxies/p/toxics/t3") == (204, None)
        assert [entry["name"] for entry in api.json("GET", "/proxies/p")[1]["toxics"]] == ["t1", "t0", "t2"]

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_update_changes_attributes_and_toxicity_only(self, api: Api, method: str) -> None:
        api.json("POST", "/proxies/p/toxics", {"type": "latency", "attributes": {"latency": 7}})
        change = {"name": "n", "type": "slicer", "stream": "upstream", "toxicity": 0.5, "attributes": {"jitter": 3}}
        expected = toxic(attributes={"latency": 7, "jitter": 3}, toxicity=0.5)
        assert api.json(method, "/proxies/p/toxics/latency_downstream", change) == (200, expected)
        nothing = {"toxicity": None, "attributes": None}
        assert api.json(method, "/proxies/p/toxics/latency_downstream", nothing) == (200, expected)

    @pytest.mark.parametrize(
        ("body", "status", "error"),
        [
            ("", 400, "bad request body: EOF"),
            ({}, 400, "invalid toxic type"),
            ({"type": "gravity"}, 400, "invalid toxic type"),
            ({"type": "noop", "stream": ""}, 400, "stream was invalid, can be either upstream or downstream"),
            ({"type": "noop", "stream": "sideways"}, 400, "stream was invalid, can be either upstream or downstream"),
            ({"type": "noop", "name": "there"}, 409, "toxic already exists"),
            ({"type": "noop", "name": "there", "stream": "upstream"}, 409, "toxic already exists"),
            (
                {"type": "latency", "attributes": {"latency": 1.5}},
                400,
                "bad request body: json: cannot unmarshal number 1.5 into Go struct field "
                "LatencyToxic.attributes.latency of type int64",
            ),
            (
                '{"type": "limit_data", "attributes": {"bytes": 1e3}}',
                400,
                "bad request body: json: cannot unmarshal number 1e3 into Go struct field "
                "LimitDataToxic.attributes.bytes of type int64",
            ),
            (
                {"type": "reset_peer", "attributes": {"timeout": True}},
                400,
                "bad request body: json: cannot unmarshal bool into Go struct field "
                "ResetToxic.attributes.timeout of type int64",
            ),
            (
                {"type": "slicer", "attributes": {"delay": 99999999999999999999}},
                400,
                "bad request body: json: cannot unmarshal number 99999999999999999999 into Go struct field "
                "SlicerToxic.attributes.delay of type int",
            ),
            (
                {"type": "latency", "attributes": []},
                400,
                "bad request body: json: cannot unmarshal array into Go struct field "
                "ToxicWrapper.attributes of type toxics.NoopToxic",
            ),
            (
                {"type": "latency", "toxicity": "1"},
                400,
                "bad request body: json: cannot unmarshal string into Go struct field "
                "ToxicWrapper.toxicity of type float32",
            ),
        ],
    )
    def test_refused_bodies(self, api: Api, body: object, status: int, error: str) -> None:
        api.json("POST", "/proxies/p/toxics", {"type": "noop", "name": "there"})
        assert api.json("POST", "/proxies/p/toxics", body) == (status, {"error": error, "status": status})
        assert [entry["name"] for entry in api.json("GET", "/proxies/p/toxics")[1]] == ["there"]

    @pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
    def test_what_is_not_there(self, api: Api, method: str) -> None:
        no_toxic, no_proxy = {"error": "toxic not found", "status": 404}, {"error": "proxy not found", "status": 404}
        assert api.json(method, "/proxies/p/toxics/x", "{}") == (404, no_toxic)
        assert api.json(method, "/proxies/x/toxics/x", "{}") == (404, no_proxy)
        assert api.json(method, "/proxies/x", "{}") == (404, no_proxy)
