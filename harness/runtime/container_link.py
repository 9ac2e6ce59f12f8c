"""A link between containers: disturbed by its fault proxy, and by packets that vanish where its replica is."""

from __future__ import annotations

from collections.abc import Callable

from harness.errors import SetupError
from harness.fault.link import FaultLink
from harness.fault.toxic import LOSS, Toxic
from harness.runtime.packet_loss import PacketLoss
from harness.topology import Link


class ContainerLink:
    """through: the proxy; listen: where those who dial it reach it, which it may call differently itself; pid: of the
    replica, None for a client's link.
    """

    def __init__(
        self, through: FaultLink, link: Link, listen: tuple[str, int], pid: Callable[[], int] | None = None
    ) -> None:
        self.through, self._link, self.listen = through, link, listen
        self._loss = PacketLoss(link.target, pid, listen) if pid else None

    def add(self, toxic: Toxic, link: Link) -> str:
        if toxic.kind != LOSS:
            return self.through.add(toxic, link)
        if self._loss is None:
            raise SetupError(f"packets are lost on replication links only, and {self._link} is a client's")
        return self._loss.add(toxic)

    def lost(self, toxic_name: str) -> int:
        return self._loss.lost(toxic_name) if self._loss else 0

    def remove(self, toxic_name: str) -> None:
        if self._loss and self._loss.holds(toxic_name):
            self._loss.remove(toxic_name)
        else:
            self.through.remove(toxic_name)

    def cut(self) -> None:
        self.through.cut()

    def restore(self) -> None:
        self.through.restore()

    def renew(self) -> None:
        if self._loss:
            self._loss.clear()
        self.through.renew()

    def clear(self) -> None:
        if self._loss:
            self._loss.clear()
        self.through.clear()

    def close(self) -> None:
        """The rules go with their container."""
        self.through.close()
