"""Control connections: redis-py, set so that nothing is retried, renegotiated or waited for without a bound.

The data path has its own connections (`harness.resp`); these are for INFO, CONFIG, REPLICAOF and the like.
"""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.endpoint.address import Endpoint


def connect(endpoint: Endpoint, *, timeout_s: float = 5.0) -> redis.Redis:
    """A client of this endpoint that sends each command at most once. Connects with its first command.

    RESP2, because HELLO is refused by old and by some managed servers; no retries, because a hidden retry would
    write an element twice; timeout_s bounds both connecting and each reply. Close it with `close()`.
    """
    tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": endpoint.ca_file} if endpoint.tls else {}
    return redis.Redis(
        host=endpoint.host,
        port=endpoint.port,
        db=endpoint.db,
        username=endpoint.user,
        password=endpoint.password,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        driver_info=None,
        **tls,
    )
