"""An endpoint's address as a typed value: where a client connects, and as whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, quote, unquote, urlsplit


@dataclass(frozen=True)
class Endpoint:
    """Where a client connects to, and as whom. str() and repr() never show the password.

    db: database number selected after connecting; ca_file: path of a PEM file that verifies a rediss endpoint.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: bool = False
    ca_file: str | None = None

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read ``redis[s]://[user[:password]@]host[:port][/db][?ca_file=PATH]``; ValueError (without the password) otherwise."""
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise ValueError("an endpoint is written redis://[user:password@]host[:port][/db] (rediss:// for TLS)")
        try:
            port = parts.port or 6379
            db = int(parts.path.strip("/") or 0)
        except ValueError as error:
            raise ValueError(f"in an endpoint, port and database are numbers: {error}") from None
        return cls(
            host=parts.hostname,
            port=port,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            db=db,
            tls=parts.scheme == "rediss",
            ca_file=next(iter(parse_qs(parts.query).get("ca_file", [])), None),
        )

    def with_address(self, host: str, port: int) -> Endpoint:
        """The same credentials at another address, as when a fault proxy stands in front."""
        return replace(self, host=host, port=port)

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        scheme = "rediss" if self.tls else "redis"
        who = f"{quote(self.user)}@" if self.user else ""
        return f"{scheme}://{who}{self.address}" + (f"/{self.db}" if self.db else "")
