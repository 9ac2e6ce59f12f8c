"""One node cut off from all others, while its clients still reach it: rules of the kernel's packet filter, in the
network namespace of its container. They end with that container at the latest, so nothing can be left.

Clients come in through the published port, that is from the network's gateway; every other packet is dropped, both
ways, the cluster's bus and replication alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.errors import SetupError
from harness.runtime.packet_loss import in_namespace, said_by, why_no_rules

ISOLATE = "isolate"


@functools.lru_cache(maxsize=1)
def why_no_isolation() -> str:
    """Why no node can be cut off on this machine; "" where it can. Tried in a namespace of its own."""
    return why_no_rules(_rules("198.18.0.1", 6379)[0][1:])


@dataclass
class Isolation:
    """Of one node. pid: of a process in its container, 0 where it has ended; gateway: where clients come from."""

    node: str
    pid: Callable[[], int]
    gateway: str
    port: int
    _standing: list[list[str]] = field(default_factory=list)

    def begin(self) -> None:
        """Both ways at once, as far as one can tell: what leaves is dropped first. SetupError where it is refused."""
        for chain, *rule in _rules(self.gateway, self.port):
            if said := self._failed("-A", chain, rule):
                self.end()
                raise SetupError(f"node {self.node} can't be cut off from the others: {said}")
            self._standing.append([chain, *rule])

    def end(self) -> None:
        """Nothing where it has not begun, or went with a container that has ended."""
        while self._standing:
            chain, *rule = self._standing[-1]
            if self.pid() and (said := self._failed("-D", chain, rule)):
                raise SetupError(f"node {self.node} is still cut off from the others: {said}")
            self._standing.pop()

    def _failed(self, action: str, chain: str, rule: list[str]) -> str:
        return said_by(in_namespace(self.node, self.pid(), [action, chain, *rule]))


def _rules(gateway: str, port: int) -> list[list[str]]:
    """Chain and match of each: to and from anybody but the gateway, and with that all but the server's own port."""
    tcp = ["-p", "tcp"]
    return [
        ["OUTPUT", "!", "-o", "lo", "!", "-d", gateway, "-j", "DROP"],
        ["INPUT", "!", "-i", "lo", "!", "-s", gateway, "-j", "DROP"],
        ["OUTPUT", "-d", gateway, *tcp, "!", "--sport", str(port), "-j", "DROP"],
        ["INPUT", "-s", gateway, *tcp, "!", "--dport", str(port), "-j", "DROP"],
    ]
