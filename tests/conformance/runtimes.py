"""The runtimes that the conformance tests run over. A new one is a line in RUNTIMES."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.engine.binaries import Engine, choose
from harness.runtime.local import LocalRuntime
from harness.runtime.owner import Owner

Maker = Callable[[Engine, Owner], LocalRuntime]

RUNTIMES: Mapping[str, Maker] = {
    "local": lambda engine, owner: LocalRuntime(lambda node: engine, "written", owner),
}


def preferred() -> Engine:
    return choose(None)
