"""Who answers at an endpoint that we did not start: engine, server, product; or why nobody we could use does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.endpoint.address import Endpoint, password_variable
from harness.errors import SetupError
from harness.resp.connection import AccessRefused, Connection, ConnectionLost
from harness.resp.replication_info import info_fields
from harness.resp.replies import ErrorReply, Reply
from harness.runtime.readiness import wait_until

UNKNOWN_ENGINE = "unknown engine"
ENTERPRISE_FAMILY = frozenset({"redis-enterprise", "redis-cloud", "azure-managed-redis"})

# The field of INFO server that only this engine has, most particular first: the forks keep redis_version as well.
_VERSION_FIELDS = (
    ("valkey_version", "valkey"),
    ("redict_version", "redict"),
    ("dragonfly_version", "dragonfly"),
    ("redis_version", "redis"),
)


@dataclass(frozen=True)
class Identity:
    """What a server says of itself. engine: "valkey-9.1.2" or UNKNOWN_ENGINE; run_id: None where it is hidden (left
    out, or nothing but noughts).

    enterprise: it answers DPING, which only the Redis Enterprise family does; client_id: whether it tells a connection
    its id. simulated: the profile of our own proxy that answers, "" where none does.
    """

    engine: str
    run_id: str | None
    enterprise: bool
    client_id: bool
    simulated: str = ""


def identify(endpoint: Endpoint) -> Identity:
    """Ask a server who it is; it may refuse every answer. SetupError where it can't be reached."""
    reply = _asked(endpoint, "INFO", "server")
    fields = info_fields(reply.decode(errors="replace")) if isinstance(reply, bytes) else {}
    run_id = fields.get("run_id", "")
    return Identity(
        engine=engine_in(fields),
        run_id=run_id if run_id.strip("0") else None,
        enterprise=not isinstance(_asked(endpoint, "DPING"), ErrorReply | None),
        client_id=isinstance(_asked(endpoint, "CLIENT", "ID"), int),
        simulated=fields.get("harness_simulated", ""),
    )


def engine_in(fields: Mapping[str, str]) -> str:
    """The engine that INFO server's fields name: "valkey-9.1.2", or UNKNOWN_ENGINE."""
    engines = [f"{name}-{fields[field]}" for field, name in _VERSION_FIELDS if fields.get(field)]
    return engines[0] if engines else UNKNOWN_ENGINE


def _asked(endpoint: Endpoint, *words: str) -> Reply:
    """The reply on a connection of its own, None where it ends: some proxies close at a command they don't know."""
    with Connection(endpoint) as connection:
        try:
            return connection.command(*words)
        except ConnectionLost:
            return None


def product(profile: str, identity: Identity) -> str:
    """What a report calls the product behind an endpoint of this profile; a simulation is never reported as real."""
    if identity.simulated:
        return f"simulated {identity.simulated}"
    in_family = profile.partition("/")[0] in ENTERPRISE_FAMILY
    if identity.enterprise:
        return profile if in_family else f"redis-enterprise (declared as {profile})"
    return f"simulated {profile}" if in_family else profile


def open_endpoint(node: str, endpoint: Endpoint, *, timeout_s: float = 10.0) -> Connection:
    """A connection to an endpoint that takes our commands; SetupError with what it said and what to do otherwise.

    node: its name in the scenario, "" for an endpoint that is no node of one.

    A server that is still loading its data is waited for, timeout_s at most.
    """
    try:
        return wait_until(lambda: _opened(endpoint, timeout_s), deadline_s=timeout_s, what="it to load its data")
    except SetupError as error:
        raise _unusable(node, endpoint, str(error)) from None


def _opened(endpoint: Endpoint, timeout_s: float) -> Connection | None:
    connection = Connection(endpoint, timeout_s=timeout_s)
    try:
        reply = connection.command("PING")
        if not isinstance(reply, ErrorReply) or reply.code == "MASTERDOWN":
            return connection
        if reply.code != "LOADING":
            raise AccessRefused(reply.text)
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def _unusable(node: str, endpoint: Endpoint, said: str) -> SetupError:
    advice = next(advice for words, advice in _ADVICE if any(word in said for word in words))
    if endpoint.password:
        said = said.replace(endpoint.password, "***")
    other, file = "redis" if endpoint.tls else "rediss", f"{node}=@FILE" if node else "@FILE"
    told = advice.format(file=file, variable=password_variable(node), other=other)
    who = f"endpoint {node} ({endpoint})" if node else f"endpoint {endpoint}"
    return SetupError(f"{who} can't be used: {said.rstrip('.')}. {told}")


# What an endpoint or the operating system says, and what to do then; the first row that fits counts.
_ADVICE = (
    (("NOAUTH",), "It wants a password: set {variable}, or put the whole URL into a file: --endpoint {file}"),
    (("WRONGPASS", "invalid password", "invalid username"), "Set {variable} to its password, or use --endpoint {file}"),
    (("without any password", "no password is set"), "It has no password: leave it out of the URL and {variable}"),
    (("NOPERM",), "Its user must be allowed a run's commands on keys that begin with harness:"),
    (("CA file", "certificate"), "Name a PEM file of the CA that signed its certificate: rediss://…?ca_file=PATH"),
    (("no TLS connection", "not speak RESP", "closed the connection"), "Is it the other kind of port? Try {other}://"),
    (("database", "DB index"), "Choose a database that it has"),
    (("clients",), "Try again when it has room for more connections"),
    (("",), "Is the address right, is the server running, does a firewall stand between?"),
)
