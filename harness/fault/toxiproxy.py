"""The fault proxy as the harness uses it: links through a real Toxiproxy, or through the embedded one.

Every call returns when the proxy has confirmed the change, and may come from any thread. Whatever was made here is
removed again, and nothing else: a Toxiproxy that others use too keeps their proxies.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from harness.errors import Failure, HarnessError, SetupError, UsageError
from harness.fault.proxy_errors import ProxyRefusedError, ProxyUnreachableError
from harness.fault.proxy_process import READY_WITHIN_S, Popen, ProxyProcess, RunningProxy, start_embedded, start_program
from harness.fault.toxic import Toxic, stream_of
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.topology import Link

if TYPE_CHECKING:
    from harness.fault.toxiproxy_client import Client

PROGRAM = "toxiproxy-server"
DEFAULT_PORT = 8474
RESTORE_WITHIN_S = 5.0
HEAL_WITHIN_S = 10.0  # then a proxy that does not remove a toxic is made anew
_UNTOLD = "git"  # what a toxiproxy-server built by `go install` calls its version
_CHOICES = "embedded, auto, http://HOST:PORT of a Toxiproxy, or the path of a toxiproxy-server program"


def open_fault_proxy(choice: str = "auto", *, popen: Popen = subprocess.Popen) -> FaultProxy:
    """The fault proxy that `choice` names: embedded; auto (toxiproxy-server on PATH, else embedded); a URL; a path.

    popen: starts a toxiproxy-server; an owner's, so that it ends should we be killed.
    UsageError for a choice that is none of these, SetupError for a proxy that is not to be had, with what to do.
    """
    if choice == "auto":
        choice = shutil.which(PROGRAM) or "embedded"
    if choice == "embedded":
        return _opened(start_embedded())
    if "://" in choice:
        return FaultProxy(_checked_url(choice), where=choice)
    program = _program(choice)
    proxy = _opened(start_program(program, popen), choice)
    if proxy.version == _UNTOLD:
        from harness.engine.toxiproxy_image import version_in

        proxy.version = version_in(program.read_bytes()) or _UNTOLD
    return proxy


def check_choice(choice: str) -> None:
    """UsageError where `choice` names no fault proxy at all, whether or not one is needed. Nothing is started."""
    if "://" in choice:
        _checked_url(choice)
    elif choice not in ("auto", "embedded") and not Path(choice).exists():
        _program(choice)


class FaultProxy:
    """kind: "embedded" or "toxiproxy"; version: as given, else what its API says; where: "own process", a path, an
    image, or a URL; url: of its REST API; notes: what became of links that it did not heal.
    """

    def __init__(self, url: str, *, where: str, process: RunningProxy | None = None, version: str = "") -> None:
        from harness.fault.toxiproxy_client import Client

        self.url, self.where = url, where
        self._process, self._host = process, str(urlsplit(url).hostname)
        self._links: list[ProxiedLink] = []
        self.notes: list[str] = []  # what a reader of a run has to know of it
        self._numbers = itertools.count(1)
        self._prefix = "" if process else f"harness-{os.getpid()}-{secrets.token_hex(4)}-"
        self._client = Client(url)
        try:
            self.version, embedded = self._wait_for_version() if process else self._client.version()
        except BaseException:
            self._client.close()
            raise
        self.kind = "embedded" if embedded else "toxiproxy"
        self.version = version or self.version

    def _wait_for_version(self) -> tuple[str, bool]:
        """Of a process that we started: it may not listen yet."""
        assert self._process is not None
        process, last = self._process, ""

        def probe() -> tuple[str, bool] | None:
            nonlocal last
            if why := process.why_ended():
                raise SetupError(f"{why}\nis it a {PROGRAM}? --fault-proxy takes {_CHOICES}")
            try:
                return self._client.version()
            except ProxyUnreachableError as error:
                last = str(error)
                return None

        return wait_until(probe, deadline_s=READY_WITHIN_S, what=f"{process.what} to answer", describe=lambda: last)

    def open_link(self, name: str, upstream: tuple[str, int], listen_host: str, listen_port: int = 0) -> ProxiedLink:
        """Put a proxy in front of upstream (host, port). listen_port 0: any. SetupError with the system's reason."""
        self._check_within_reach(upstream[0], listen_host)
        safe = f"{self._prefix}{next(self._numbers)}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name.replace('->', '-to-'))}"
        try:
            made = self._client.library.create(
                upstream=_join(*upstream), name=safe, listen=_join(listen_host, listen_port)
            )
        except Failure as error:
            raise self.explained(error, f"{name} cannot lead through a fault proxy") from None
        link = ProxiedLink(self, self._client, made, name)
        self._links.append(link)
        if self._process is None:
            self._check_connects(link)
        return link

    def _check_within_reach(self, *hosts: str) -> None:
        if self._process is None and not _is_this_machine(self._host) and any(map(_is_loopback, hosts)):
            raise SetupError(
                f"the fault proxy at {self.where} runs on another machine and can't reach nodes on this machine's "
                f"loopback ({', '.join(hosts)}); give one that runs here, or leave the choice to the harness (auto)"
            )

    def _check_connects(self, link: ProxiedLink) -> None:
        """What the proxy calls its address may lie in another network than ours, as that of a container does."""
        try:
            socket.create_connection(link.listen, timeout=3).close()
        except OSError as error:
            link.close()
            raise SetupError(
                f"the fault proxy at {self.where} says that it listens on {_join(*link.listen)}, but from here that "
                f"address gives: {error.strerror or error}; does it run in a container or on another machine? Give one "
                "that runs here, or leave the choice to the harness (auto)"
            ) from None

    def explained(self, error: Failure, what: str) -> Failure:
        """The error in words of the link; if our own process has ended, that and its last lines."""
        ended = self._process.why_ended() if self._process else ""
        if ended and self.kind == "embedded":
            return HarnessError(f"{what}: {ended}")
        return SetupError(f"{what}: {ended or error}")

    def close(self) -> None:
        """Remove the links that are still open, and end the process if we started it. A second call does nothing."""
        links, self._links = self._links, []
        if self._process is not None:
            for link in links:
                link.forget()
            self._process.stop()
            failed = []
        else:
            failed = [str(error) for link in links if (error := _closing_error(link))]
        self._client.close()
        if failed:
            raise SetupError(
                "proxies of this run are left in the fault proxy, remove them there:\n" + "\n".join(failed)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class ProxiedLink:
    """One link that leads through the fault proxy. listen: (host, port) that the link's TCP client has to dial."""

    def __init__(self, owner: FaultProxy, client: Client, made: Any, name: str) -> None:
        self.name = name
        self.listen = _split(made.listen)
        self._owner, self._client, self._made = owner, client, made
        self._numbers = itertools.count(1)
        self._toxics: dict[str, dict[str, Any]] = {}
        self._down = False
        self._closed = False
        self._closing = threading.Lock()

    def add(self, toxic: Toxic, link: Link) -> str:
        """Disturb the link; returns the toxic's name, for `remove` and `update`."""
        stream = stream_of(link, toxic.direction)
        name = f"{toxic.kind}_{stream}_{next(self._numbers)}"
        fields = {"type": toxic.kind, "stream": stream, "name": name, "toxicity": toxic.toxicity}
        fields["attributes"] = dict(toxic.attributes)
        self._do(f"add {toxic.kind}", lambda: self._made.add_toxic(**fields))
        self._toxics[name] = fields
        return name

    def update(
        self, toxic_name: str, attributes: Mapping[str, int] | None = None, toxicity: float | None = None
    ) -> None:
        """Change some attributes, the toxicity, or both; the rest stays."""
        change: dict[str, Any] = {} if attributes is None else {"attributes": dict(attributes)}
        if toxicity is not None:
            change["toxicity"] = toxicity
        self._do(f"update {toxic_name}", lambda: self._client.update_toxic(self._made.name, toxic_name, change))
        fields = self._toxics.get(toxic_name, {"attributes": {}})
        fields.update({**change, "attributes": {**fields["attributes"], **change.get("attributes", {})}})

    def remove(self, toxic_name: str) -> None:
        """A proxy that does not do so in time is made anew: then its connections close."""
        self._do(f"remove {toxic_name}", lambda: self._take_away(toxic_name))

    def _take_away(self, toxic_name: str) -> None:
        """Toxiproxy waits for ever where it holds bytes that nobody takes, as after both ends have gone."""
        try:
            self._client.remove_toxic(self._made.name, toxic_name, HEAL_WITHIN_S)
        except (ProxyRefusedError, ProxyUnreachableError) as error:
            hangs = error.status == 503 if isinstance(error, ProxyRefusedError) else not error.gone
            if not hangs:
                raise
            self._toxics.pop(toxic_name, None)
            self._renew(toxic_name)
        else:
            self._toxics.pop(toxic_name, None)

    def _renew(self, toxic_name: str) -> None:
        """The same proxy at the same address with the toxics that are left."""
        made = self._made
        made.destroy()
        fields = {"name": made.name, "listen": made.listen, "upstream": made.upstream, "enabled": not self._down}
        self._patiently(lambda: self._client.make_proxy(fields))
        for toxic in self._toxics.values():
            made.add_toxic(**toxic)
        self._owner.notes.append(
            f"{self.name}: its proxy did not remove {toxic_name} within {HEAL_WITHIN_S:.0f} s and was made anew, "
            "which closed its connections"
        )

    def cut(self) -> None:
        """Take the link down: all its connections are closed, and new ones are refused."""
        self._do("cut", self._made.disable)
        self._down = True

    def restore(self) -> None:
        """Let connections in again, at the same address. SetupError if that address can't be had back in time."""
        self._do("restore", lambda: self._patiently(self._made.enable))
        self._down = False

    @staticmethod
    def _patiently(listen: Callable[[], object]) -> None:
        """Do what makes the proxy listen again, as soon as its address is free."""
        refused = ""

        def probe() -> bool:
            nonlocal refused
            try:
                listen()
            except ProxyRefusedError as error:
                if "already in use" not in error.reason:
                    raise
                refused = error.reason
                return False
            return True

        try:
            wait_until(probe, deadline_s=RESTORE_WITHIN_S, what="its address", describe=lambda: refused)
        except WaitedTooLongError:
            raise SetupError(f"another program has taken its address while it was cut: {refused}") from None

    def renew(self) -> None:
        """Remove the proxy and make it again at the same address: its connections close, and no toxic stays.

        For a link whose ends have gone while a toxic still held bytes: Toxiproxy can't remove that toxic any more.
        """
        settings = {"upstream": self._made.upstream, "name": self._made.name, "listen": self._made.listen}

        def again() -> None:
            _unless_gone(self._made.destroy)
            self._made = self._client.library.create(**settings)

        self._do("renew", again)

    def clear(self) -> None:
        """Remove every toxic and let connections in: the link as it was when it was opened."""

        def heal() -> None:
            for name in self._made.toxics():
                _unless_gone(functools.partial(self._take_away, name))

        self._do("clear", heal)
        self.restore()

    def close(self) -> None:
        """Remove the proxy and close its connections; nothing if it is gone already."""
        with self._closing:
            if not self._closed:
                self._do("remove the proxy", lambda: _unless_gone(self._made.destroy))
                self._closed = True

    def forget(self) -> None:
        """Its proxy goes with the process that holds it."""
        self._closed = True

    def _do(self, what: str, action: Callable[[], Any]) -> None:
        try:
            action()
        except Failure as error:
            raise self._owner.explained(error, f"{self.name}: {what} failed") from None


def _opened(process: ProxyProcess, where: str = "own process") -> FaultProxy:
    try:
        # Here, since `requests` takes as long to load as the embedded proxy to start: both happen at the same time.
        from harness.fault import toxiproxy_client  # noqa: F401

        return FaultProxy(process.url(), where=where, process=process)
    except BaseException:
        process.stop()
        raise


def _program(choice: str) -> Path:
    found = shutil.which(choice)
    if found:
        return Path(found).absolute()
    if not Path(choice).exists():
        raise UsageError(f"there is no fault proxy {choice!r}; expected {_CHOICES}")
    raise SetupError(
        f"the fault proxy {choice!r} is not an executable file; make it one (chmod +x), or give {_CHOICES}"
    )


def _checked_url(choice: str) -> str:
    """With a port, and nothing but scheme, host and port."""
    try:
        parts = urlsplit(choice)
        port = parts.port or DEFAULT_PORT
    except ValueError as error:
        raise UsageError(f"the fault proxy {choice!r} is no URL: {error}; expected {_CHOICES}") from None
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise UsageError(f"the fault proxy {choice!r} is not of the form http://HOST:PORT; expected {_CHOICES}")
    return f"http://{_join(parts.hostname, port)}"


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _is_this_machine(host: str) -> bool:
    """Whether the host's address is one of ours: only then can it be bound. A name that is unknown is not."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def _unless_gone(action: Callable[[], Any]) -> None:
    """Do it, unless what it would remove is gone already, or the whole server is."""
    try:
        action()
    except ProxyRefusedError as error:
        if error.status != 404:
            raise
    except ProxyUnreachableError as error:
        if not error.gone:
            raise


def _closing_error(link: ProxiedLink) -> Failure | None:
    try:
        link.close()
    except Failure as error:
        return error
    return None
