"""What small things cost: a whole run on a cold pair beside its servers' own start and stop, and `harness --help`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.bench.pair import scenario
from harness.bench.programs import own_folder, wall_seconds
from harness.bench.rows import Row, in_turns, times
from harness.bench.setting import Setting
from harness.endpoint.address import Endpoint
from harness.endpoint.view import NodeView
from harness.engine.binaries import Engine
from harness.errors import SetupError
from harness.resp.connection import CannotConnect, Connection
from harness.resp.replication_info import replicate_from
from harness.runner import run
from harness.runtime.loopback import own_address
from harness.runtime.server_config import ServerPlan, server_config
from harness.stage import engine_chooser
from harness.topology import Topology

VALUES = 10_000
COLD_GOAL, HELP_GOAL = 1.5, 1.5
WITHIN_S = 30.0
_PAUSE_S = 0.0002


def cold_pair(setting: Setting) -> list[Row]:
    """Start a pair, write and verify 10,000 values, judge, stop: beside the servers' own start, first sync and stop."""
    loaded = scenario(f"workload.values={VALUES}")
    chosen = engine_chooser(setting.options)
    engines = {node.name: chosen(node) for node in loaded.topology.nodes.values()}

    def whole_run() -> float:
        with own_folder() as out:
            began = time.perf_counter()
            result = run(loaded, replace(setting.options, out=out))
            seconds = time.perf_counter() - began
        if result.exit_code:
            raise SetupError(f"a cold run of {VALUES:,} values ended with exit code {result.exit_code}")
        return seconds

    taken = in_turns({"harness": whole_run, "servers": lambda: bare_pair(loaded.topology, engines)}, setting.rounds)
    name = f"cold pair, {VALUES:,} values verified ÷ the servers' own start and stop"
    return [times(name, taken["harness"], taken["servers"], at_most=COLD_GOAL)]


def bare_pair(topology: Topology, engines: dict[str, Engine]) -> float:
    """Seconds that two servers take to start in folders of their own, the one to follow the other, and both to end
    and leave nothing; nothing else is done.
    """
    began = time.perf_counter()
    host = own_address([node.port for node in topology.nodes.values()])
    with own_folder() as folder:
        plans = [
            ServerPlan(node=node, host=host, port=node.port, folder=folder / node.name)
            for node in topology.nodes.values()
        ]
        for plan in plans:
            plan.folder.mkdir()
            (plan.folder / "server.conf").write_text(server_config(plan), encoding="utf-8")
        _start_and_stop(plans, engines)
    return time.perf_counter() - began


def _start_and_stop(plans: list[ServerPlan], engines: dict[str, Engine]) -> None:
    processes = [_popen(plan, engines[plan.node.name]) for plan in plans]
    try:
        for plan in plans:
            _soon(lambda plan=plan: _answers(plan), f"{plan.node.name} to answer")  # type: ignore[misc]
        primary, replica = plans
        with Connection(Endpoint(replica.host, replica.port)) as connection:
            replicate_from(connection.command, primary.host, primary.port)
        with NodeView(Endpoint(replica.host, replica.port)) as view:
            _soon(lambda: bool(view.replication().link_up), "the replica to follow")
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def _popen(plan: ServerPlan, engine: Engine) -> subprocess.Popen[bytes]:
    nowhere = subprocess.DEVNULL
    args = [str(engine.program), str(plan.folder / "server.conf")]
    return subprocess.Popen(args, cwd=plan.folder, stdin=nowhere, stdout=nowhere, stderr=nowhere)


def _answers(plan: ServerPlan) -> bool:
    try:
        with Connection(Endpoint(plan.host, plan.port)) as connection:
            return bool(connection.command("PING"))
    except CannotConnect:
        return False


def _soon(condition: Callable[[], bool], what: str) -> None:
    """Asked much more often than a run does, so that the reference is as fast as it can be."""
    deadline = time.perf_counter() + WITHIN_S
    while not condition():
        if time.perf_counter() > deadline:
            raise SetupError(f"waited {WITHIN_S:g} s for {what}")
        time.sleep(_PAUSE_S)


def help_text(setting: Setting) -> list[Row]:
    """`harness --help` beside the import of the command line library alone."""
    program = Path(sys.executable).with_name("harness")
    harness = [str(program)] if program.exists() else [sys.executable, "-m", "harness"]
    ways = {
        "harness": lambda: wall_seconds([*harness, "--help"], "harness --help"),
        "click": lambda: wall_seconds([sys.executable, "-c", "import click"], "import click"),
    }
    taken = in_turns(ways, max(setting.rounds, 9))
    return [times("harness --help ÷ python -c 'import click'", taken["harness"], taken["click"], at_most=HELP_GOAL)]
