"""A deployment, its fault proxy and its writers as the nemesis sees them, made of numbers: nothing takes time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from harness.errors import SetupError
from harness.fault.active import Change, Watch
from harness.fault.link import FaultLink
from harness.fault.nemesis import Nemesis
from harness.fault.schedule import disturbances
from harness.fault.toxic import Toxic
from harness.scenario.model import Fault, StrayWrite
from harness.topology import Link

BYTES = 10  # that one element takes, on any link


class World:
    """fault.active.Watch. What a test sets: `up`, `rdb`, `syncs`, `broken`, `failing`; what it asks: `done`.

    done: what was asked of proxies and nodes, each with the elements sent so far. failing: an exception by method name.
    """

    def __init__(self, *links: str) -> None:
        self.links: dict[Link, FakeLink] = {Link.parse(name): FakeLink(self, Link.parse(name)) for name in links}
        self.up = dict.fromkeys(self.links, True)
        self.offset = self.client_bytes = self.rdb = self.lost = 0
        self.broken: Counter[Link] = Counter()
        self.syncs = (0, 0)
        self.sent_by: Counter[int] = Counter()
        self.done: list[tuple[str, int]] = []
        self.failing: dict[str, Exception] = {}
        self.questions = 0

    def write(self, elements: int, writer: int = 0) -> None:
        """Some elements are sent, and A has them at once."""
        self.sent_by[writer] += elements
        self.client_bytes += elements * BYTES
        self.offset += elements * BYTES

    def do(self, what: str, name: str) -> None:
        if name in self.failing:
            raise self.failing[name]
        self.done.append((what, self.sent()))

    def sent(self) -> int:
        return sum(self.sent_by.values())

    def traffic(self, link: Link) -> int:
        self._asked("traffic")
        return self.client_bytes if link.is_client else self.offset

    def shard_traffic(self, change: Fault) -> int:
        return self.client_bytes

    def link_up(self, link: Link) -> bool:
        self._asked("link_up")
        return self.up[link]

    def breaks(self, link: Link) -> int:
        return self.broken[link]

    def sync_bytes(self, link: Link) -> int:
        self._asked("sync_bytes")
        return 0 if link.is_client else self.rdb

    def full_syncs(self, link: Link) -> tuple[int, int]:
        return (0, 0) if link.is_client else self.syncs

    def write_stray(self, stray: StrayWrite) -> None:
        self.do(f"stray {stray.element}", "write_stray")

    def reshape(self, fault: Fault) -> Change:
        raise NotImplementedError

    def abandoned(self, link: Link) -> bool:
        return False

    def redirected(self) -> int:
        return 0

    def _asked(self, name: str) -> None:
        self.questions += 1
        if name in self.failing:
            raise self.failing[name]


class FakeLink:
    """fault.link.FaultLink. A cut takes the link down at once, and breaks the connection of a client's."""

    listen = ("127.0.0.1", 1)

    def __init__(self, world: World, link: Link) -> None:
        self._world, self._link = world, link
        self._toxics: list[str] = []
        self._number = 0

    def add(self, toxic: Toxic, link: Link) -> str:
        self._world.do(f"add {toxic.kind} to {link}", "add")
        self._number += 1
        self._toxics.append(f"{toxic.kind}_{self._number}")
        return self._toxics[-1]

    def lost(self, toxic_name: str) -> int:
        assert toxic_name in self._toxics
        return self._world.lost

    def remove(self, toxic_name: str) -> None:
        if toxic_name not in self._toxics:
            raise SetupError(f"no toxic {toxic_name}")
        self._world.do(f"remove {toxic_name} from {self._link}", "remove")
        self._toxics.remove(toxic_name)

    def cut(self) -> None:
        self._world.do(f"cut {self._link}", "cut")
        self._world.broken[self._link] += self._link.is_client
        self._world.up[self._link] = False

    def restore(self) -> None:
        self._world.do(f"restore {self._link}", "restore")
        self._world.up[self._link] = True

    def renew(self) -> None:
        self._toxics.clear()

    def clear(self) -> None:
        self._toxics.clear()
        self._world.up[self._link] = True

    def close(self) -> None:
        self._world.links.pop(self._link, None)


def conforms(watch: Watch, link: FaultLink) -> None:
    """Nothing happens here: mypy and readers see that the fakes have the shape of what they stand for."""


def fault(
    at: str, until: str | None = None, link: str | None = "a->b", toxic: str | None = "latency", **more: object
) -> Fault:
    """A fault as a scenario file has it; latency_ms is filled in where it is needed."""
    figures: dict[str, object] = {"latency_ms": 1} if toxic == "latency" else {}
    given = {"at": at, "until": until, "link": link, "toxic": toxic, **figures, **more}
    return Fault.model_validate({name: value for name, value in given.items() if value is not None})


def nemesis_of(
    world: World, faults: Iterable[Fault], totals: Sequence[int], replicas: Sequence[str] = ("b",)
) -> Nemesis:
    return Nemesis(disturbances(tuple(faults)), world.links, totals, world, replicas)


def write_stream(
    world: World, nemesis: Nemesis, total: int, *, writer: int = 0, command: int = 1, stop_after: int | None = None
) -> None:
    """What a StreamWriter does at its marks: sends whole commands while it may, and says when it has finished."""
    sent = allowed = 0
    while sent < (total if stop_after is None else stop_after):
        if allowed <= 0:
            allowed = max(1, nemesis.wait_at(writer, sent))
        size = min(command, total - sent)
        world.write(size, writer)
        sent += size
        allowed -= size
    nemesis.finished(writer)


def run(world: World, faults: Iterable[Fault], total: int = 10, *, command: int = 1) -> Nemesis:
    """One writer from beginning to end; returns the closed nemesis."""
    with nemesis_of(world, faults, [total]) as nemesis:
        write_stream(world, nemesis, total, command=command)
        nemesis.written()
    return nemesis


def eventually(condition: Callable[[], object], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.001)


def together(*parts: Callable[[], None], within_s: float = 20) -> None:
    """Run them side by side; fails where one does not end."""
    threads = [threading.Thread(target=part, daemon=True) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within_s)
    assert not any(thread.is_alive() for thread in threads), "a writer waits for ever"
