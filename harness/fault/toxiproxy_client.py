"""toxiproxy-python, with what keeps it from being used as it is put right.

The package keeps its server's address in a class, so that one process can talk to one server only; it sends requests
without a time limit and through whatever HTTP proxy the environment names; and it takes most error answers for
success. Each Client here loads a copy of the package for itself and gives that copy another `requests`: its own
address, limits, and an exception for every answer that is not a success. What others import as the package stays as it
is.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
import threading
from collections.abc import Mapping
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import requests

from harness.errors import SetupError
from harness.fault.proxy_errors import ProxyRefusedError, ProxyUnreachableError

CONNECT_WITHIN_S = 3.0
ANSWER_WITHIN_S = 30.0  # Toxiproxy itself gives up on a request after 25 s

_copies = itertools.count(1)
_loading = threading.Lock()


class Client:
    """One Toxiproxy server. `library` is that server's own `toxiproxy.Toxiproxy`; usable from several threads."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._http = _Requests(url)
        self._package = _own_copy()
        self._package.api.APIConsumer.host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        self._package.api.APIConsumer.port = parts.port
        self._package.api.requests = self._http
        self.library: Any = self._package.Toxiproxy()

    def version(self) -> tuple[str, bool]:
        """What the server calls itself, and whether it is this project's own; SetupError where it is no Toxiproxy."""
        answer = self._http.send("GET", "/version")
        try:
            return str(json.loads(answer.content)["version"]), answer.headers.get("Server") == "replication-harness"
        except (ValueError, KeyError, TypeError):
            shown = answer.text[:80]
            raise SetupError(
                f"what answers at {self._http.server} is no Toxiproxy: /version gave {shown!r}; start one there, "
                "or leave the choice of the fault proxy to the harness (auto)"
            ) from None

    def update_toxic(self, proxy: str, toxic: str, change: Mapping[str, Any]) -> None:
        """What the package cannot do. change: `attributes` and `toxicity`, both optional."""
        self._http.send("POST", f"/proxies/{proxy}/toxics/{toxic}", json=change)

    def remove_toxic(self, proxy: str, toxic: str, within_s: float) -> None:
        """With a time limit of its own: removing one can take for ever."""
        self._http.send("DELETE", f"/proxies/{proxy}/toxics/{toxic}", within_s)

    def make_proxy(self, fields: Mapping[str, Any]) -> None:
        """Without a look at all the others first, as the package has it: one that hangs would be waited for."""
        self._http.send("POST", "/proxies", json=fields)

    def close(self) -> None:
        """Forget this client's copy of the package."""
        name = self._package.__name__
        for loaded in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
            del sys.modules[loaded]


class _Requests:
    """Stands where the package looks for the `requests` module."""

    def __init__(self, url: str) -> None:
        self.server = url

    def get(self, url: str, **options: Any) -> requests.Response:
        return self.send("GET", urlsplit(url).path, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        return self.send("POST", urlsplit(url).path, **options)

    def delete(self, url: str, **options: Any) -> requests.Response:
        return self.send("DELETE", urlsplit(url).path, **options)

    def send(self, method: str, path: str, within_s: float = ANSWER_WITHIN_S, **options: Any) -> requests.Response:
        request = f"{method} {path}"
        try:
            with requests.Session() as session:  # a session of its own per request can be used by any thread
                session.trust_env = False
                answer = session.request(
                    method,
                    self.server + path,
                    timeout=(CONNECT_WITHIN_S, within_s),
                    allow_redirects=False,
                    **options,
                )
        except requests.Timeout as error:
            raise ProxyUnreachableError(self.server, request, f"timed out ({error})", gone=False) from None
        except requests.RequestException as error:
            cause = _cause(error)
            gone = isinstance(cause, ConnectionRefusedError)
            raise ProxyUnreachableError(self.server, request, _shown(cause), gone=gone) from None
        if not 200 <= answer.status_code < 300:
            raise ProxyRefusedError(self.server, request, answer.status_code, _reason(answer))
        return answer


def _reason(answer: requests.Response) -> str:
    try:
        return str(json.loads(answer.content)["error"])
    except (ValueError, KeyError, TypeError):
        return answer.text.strip()[:200] or answer.reason or "no reason given"


def _cause(error: BaseException) -> BaseException:
    """The innermost of a chain of wrapped network errors."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _shown(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _own_copy() -> ModuleType:
    """A copy of the package, with its own class attributes, under a name that nobody else imports."""
    found = importlib.util.find_spec("toxiproxy")
    if found is None or found.origin is None:
        raise SetupError("the package toxiproxy-python is not installed; install it with: pip install toxiproxy-python")
    name = f"{__name__}_copy_{next(_copies)}"
    spec = importlib.util.spec_from_file_location(name, found.origin, submodule_search_locations=[*_folders(found)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _loading:
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return module


def _folders(spec: Any) -> list[str]:
    return list(spec.submodule_search_locations or [])
