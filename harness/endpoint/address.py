"""An endpoint's address as a typed value: where a client connects, and as whom.

A text that can't be read as an address may hold a password anywhere, so no message here repeats any part of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from harness.endpoint.allowed import Scope
from harness.errors import UsageError

FORM = "redis://[[user]:password@]host[:port][/db] (rediss:// and ?ca_file=PATH for TLS)"
DEFAULT_PORT = 6379


@dataclass(frozen=True)
class Endpoint:
    """Where a client connects to, and as whom. str() and repr() never show the password.

    db: database number selected after connecting; ca_file: path of a PEM file that verifies a rediss endpoint.
    scope: None for a server of our own; else what may be sent there, checked by every connection made from this value.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: bool = False
    ca_file: str | None = None
    scope: Scope | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read a URL of the form `FORM`; ValueError (showing nothing of it) otherwise."""
        parts = _split(url)
        tls = parts.scheme == "rediss"
        return cls(
            host=parts.hostname or "",
            port=_port(parts),
            user=unquote(parts.username) if parts.username else None,
            password=_password(parts),
            db=_database(parts),
            tls=tls,
            ca_file=_ca_file(parts, tls),
        )

    def with_address(self, host: str, port: int) -> Endpoint:
        """The same credentials at another address, as when a fault proxy stands in front."""
        return replace(self, host=host, port=port)

    def with_database(self, db: int) -> Endpoint:
        """The same endpoint, with another database selected."""
        return replace(self, db=db)

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        scheme = "rediss" if self.tls else "redis"
        who = f"{quote(self.user, safe='')}@" if self.user else ""
        return f"{scheme}://{who}{self.address}" + (f"/{self.db}" if self.db else "")


def read_endpoint(text: str, environ: Mapping[str, str], name: str = "", *, option: str = "") -> Endpoint:
    """The endpoint that a user gave as a URL, or as ``@FILE`` where the file holds the URL; UsageError otherwise.

    What the URL leaves out of user and password comes from HARNESS_ENDPOINT_<NAME>_USER and _PASSWORD (without a name:
    HARNESS_ENDPOINT_USER and _PASSWORD), so that neither need stand in the process list. option: what messages call it.
    """
    option = option or (f"--endpoint {name}=…" if name else "--endpoint …")
    try:
        endpoint = Endpoint.parse(_from_file(text[1:]) if text.startswith("@") else text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    user = endpoint.user or environ.get(_variable(name, "USER")) or None
    password = endpoint.password
    if password is None:
        password = environ.get(password_variable(name)) or None
    if user and password is None:
        raise UsageError(
            f"{option}: there is a user and no password; write redis://:password@host for a password alone, "
            f"set {password_variable(name)}, or write redis://user:@host for a user who needs none"
        )
    return replace(endpoint, user=user, password=password)


def read_endpoints(options: Iterable[str], environ: Mapping[str, str]) -> dict[str, Endpoint]:
    """Every ``NAME=URL`` or ``NAME=@FILE`` of the command line, by node; UsageError for a wrong or a repeated one."""
    endpoints: dict[str, Endpoint] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals or not re.fullmatch(r"[\w.-]+", name):
            raise UsageError(f"--endpoint takes NAME=URL or NAME=@FILE; NAME is a node of the scenario, URL {FORM}")
        if name in endpoints:
            raise UsageError(f"--endpoint {name}=… is given twice; a node has one endpoint")
        endpoints[name] = read_endpoint(text, environ, name)
    return endpoints


def password_variable(name: str) -> str:
    """The environment variable that a node's password may stand in; "" is the endpoint without a name."""
    return _variable(name, "PASSWORD")


def _variable(name: str, what: str) -> str:
    words = ["HARNESS_ENDPOINT", *([name] if name else []), what]
    return re.sub(r"[^A-Z0-9]", "_", "_".join(words).upper())


def _from_file(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ValueError(f"can't read the file {path!r}: {reason}") from None
    return text.strip()


def _wrong(what: str) -> NoReturn:
    raise ValueError(f"{what}; an endpoint is written {FORM}, and / ? # @ % in a password as %2F %3F %23 %40 %25")


def _split(url: str) -> SplitResult:
    if re.search(r"[\x00-\x20\x7f]", url):
        _wrong("a blank or a control character stands in it")
    try:
        parts = urlsplit(url)
    except ValueError:
        _wrong("it can't be read as a URL")
    if parts.scheme not in ("redis", "rediss"):
        _wrong("it does not begin with redis:// or rediss://")
    if not parts.hostname:
        _wrong("it names no host")
    if parts.fragment:
        _wrong("something follows a #")
    return parts


def _password(parts: SplitResult) -> str | None:
    """None where there is none; "" only for a user who needs none, as in redis://user:@host."""
    if parts.password is None or not (parts.password or parts.username):
        return None
    return unquote(parts.password)


def _port(parts: SplitResult) -> int:
    try:
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError:
        port = 0
    return port or _wrong("its port is not a number from 1 to 65535")


def _database(parts: SplitResult) -> int:
    text = parts.path.removeprefix("/")
    if not re.fullmatch(r"[0-9]{0,7}", text):
        _wrong("its database is not a number")
    return int(text or 0)


def _ca_file(parts: SplitResult, tls: bool) -> str | None:
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    if any(name != "ca_file" or not value for name, value in parameters) or len(parameters) > 1:
        _wrong("what follows the ? is not one ca_file=PATH")
    if parameters and not tls:
        _wrong("a ca_file needs rediss://")
    return parameters[0][1] if parameters else None
