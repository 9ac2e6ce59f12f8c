"""What a simulated endpoint is told when it starts: one line of JSON, made from the profiles' data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Wording:
    """How a refusal reads. {name}: as the client wrote it; {full}: "client|pause"; {arguments}: each one as `argument`
    has it; {subcommand}, {command}: as written, and the command in upper case.

    subcommand: for a refused subcommand; "": as for a command.
    """

    command: str
    subcommand: str = ""
    argument: str = ""


@dataclass(frozen=True)
class Upstream:
    """The real server. user, password: for the endpoint's own questions only; clients log in by themselves.

    ca_file: verifies it where it speaks TLS.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: str | None = None


@dataclass(frozen=True)
class Behaviour:
    """What clients see of a product; every field's facts stand in profiles.yaml. Commands are spelt "config|set".

    refused, allowed: the second is an exception from the first and from `refused_categories` (the server's own names).
    accepted: answered with OK and not handed on. select: "" as the server does, "no-op", or the number of databases.
    config: the parameters of CONFIG GET and SET, with limits where there are any; None: all. info_set, info_drop:
    fields of INFO (the latter may end in *). resp3: whether HELLO 3 is taken. hello_set: fields of HELLO's reply.
    one_slot: keys of a command or a transaction must share a slot, but for `cross_slot`. cluster: one node that owns
    all slots is shown, or the cluster behind; over_cluster: the server behind may be a member of a cluster too.
    scripts_refused: besides what clients can't send. stalled_s: how long a client may leave its replies unread.
    """

    refused: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    refused_categories: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    wording: Wording = Wording("ERR unknown command '{name}'")
    wordings: Mapping[str, Wording] = field(default_factory=dict)
    select: str = ""
    config: Mapping[str, tuple[int, int] | None] | None = None
    info_set: Mapping[str, str] = field(default_factory=dict)
    info_drop: tuple[str, ...] = ()
    resp3: bool = True
    hello_set: Mapping[str, str] = field(default_factory=dict)
    one_slot: bool = False
    cross_slot: tuple[str, ...] = ()
    crossslot: str = "CROSSSLOT Keys in request don't hash to the same slot"
    crossslot_in_multi: str = ""
    cluster: bool = False
    over_cluster: bool = False
    scripts_refused: tuple[str, ...] = ()
    unavailable: str = "ERR the database behind this endpoint does not answer"
    max_clients: int = 10_000
    idle_s: float = 0.0
    stalled_s: float = 60.0

    @property
    def databases(self) -> int | None:
        """How many there are; None: as many as the server has."""
        return (1 if self.select == "no-op" else int(self.select)) if self.select else None

    @property
    def changes_nothing(self) -> bool:
        return not (
            self.refused
            or self.refused_categories
            or self.accepted
            or self.select
            or self.config is not None
            or self.info_set
            or self.info_drop
            or not self.resp3
            or self.hello_set
            or self.one_slot
            or self.cluster
            or self.scripts_refused
        )


@dataclass(frozen=True)
class Plan:
    """certificate: a PEM file with the endpoint's own key and certificate, where clients must speak TLS."""

    profile: str
    host: str
    port: int
    upstream: Upstream
    behaviour: Behaviour
    certificate: str | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        fields = json.loads(text)
        fields["upstream"] = Upstream(**fields["upstream"])
        fields["behaviour"] = _behaviour(fields["behaviour"])
        return cls(**fields)


def _behaviour(fields: dict[str, Any]) -> Behaviour:
    fields["wording"] = Wording(**fields["wording"])
    fields["wordings"] = {name: Wording(**one) for name, one in fields["wordings"].items()}
    lists = ["refused", "allowed", "refused_categories", "accepted", "info_drop", "cross_slot", "scripts_refused"]
    fields |= {name: tuple(fields[name]) for name in lists}
    if fields["config"] is not None:
        fields["config"] = {name: tuple(limits) if limits else None for name, limits in fields["config"].items()}
    return Behaviour(**fields)
