"""The keys that a run makes on endpoints that it did not start: claimed before they are written, removed at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.endpoint.address import Endpoint
from harness.endpoint.allowed import Scope, check_run_id, scoped_key
from harness.errors import Failure, HarnessError, SetupError, UsageError
from harness.resp.connection import Connection
from harness.resp.replication_info import info_fields
from harness.resp.replies import ErrorReply
from harness.runtime.canary import canary_key, lag_key

log = logging.getLogger("harness.external")


@dataclass(frozen=True)
class KeyNaming:
    """How a run names its keys, and what becomes of them.

    run_id: stands in every key; exact: the workload's keys keep their own names; keep: they are not removed at the end.
    """

    run_id: str
    exact: bool = False
    keep: bool = False

    def __post_init__(self) -> None:
        check_run_id(self.run_id)

    def name(self, key: str) -> str:
        """The name that a key of the scenario has on the endpoints."""
        return key if self.exact else scoped_key(self.run_id, key)


@dataclass(frozen=True)
class Claim:
    """A key that the run may write on a node, because it did not exist there when it was claimed."""

    node: str
    db: int
    key: str

    def __str__(self) -> str:
        return f"{self.key!r} in database {self.db} on {self.node}"


class OwnKeys:
    """The claims of one deployment. endpoints: by node, each with its scope; prove: called before anything is claimed.

    left: what could not be removed, one sentence a claim.
    """

    def __init__(self, endpoints: Mapping[str, Endpoint], naming: KeyNaming, prove: Callable[[], None]) -> None:
        self._endpoints, self._naming, self._prove = endpoints, naming, prove
        self._claims: list[Claim] = []
        self.left: list[str] = []

    def claim(self, node: str, key: str, db: int = 0) -> str:
        """The name under which the scenario's key may be written on this primary; SetupError where it exists there.

        A key that only a replica has is no obstacle: that is judged.
        """
        if key.startswith(":") and not self._naming.exact:
            raise UsageError(f"the key {key!r} begins with a colon, which is kept for the harness's own keys")
        self._prove()
        name = self._naming.name(key)
        claim = Claim(node, db, name)
        if self._naming.exact:
            self._make_readable(claim)
        if self._exists(claim):
            raise SetupError(f"the key {name!r} already exists in database {db} on {node}; {self._what_to_do()}")
        _scope(self._endpoints[node]).writable_claims.add((db, name.encode()))
        self._claims.append(claim)
        return name

    def release(self, node: str, name: str, db: int = 0) -> None:
        """Remove one claimed key now, as after a property draw; what can't be removed is told in `left`."""
        released = [claim for claim in self._claims if claim == Claim(node, db, name)]
        self._remove(released)

    def remove_all(self) -> None:
        """Remove every claimed key and its canaries; what can't be removed is told in `left`. Raises no Failure."""
        for node, db in dict.fromkeys((claim.node, claim.db) for claim in self._claims):
            self._drop_own_clients(node)
            self._remove([claim for claim in self._claims if (claim.node, claim.db) == (node, db)])

    def _remove(self, claims: list[Claim]) -> None:
        """Remove keys of one node and database."""
        if not claims:
            return
        try:
            self._unlink(claims)
        except Failure as error:
            self.left += [f"{claim} is left: {error}" for claim in claims if not self._naming.keep]
            for claim in claims:
                log.warning("%s is left: %s. `harness clean --endpoint URL` finds it", claim, error)
        self._claims = [claim for claim in self._claims if claim not in claims]
        for claim in claims:
            _scope(self._endpoints[claim.node]).writable_claims.discard((claim.db, claim.key.encode()))

    def _unlink(self, claims: list[Claim]) -> None:
        run_id, endpoint = self._naming.run_id, self._endpoints[claims[0].node]
        keys = [make(run_id, claim.key) for claim in claims for make in (canary_key, lag_key)]
        if not self._naming.keep:
            keys += [claim.key for claim in claims]
        with Connection(endpoint.with_database(claims[0].db)) as connection:
            reply = connection.command("UNLINK", *keys)
        if isinstance(reply, ErrorReply):
            raise SetupError(reply.text)

    def _drop_own_clients(self, node: str) -> None:
        """End connections of our own that may still hold unexecuted writes, which would come after the removal."""
        try:
            with Connection(self._endpoints[node]) as connection:
                drop_own_clients(connection)
        except Failure as error:
            log.warning("connections of the run on %s could not be ended: %s", node, error)

    def _make_readable(self, claim: Claim) -> None:
        for endpoint in self._endpoints.values():
            _scope(endpoint).readable_claims.add((claim.db, claim.key.encode()))

    def _exists(self, claim: Claim) -> bool:
        with Connection(self._endpoints[claim.node].with_database(claim.db)) as connection:
            reply = connection.command("EXISTS", claim.key)
        if not isinstance(reply, int):
            raise SetupError(f"endpoint {claim.node} answered EXISTS with {reply!r}")
        return reply > 0

    def _what_to_do(self) -> str:
        if self._naming.exact:
            return "without --exact-keys a run writes under a prefix of its own"
        return "choose another --run-id, or remove what that run left with `harness clean --endpoint URL`"


def drop_own_clients(connection: Connection) -> None:
    """End the run's connections to this server, whose ids its scope holds.

    Ids begin anew when a server restarts. This connection can't outlive the server that it reaches, so the ids are
    used only if the server says, on this very connection, that it is the one they came from.
    """
    scope = _scope(connection.endpoint)
    if not scope.clients or scope.server is None:
        return
    reply = connection.command("INFO", "server")
    if isinstance(reply, bytes) and info_fields(reply.decode(errors="replace")).get("run_id") == scope.server:
        for client in sorted(scope.clients):
            connection.command("CLIENT", "KILL", "ID", client)
        scope.clients.clear()


def _scope(endpoint: Endpoint) -> Scope:
    if endpoint.scope is None:
        raise HarnessError(f"endpoint {endpoint} was not started by the harness and has no scope")
    return endpoint.scope
