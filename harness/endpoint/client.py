"""Control connections: redis-py, set so that nothing is retried, renegotiated or waited for without a bound.

The data path has its own connections (`harness.resp`); these are for INFO, CONFIG, REPLICAOF and the like.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool, SSLConnection
from redis.retry import Retry

from harness.endpoint import allowed
from harness.endpoint.address import Endpoint


def connect(endpoint: Endpoint, *, timeout_s: float = 5.0) -> redis.Redis:
    """A client of this endpoint that sends each command at most once. Connects with its first command.

    RESP2, because HELLO is refused by old and by some managed servers; no retries, because a hidden retry would
    write an element twice; timeout_s bounds both connecting and each reply. Close it with `close()`.
    Where the endpoint has a scope, a command outside it raises HarnessError and is never sent.
    """
    options: dict[str, Any] = {
        "host": endpoint.host,
        "port": endpoint.port,
        "db": endpoint.db,
        "username": endpoint.user,
        "password": endpoint.password,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "driver_info": None,
    }
    if endpoint.tls:
        options |= {"connection_class": SSLConnection, "ssl_ca_certs": endpoint.ca_file}
    if endpoint.scope is not None:
        options["command_packer"] = GuardedPacker(allowed.Guard(endpoint.scope, endpoint.db))
    return redis.Redis.from_pool(ConnectionPool(**options))


class GuardedPacker:
    """Turns commands into bytes for redis-py, and refuses those that the guard does not allow.

    Every command of a client passes here, be it a pipeline's, AUTH or SELECT; what is checked is what is encoded. All
    connections of a client are in its endpoint's database, so that they can share one guard.
    """

    def __init__(self, guard: allowed.Guard) -> None:
        self._guard = guard

    def pack(self, *arguments: allowed.Argument) -> list[bytes]:
        words = allowed.as_bytes(arguments)
        self._guard.check(words)
        return [b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)]
