"""`harness list`: which scenarios there are, and what each one shows."""

from __future__ import annotations

import os
from pathlib import Path

import click

from harness.commands.output import Output, aside
from harness.errors import ExitCode
from harness.topology import Topology

DEFAULT = Path("scenarios")


@click.command("list")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a scenario, one a line.")
def command(paths: tuple[Path, ...], as_json: bool) -> int:
    """List scenarios with their topologies and tags. PATHS are files or folders; default: scenarios."""
    from harness.report.rows import table
    from harness.scenario.loader import find, load_all

    output = Output()
    if not paths and not DEFAULT.is_dir():
        aside(f"harness: there is no folder {DEFAULT} here; give files or folders")
        return ExitCode.NOTHING_SELECTED
    rows = [
        {
            "scenario": loaded.name,
            "topology": drawn(loaded.topology),
            "parts": "written, property" if loaded.scenario.property else "written",
            "tags": " ".join(loaded.scenario.tags),
            "title": loaded.scenario.title,
        }
        for loaded in load_all(find(paths or (DEFAULT,)), (), os.environ)
    ]
    if not rows:
        aside("harness: no scenario files there")
        return ExitCode.NOTHING_SELECTED
    for row in rows if as_json else ():
        output.json_line(row)
    if not as_json:
        output.line(table(rows))
    return ExitCode.AS_EXPECTED


def drawn(topology: Topology) -> str:
    """Who follows whom in one line: "a -> b -> c", or "a -> (b, c)"."""
    return "; ".join(_below(topology, node.name) for node in topology.primaries)


def _below(topology: Topology, name: str) -> str:
    followers = [_below(topology, node.name) for node in topology.replicas if node.replica_of == name]
    if not followers:
        return name
    return f"{name} -> {followers[0]}" if len(followers) == 1 else f"{name} -> ({', '.join(followers)})"
