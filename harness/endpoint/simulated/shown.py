"""What a product shows differently: INFO, HELLO, CONFIG GET, and a cluster of one node."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from . import frames
from .frames import Error, Value
from .plan import Behaviour
from .slots import SLOTS, slot_of

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


def cluster(words: list[bytes], protocol: int, address: tuple[str, int], *, tls: bool) -> bytes:
    """The reply to CLUSTER as the one node gives it that owns all slots. address: the one that the client reached."""
    host, port = address[0].encode(), address[1]
    node = hashlib.sha1(b"%b:%d" % (host, port), usedforsecurity=False).hexdigest().encode()
    match words[1].lower():
        case b"info":
            return frames.write_text(_CLUSTER_INFO, protocol)
        case b"keyslot" if len(words) == 3:
            return frames.write(slot_of(words[2]))
        case b"myid":
            return frames.write(node)
        case b"nodes":
            line = b"%b %b:%d@%d myself,master - 0 0 1 connected 0-%d\n" % (node, host, port, port + 10000, SLOTS - 1)
            return frames.write_text(line, protocol)
        case b"slots":
            return frames.write([[0, SLOTS - 1, [host, port, node, []]]])
        case b"shards":
            return _shards(node, host, port, protocol, tls=tls)
        case b"help":
            return frames.write([b"CLUSTER <subcommand>. Subcommands are:", b"INFO, KEYSLOT, NODES, SHARDS, SLOTS"])
    return frames.write(Error(b"ERR wrong number of arguments for 'cluster|%b' command" % words[1].lower()[:64]))


_CLUSTER_INFO = (
    b"cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\ncluster_slots_pfail:0\r\n"
    b"cluster_slots_fail:0\r\ncluster_known_nodes:1\r\ncluster_size:1\r\ncluster_current_epoch:1\r\ncluster_my_epoch:1\r\n"
)


def _shards(node: bytes, host: bytes, port: int, protocol: int, *, tls: bool) -> bytes:
    place: list[Value] = [b"id", node, b"tls-port" if tls else b"port", port, b"ip", host, b"endpoint", host]
    place += [b"role", b"master", b"replication-offset", 0, b"health", b"online"]
    inner = frames.write_map(place, protocol)
    slots = frames.write(b"slots") + frames.write([0, SLOTS - 1])
    head = b"%2\r\n" if protocol == 3 else b"*4\r\n"
    return b"*1\r\n" + head + slots + frames.write(b"nodes") + b"*1\r\n" + inner
