"""What a fault proxy without toxics costs: a replica's full sync through it, beside the same one directly."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace

from harness.bench.pair import scenario
from harness.bench.rows import Row, in_turns, times
from harness.bench.setting import Setting
from harness.errors import HarnessError
from harness.fault.toxiproxy import PROGRAM
from harness.resp.connection import Connection
from harness.resp.replies import OK
from harness.runtime.base import Deployment
from harness.stage import open_stage

GOAL = 1.15
MEGABYTES = 300
DIRECT = ""


def full_sync(setting: Setting) -> list[Row]:
    """The embedded proxy, and the real one where it is on PATH."""
    ways = {DIRECT: DIRECT, "embedded": "embedded"}
    if real := shutil.which(PROGRAM):
        ways["Toxiproxy"] = real
    taken = in_turns(
        {name: lambda choice=choice: sync_seconds(setting, choice) for name, choice in ways.items()},  # type: ignore[misc]
        setting.rounds,
    )
    direct = taken.pop(DIRECT)
    return [
        times(f"full sync of {MEGABYTES} MB through the {name} proxy ÷ direct", seconds, direct, at_most=goal)
        for (name, seconds), goal in zip(taken.items(), (GOAL, None), strict=False)
    ]


def sync_seconds(setting: Setting, proxy: str) -> float:
    """Seconds of a first full sync, through this fault proxy ("" for none), until the replica has processed it."""
    uncompressed = [f"topology.nodes.{node}.config.rdbcompression=no" for node in ("a", "b")]
    loaded = scenario(*uncompressed)
    options = replace(setting.options, fault_proxy=proxy or "embedded")
    through = loaded.topology.replication_links if proxy else ()
    with open_stage(loaded, options, "bench", through) as stage:
        fill(stage.deployment)
        began = time.perf_counter()
        stage.deployment.attach()
        return time.perf_counter() - began


def fill(deployment: Deployment) -> None:
    """Strings of a megabyte on the primary."""
    with Connection(deployment.control("a")) as connection:
        for number in range(MEGABYTES):
            if connection.command("SET", f"filler:{number}", os.urandom(1_000_000)) != OK:
                raise HarnessError("the primary did not take a string of a megabyte")
