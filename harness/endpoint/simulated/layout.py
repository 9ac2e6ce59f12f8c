"""Which slots are where, as clients are shown it: one node that owns all of them, or those of the cluster behind."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from .frames import Value
from .slots import SLOTS

Address: TypeAlias = "tuple[str, int]"
Ranges: TypeAlias = "tuple[tuple[int, int], ...]"  # of slots, both ends included


@dataclass(frozen=True)
class ShownNode:
    """A primary as clients see it."""

    name: bytes
    host: bytes
    port: int
    ranges: Ranges


@dataclass
class Layout:
    """owners: by the real address of each primary behind, its slots. fronts: where clients reach a real address, by our
    port. Both are empty where one server stands behind, and change while the cluster does.
    """

    owners: Mapping[Address, Ranges] = field(default_factory=dict)
    fronts: Mapping[Address, int] = field(default_factory=dict)

    @property
    def is_cluster(self) -> bool:
        return bool(self.owners)

    def nodes(self, reached: Address) -> list[ShownNode]:
        """What to show to a client that reached this address of ours."""
        if not self.owners:
            return [_shown(reached, ((0, SLOTS - 1),))]
        found = [(self.fronts[real], ranges) for real, ranges in self.owners.items() if real in self.fronts]
        return [_shown((reached[0], port), ranges) for port, ranges in sorted(found, key=lambda one: one[1])]

    def front(self, real: Address) -> int | None:
        return self.fronts.get(real)


def _shown(address: Address, ranges: Ranges) -> ShownNode:
    host, port = address[0].encode(), address[1]
    name = hashlib.sha1(b"%b:%d" % (host, port), usedforsecurity=False).hexdigest().encode()
    return ShownNode(name, host, port, ranges)


def read_slots(reply: Value, asked: Address) -> tuple[dict[Address, Ranges], set[Address]]:
    """The reply to CLUSTER SLOTS: each primary's slots, and the addresses of all nodes that serve any.

    asked: the address that answered; a node that does not know its own host leaves it out.
    """
    owners: dict[Address, list[tuple[int, int]]] = {}
    everybody: set[Address] = set()
    for entry in reply if isinstance(reply, list) else []:
        if not isinstance(entry, list) or len(entry) < 3:
            continue
        addresses = [_address(node, asked) for node in entry[2:] if isinstance(node, list)]
        everybody.update(addresses)
        owners.setdefault(addresses[0], []).append((_int(entry[0]), _int(entry[1])))
    return {address: tuple(sorted(ranges)) for address, ranges in owners.items()}, everybody


def _address(node: Sequence[Value], asked: Address) -> Address:
    host = node[0]
    return (host.decode("latin-1") if isinstance(host, bytes) and host else asked[0], _int(node[1]))


def _int(value: Value) -> int:
    return value if isinstance(value, int) else -1
