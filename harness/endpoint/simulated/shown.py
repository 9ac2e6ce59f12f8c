"""What a product shows differently: INFO, HELLO, CONFIG GET, and a cluster of one node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from . import frames
from .frames import Error, Value
from .layout import Address, Layout, ShownNode
from .plan import Behaviour
from .slots import slot_of

CLUSTER_SHOWN = ("help", "info", "keyslot", "myid", "nodes", "shards", "slots")


MARK_FIELD = b"harness_simulated"  # in INFO's section Server: a simulation never passes for the real thing


def info(text: bytes, behaviour: Behaviour, port: int, profile: str) -> bytes:
    """INFO's text with the fields that the product sets or lacks, and the mark of a simulation."""
    mark = b"# Server\r\n%b:%b\r\n" % (MARK_FIELD, profile.encode())
    return b"".join(_info_lines(text, behaviour, port)).replace(b"# Server\r\n", mark, 1)


def _info_lines(text: bytes, behaviour: Behaviour, port: int) -> Iterator[bytes]:
    for line in text.splitlines(keepends=True):
        field, colon, _ = line.partition(b":")
        name = field.decode("latin-1")
        if not colon or line.startswith(b"#"):
            yield line
        elif name in behaviour.info_set:
            yield b"%b:%b\r\n" % (field, behaviour.info_set[name].encode())
        elif name == "tcp_port":
            yield b"tcp_port:%d\r\n" % port
        elif not any(fnmatchcase(name, pattern) for pattern in behaviour.info_drop):
            yield line


def hello(reply: Value, behaviour: Behaviour) -> Value:
    """HELLO's names and values with those that the product sets."""
    if not isinstance(reply, list):
        return reply
    changed = list(reply)
    for at in range(0, len(changed) - 1, 2):
        name = changed[at]
        if isinstance(name, bytes) and (value := behaviour.hello_set.get(name.decode("latin-1"))) is not None:
            changed[at + 1] = value.encode()
    return changed


def config(reply: Value, behaviour: Behaviour) -> Value:
    """CONFIG GET's names and values without those that the product hides."""
    if not isinstance(reply, list) or behaviour.config is None:
        return reply
    kept: list[Value] = []
    for name, value in zip(reply[::2], reply[1::2], strict=False):
        if isinstance(name, bytes) and name.decode("latin-1").lower() in behaviour.config:
            kept += [name, value]
    return kept


_WHOLE = re.compile(rb"-?\d{1,18}")


def config_objection(pairs: list[bytes], behaviour: Behaviour) -> bytes | None:
    """Why CONFIG SET is refused, as an error line; None where the product takes it."""
    allowed = behaviour.config
    if allowed is None:
        return None
    for name, value in zip(pairs[::2], pairs[1::2], strict=False):
        key = name.decode("latin-1").lower()
        if key not in allowed:
            return b"ERR Unknown option or number of arguments for CONFIG SET - '%b'" % name[:64]
        limits = allowed[key]
        if limits and not (_WHOLE.fullmatch(value) and limits[0] <= int(value) <= limits[1]):
            why = b"argument must be between %d and %d inclusive" % limits
            return b"ERR CONFIG SET failed (possibly related to argument '%b') - %b" % (name[:64], why)
    return None


def cluster(words: list[bytes], protocol: int, layout: Layout, reached: Address, *, tls: bool) -> bytes:
    """The reply to CLUSTER by what is behind. reached: our address that the client came to."""
    nodes = layout.nodes(reached)
    match words[1].lower():
        case b"info":
            slots = sum(last - first + 1 for node in nodes for first, last in node.ranges)
            return frames.write_text(_CLUSTER_INFO % (slots, slots, len(nodes), len(nodes)), protocol)
        case b"keyslot" if len(words) == 3:
            return frames.write(slot_of(words[2]))
        case b"myid":
            return frames.write(_myself(nodes, reached))
        case b"nodes":
            me = _myself(nodes, reached)
            return frames.write_text(b"".join(_nodes_line(node, node.name == me) for node in nodes), protocol)
        case b"slots":
            return frames.write(
                [[*part, [node.host, node.port, node.name, []]] for node in nodes for part in node.ranges]
            )
        case b"shards":
            return b"*%d\r\n" % len(nodes) + b"".join(_shard(node, protocol, tls=tls) for node in nodes)
        case b"help":
            return frames.write([b"CLUSTER <subcommand>. Subcommands are:", b"INFO, KEYSLOT, NODES, SHARDS, SLOTS"])
    return frames.write(Error(b"ERR wrong number of arguments for 'cluster|%b' command" % words[1].lower()[:64]))


_CLUSTER_INFO = (
    b"cluster_state:ok\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\ncluster_slots_pfail:0\r\n"
    b"cluster_slots_fail:0\r\ncluster_known_nodes:%d\r\ncluster_size:%d\r\ncluster_current_epoch:1\r\n"
    b"cluster_my_epoch:1\r\n"
)


def _myself(nodes: list[ShownNode], reached: Address) -> bytes:
    return next((node.name for node in nodes if node.port == reached[1]), nodes[0].name)


def _nodes_line(node: ShownNode, is_me: bool) -> bytes:
    slots = b" ".join(b"%d-%d" % part if part[0] < part[1] else b"%d" % part[0] for part in node.ranges)
    flags = b"myself,master" if is_me else b"master"
    bus = node.port + 10000
    return b"%b %b:%d@%d %b - 0 0 1 connected %b\n" % (node.name, node.host, node.port, bus, flags, slots)


def _shard(node: ShownNode, protocol: int, *, tls: bool) -> bytes:
    place: list[Value] = [b"id", node.name, b"tls-port" if tls else b"port", node.port, b"ip", node.host]
    place += [b"endpoint", node.host, b"role", b"master", b"replication-offset", 0, b"health", b"online"]
    inner = frames.write_map(place, protocol)
    slots = frames.write(b"slots") + frames.write([end for part in node.ranges for end in part])
    head = b"%2\r\n" if protocol == 3 else b"*4\r\n"
    return head + slots + frames.write(b"nodes") + b"*1\r\n" + inner
