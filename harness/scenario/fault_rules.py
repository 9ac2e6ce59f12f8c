"""Faults that can't be: on links that do not exist, with another toxic's figures, ending too early or never."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from harness.scenario.messages import nearest
from harness.scenario.model import Fault
from harness.scenario.moment import Moment
from harness.scenario.resolve import Problem
from harness.scenario.toxics import FIGURES, TOXICS
from harness.topology import Link, Topology

_ALWAYS_WITH_A_LINK = ("at", "until", "link", "toxic", "direction", "toxicity")
_DIRECTIONS = {True: ("to_server", "to_client"), False: ("to_replica", "to_primary")}


def fault_problems(faults: Sequence[Fault], topology: Topology | None) -> Iterator[Problem]:
    """What is wrong with the faults, as (path, sentence); topology None: links and nodes can't be told."""
    for index, fault in enumerate(faults):
        for key, message in _problems(fault, topology):
            yield (("faults", index, key) if key else ("faults", index)), message


def _problems(fault: Fault, topology: Topology | None) -> Iterator[tuple[str, str]]:
    yield from _time_problems(fault)
    if fault.stray_write is not None:
        yield from _stray_write_problems(fault, topology)
        return
    if fault.reshapes:
        yield from _reshape_problems(fault, topology)
        return
    yield from _figure_problems(fault)
    if topology is None:
        return
    links = matching_links(str(fault.link), topology)
    if not links:
        yield "link", missing_link(str(fault.link), topology.links)
        return
    if topology.is_cluster:
        yield from _shared_address_problems(str(fault.link), topology)
    for link in links:
        yield from _link_problems(fault, link, topology)


def _link_problems(fault: Fault, link: Link, topology: Topology) -> Iterator[tuple[str, str]]:
    if fault.toxic == "loss" and link.is_client:
        yield "link", f"packets are lost on replication links only, and {link} is a client's"
    if fault.toxic == "loss" and topology.is_cluster:
        yield "toxic", "packets can't be lost in a cluster, whose nodes tell each other where they are"
    yield from _direction_problems(fault, link)
    yield from _event_problems(fault, link)
    if link.is_client and topology.nodes[link.target] in topology.primaries and stops_the_writer(fault):
        yield from _endless_problems(fault)


def matching_links(written: str, topology: Topology) -> tuple[Link, ...]:
    """The link of this name, or the replication links that a pattern with * names; in a cluster one of each primary,
    whose replicas all follow the one address that it announces.
    """
    if "*" not in written:
        link = Link.parse(written)
        return (link,) if link in topology.links else ()
    pattern = str(Link.parse(written))
    found = [link for link in topology.replication_links if fnmatchcase(str(link), pattern)]
    if not topology.is_cluster:
        return tuple(found)
    return tuple({link.source: link for link in reversed(found)}.values())[::-1]


def expanded(faults: Sequence[Fault], topology: Topology) -> tuple[Fault, ...]:
    """Each fault on a pattern as one on each link that it names."""
    return tuple(
        fault.model_copy(update={"link": str(link)}) if link is not None else fault
        for fault in faults
        for link in (matching_links(fault.link, topology) if fault.link else (None,))
    )


def _shared_address_problems(written: str, topology: Topology) -> Iterator[tuple[str, str]]:
    link = Link.parse(written)
    siblings = [other for other in topology.replication_links if other.source == link.source]
    if link in siblings and len(siblings) > 1:
        message = f"all replicas of {link.source} follow the one address that it announces, so that a fault meets all"
        yield "link", f"{message}: write {link.source}->*"


def missing_link(written: str, links: Sequence[Link]) -> str:
    """The sentence about a link that the topology does not have."""
    names = [str(link) for link in links]
    near = nearest(written, names)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"there is no link {written!r}; there are {', '.join(names)}{hint}"


# -- when


def _time_problems(fault: Fault) -> Iterator[tuple[str, str]]:
    at, until = fault.at, fault.until
    if until is None:
        if fault.stray_write is None and not fault.reshapes and _is_the_end(at):
            yield "until", f"a fault at {at} begins when all is written: say when it ends, as in until: 2s"
        return
    if at.event is not None and at.event == until.event:
        yield "until", f"ends with the event that it begins with, {until}"
    elif not _before(at, until):
        yield "until", f"ends at {until}, which is not after its beginning, at: {at}"


def _is_the_end(moment: Moment) -> bool:
    return moment.event == "written" or moment.percent == 100


def _before(at: Moment, until: Moment) -> bool:
    """False only where both stand on one clock and the end is not later: shares, or seconds (relative after others)."""
    if at.percent is not None and until.percent is not None:
        return at.percent < until.percent
    if until.seconds is not None:
        return (at.seconds or 0.0) < until.seconds
    return not (_is_the_end(at) and (until.percent is not None or until.event == "written"))


def _event_problems(fault: Fault, link: Link) -> Iterator[tuple[str, str]]:
    for key, moment in (("at", fault.at), ("until", fault.until)):
        if link.is_client and moment is not None and moment.event == "full_sync":
            yield key, f"full_sync is an event of a replication link, and {link} is a client's"


# -- what


def _figure_problems(fault: Fault) -> Iterator[tuple[str, str]]:
    figures = TOXICS[str(fault.toxic)]
    for key in figures.needed:
        if getattr(fault, key) is None:
            yield "toxic", f"{fault.toxic} needs {key}"
    for key in FIGURES:
        if getattr(fault, key) is not None and key not in figures.all:
            takes = f"it takes {', '.join(figures.all)}" if figures.all else "it takes no figures"
            yield key, f"{key} does not belong to {fault.toxic}; {takes}"
    if fault.toxic == "cut":
        yield from _cut_problems(fault)
    if fault.toxic == "loss" and fault.toxicity != 1.0:
        yield "toxicity", "loss takes no toxicity: it meets every packet alike; loss_percent says how many vanish"
    yield from _random_part_problems(fault)


def _cut_problems(fault: Fault) -> Iterator[tuple[str, str]]:
    for key, everything in (("direction", None), ("toxicity", 1.0)):
        if getattr(fault, key) != everything:
            yield key, f"a cut takes no {key}: the link is down both ways, for every connection"


def _random_part_problems(fault: Fault) -> Iterator[tuple[str, str]]:
    if fault.jitter_ms is not None and fault.latency_ms is not None and fault.jitter_ms > fault.latency_ms:
        yield "jitter_ms", f"{fault.jitter_ms} is above latency_ms, {fault.latency_ms}: a delay can't be negative"
    average, variation = fault.average_bytes, fault.variation_bytes
    if average is not None and variation is not None and variation >= average:
        yield "variation_bytes", f"{variation} is not below average_bytes, {average}"


def _stray_write_problems(fault: Fault, topology: Topology | None) -> Iterator[tuple[str, str]]:
    for key in (*FIGURES, "direction"):
        if getattr(fault, key) is not None:
            yield key, f"{key} does not belong to a stray_write"
    if fault.at.event in ("full_sync", "link_up"):
        yield "at", f"{fault.at} is an event of a link, and a stray_write names none"
    assert fault.stray_write is not None
    if topology is not None and fault.stray_write.node not in topology.nodes:
        yield "stray_write", f"there is no node {fault.stray_write.node!r}; there are {', '.join(topology.nodes)}"
    elif topology is not None and topology.is_cluster and topology.nodes[fault.stray_write.node].replica_of:
        yield "stray_write", f"{fault.stray_write.node} is a cluster's replica, and sends whoever writes to its primary"


def _reshape_problems(fault: Fault, topology: Topology | None) -> Iterator[tuple[str, str]]:
    key = next(key for key in ("move_slots", "restart", "isolate", "failover") if getattr(fault, key) is not None)
    for figure in FIGURES:
        if getattr(fault, figure) is not None:
            yield figure, f"{figure} does not belong to {key}"
    if fault.at.event in ("full_sync", "link_up"):
        yield "at", f"{fault.at} is an event of a link, and {key} names none"
    if topology is None:
        return
    if not topology.is_cluster:
        yield key, f"{key} needs a cluster: topology: {{cluster: …}}"
        return
    move = fault.move_slots
    primaries = [node.name for node in topology.primaries]
    if fault.restart is not None:
        yield from _restart_problems(fault.restart, topology)
        return
    for name in (move.source, move.target) if move is not None else (str(fault.taken_over),):
        if name not in primaries:
            near = nearest(name, primaries)
            hint = f"; did you mean {near!r}?" if near else ""
            yield key, f"there is no shard {name!r}; there are {', '.join(primaries)}{hint}"
    if move is not None and move.source == move.target:
        yield key, f"slots can't move from {move.source} to itself"
    if fault.taken_over in primaries and not topology.replicas:
        yield key, "a cluster without replicas has nobody that could take over"


def _restart_problems(name: str, topology: Topology) -> Iterator[tuple[str, str]]:
    replicas = [node.name for node in topology.replicas]
    if name not in topology.nodes:
        near = nearest(name, replicas)
        hint = f"; did you mean {near!r}?" if near else ""
        yield "restart", f"there is no node {name!r}; the replicas are {', '.join(replicas)}{hint}"
    elif name not in replicas:
        yield "restart", f"{name} is a primary, which would come back empty; the replicas are {', '.join(replicas)}"


def _direction_problems(fault: Fault, link: Link) -> Iterator[tuple[str, str]]:
    allowed = _DIRECTIONS[link.is_client]
    if fault.direction is not None and fault.direction not in allowed:
        kind = "a client's link" if link.is_client else "a replication link"
        yield "direction", f"on {link}, {kind}, bytes travel {' or '.join(allowed)}, not {fault.direction}"


# -- the writer's own way


def stops_the_writer(fault: Fault) -> bool:
    """Whether no value may get through while it lasts, so that no share of the values would ever be reached."""
    return fault.toxic in ("cut", "timeout", "limit_data", "reset_peer") or (
        fault.toxic == "bandwidth" and fault.kb_per_s == 0
    )


def _endless_problems(fault: Fault) -> Iterator[tuple[str, str]]:
    if fault.until is None or fault.until.seconds is None:
        stopped = f"{fault.toxic} on {fault.link} stops the writer itself"
        yield "until", f"{stopped}: say in seconds when it ends, as in until: 2s"
