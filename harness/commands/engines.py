"""`harness engines`: the server programs on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from harness.commands.output import Output, aside
from harness.errors import ExitCode, UsageError


@click.command("engines")
@click.option("--engine-path", "engine_paths", multiple=True, metavar="NAME=PATH", help="A server program of your own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an engine, one a line.")
def command(engine_paths: tuple[str, ...], as_json: bool) -> int:
    """List the server programs at hand."""
    from harness.engine.binaries import find_engines
    from harness.report.terminal import table

    output = Output()
    found = find_engines(dict(_named(text) for text in engine_paths))
    rows = [{"engine": engine.name, "origin": engine.origin, "program": str(engine.program)} for engine in found]
    if not rows:
        aside("harness: no server program on this machine; `harness doctor` says how to get one")
        return ExitCode.MACHINE_LACKS
    for row in rows if as_json else ():
        output.json_line(row)
    if not as_json:
        output.line(table(rows))
    return ExitCode.AS_EXPECTED


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise UsageError(f"--engine-path {text}: expected NAME=PATH, as in mine=/opt/redis/redis-server")
    return name, Path(path)
