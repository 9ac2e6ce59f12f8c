"""Toxics as data: what disturbs a link, in our words, and its one translation into Toxiproxy's.

The replica is the TCP client of its primary. On a replication link Toxiproxy's *downstream* (server to client)
therefore carries the data and *upstream* the acknowledgements; on a client link it is *upstream* that carries the
commands. Everywhere else we say which end the disturbed bytes travel to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.topology import Link

LOSS = "loss"  # of packets: no toxic of Toxiproxy's, but a rule of the kernel's


class Direction(StrEnum):
    """Which way the disturbed bytes travel on a link ``source->target``."""

    TO_TARGET = "to_target"
    TO_SOURCE = "to_source"


def stream_of(link: Link, direction: Direction) -> str:
    """Toxiproxy's name of a direction: "downstream" runs from the listening server to the TCP client that dialled.

    A replica dials its primary (the link's source serves); our client dials its node (the link's target serves).
    """
    server_to_client = (direction is Direction.TO_TARGET) != link.is_client
    return "downstream" if server_to_client else "upstream"


@dataclass(frozen=True)
class Toxic:
    """One toxic as Toxiproxy knows it, or LOSS with its attribute percent.

    kind: latency, bandwidth, slicer, slow_close, timeout, reset_peer or limit_data; attributes: Toxiproxy's own
    names and units (ms; KB/s of 1000 bytes; slicer delay in us); toxicity: share of connections it meets, 0..1.
    """

    kind: str
    attributes: Mapping[str, float] = field(default_factory=dict)
    direction: Direction = Direction.TO_TARGET
    toxicity: float = 1.0
