"""`harness clean`: what killed runs left on an external endpoint, shown first and removed only when told to."""

from __future__ import annotations

import os
import sys

import click

from harness.commands.output import Output, aside
from harness.errors import ExitCode


@click.command("clean")
@click.option("--endpoint", "url", required=True, metavar="URL", help="The server to look at; or @FILE with its URL.")
@click.option("--run-id", metavar="ID", help="Only what this run left.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
def command(url: str, run_id: str | None, yes: bool) -> int:
    """Find keys that killed runs left on an endpoint, and remove them when told to."""
    from harness.endpoint.address import read_endpoint
    from harness.report.terminal import table
    from harness.runtime.leftovers import leftovers, remove_leftovers

    output = Output()
    endpoint = read_endpoint(url, os.environ)
    found = [leftover for leftover in leftovers(endpoint) if run_id in (None, leftover.run_id)]
    if not found:
        output.line(f"nothing of a run is on {endpoint}")
        return ExitCode.AS_EXPECTED
    rows = [
        {
            "run": leftover.run_id,
            "db": leftover.db,
            "key": leftover.key.decode("utf-8", "backslashreplace"),
            "type": leftover.kind,
            "elements": leftover.elements,
            "idle for": None if leftover.idle_s is None else f"{leftover.idle_s} s",
        }
        for leftover in found
    ]
    output.line(table(rows))
    runs = len({leftover.run_id for leftover in found})
    question = f"Remove them ({len(found)} of {runs} runs)? A run that is under way would be broken"
    if not yes and not (sys.stdin.isatty() and click.confirm(question, err=True)):
        aside("harness: nothing was removed; --yes removes them")
        return ExitCode.AS_EXPECTED
    removed = remove_leftovers(endpoint, found)
    output.line(f"{removed} key{'' if removed == 1 else 's'} removed")
    return ExitCode.AS_EXPECTED
