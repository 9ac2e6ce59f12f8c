"""What the nemesis has to do and when: a scenario's faults as values, links resolved and units translated."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.fault.toxic import LOSS, Direction, Toxic
from harness.runtime.isolation import ISOLATE
from harness.scenario.model import Fault, StrayWrite
from harness.scenario.moment import Moment
from harness.topology import Link, Topology

# Toxiproxy's attribute names, from ours; the units are the same (kb_per_s is its rate, 1 KB = 1000 bytes).
_ATTRIBUTES = {
    "latency": {"latency_ms": "latency", "jitter_ms": "jitter"},
    "bandwidth": {"kb_per_s": "rate"},
    "slicer": {"average_bytes": "average_size", "variation_bytes": "size_variation", "delay_us": "delay"},
    "slow_close": {"delay_ms": "delay"},
    "timeout": {"timeout_ms": "timeout"},
    "reset_peer": {"timeout_ms": "timeout"},
    "limit_data": {"limit_bytes": "bytes"},
    LOSS: {"loss_percent": "percent"},
}
_SEVERING = ("cut", "reset_peer")  # a link that has met one of these must have been seen down


@dataclass(frozen=True)
class Disturbance:
    """One fault to apply and to heal. toxic is None for a cut and for a stray write; until None: see `Nemesis`.

    severs: it has met something only if the link was also seen down. reshape: the fault itself where it changes a
    cluster's shape.
    """

    what: str
    at: Moment
    until: Moment | None
    link: Link | None
    toxic: Toxic | None = None
    stray: StrayWrite | None = None
    severs: bool = False
    reshape: Fault | None = None

    @property
    def place(self) -> str:
        """The link, or the node, that is disturbed, as written."""
        if self.reshape is not None:
            move = self.reshape.move_slots
            return (
                f"{move.source}->{move.target}"
                if move is not None
                else self.reshape.taken_over or str(self.reshape.restart)
            )
        return str(self.link) if self.link else f"client->{self.stray.node}" if self.stray else ""


def disturbances(faults: Sequence[Fault]) -> tuple[Disturbance, ...]:
    """The scenario's faults in the order in which they are written."""
    return tuple(_disturbance(fault) for fault in faults)


def proxied_links(faults: Sequence[Fault], topology: Topology) -> tuple[Link, ...]:
    """The links that must lead through a fault proxy, each once, in the topology's order."""
    named = {Link.parse(fault.link) for fault in faults if fault.link}
    return tuple(link for link in topology.links if link in named)


def applicable(faults: Sequence[Fault], capabilities: Collection[str]) -> tuple[Fault, ...]:
    """Those that a runtime with these capabilities can apply."""
    return tuple(fault for fault in faults if not (needed := needs(fault)) or needed in capabilities)


def needs(fault: Fault) -> str:
    """The capability without which a runtime can't apply it; "" where every one that links can be disturbed in can."""
    return LOSS if fault.toxic == LOSS else ISOLATE if fault.isolate else ""


def _disturbance(fault: Fault) -> Disturbance:
    if fault.stray_write is not None:
        return Disturbance("stray write", fault.at, None, None, stray=fault.stray_write)
    if fault.reshapes:
        return Disturbance(_in_words(fault), fault.at, fault.until, None, reshape=fault)
    assert fault.link is not None  # the model holds: a fault is a toxic on a link, or a stray write
    assert fault.toxic is not None
    link = Link.parse(fault.link)
    severs = fault.toxic in _SEVERING
    if fault.toxic == "cut":
        return Disturbance("cut", fault.at, fault.until, link, severs=severs)
    return Disturbance(_describe(fault), fault.at, fault.until, link, _toxic(fault, link), severs=severs)


def _in_words(fault: Fault) -> str:
    """A change of a cluster's shape."""
    if fault.move_slots is not None:
        return f"move {fault.move_slots.share} of the slots"
    if fault.restart or fault.isolate:
        return "restart" if fault.restart else "isolate"
    return f"{fault.how or 'graceful'} failover"


def _toxic(fault: Fault, link: Link) -> Toxic:
    names = _ATTRIBUTES[str(fault.toxic)]
    values = {theirs: getattr(fault, ours) for ours, theirs in names.items()}
    attributes = {name: value for name, value in values.items() if value is not None}
    return Toxic(str(fault.toxic), attributes, _direction(fault), fault.toxicity)


def _direction(fault: Fault) -> Direction:
    backwards = fault.direction in ("to_primary", "to_client")
    return Direction.TO_SOURCE if backwards else Direction.TO_TARGET


def _describe(fault: Fault) -> str:
    figures = [f"{name}={getattr(fault, name)}" for name in _ATTRIBUTES[str(fault.toxic)]]
    return " ".join([str(fault.toxic), *(text for text in figures if not text.endswith("=None"))])
