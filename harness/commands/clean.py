"""`harness clean`: what killed runs left on this machine or on an external endpoint, always shown first."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from harness.commands.output import Output, aside
from harness.errors import ExitCode, SetupError, UsageError

if TYPE_CHECKING:
    from harness.engine.daemon import Client
    from harness.runtime.dead_runs import Remnant


@click.command("clean")
@click.option("--endpoint", "url", metavar="URL", help="Look for keys on this server instead; or @FILE with its URL.")
@click.option("--run-id", metavar="ID", help="With --endpoint: only what this run left.")
@click.option("--all", "every", is_flag=True, help="Also what is owned by who lives, or can't be seen from here.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
def command(url: str | None, run_id: str | None, every: bool, yes: bool) -> int:
    """Remove what dead runs left: containers, networks, processes, folders; or keys on an endpoint."""
    if run_id is not None and not url:
        raise UsageError("--run-id goes with --endpoint; of what is on this machine all that is dead is removed")
    return _clean_endpoint(url, run_id, yes) if url else _clean_machine(every, yes)


def _clean_machine(every: bool, yes: bool) -> int:
    """SetupError where containers could not be looked for, after all else has been cleaned up."""
    from harness.engine.daemon import NoDockerError, open_daemon

    output = Output()
    unseen, client = "", None
    with ExitStack() as stack:
        try:
            client = open_daemon()
            stack.callback(client.close)
        except NoDockerError:
            aside("harness: no Docker here, so no containers either")
        except SetupError as error:
            unseen = str(error)
        _clean_up(client, every, yes, output, "" if unseen else "no dead run has left anything")
    if unseen:
        raise SetupError(f"containers and networks of dead runs could not be looked for: {unseen}")
    return ExitCode.AS_EXPECTED


def _clean_up(client: Client | None, every: bool, yes: bool, output: Output, nothing: str) -> None:
    """Owners that are dead for certain need no question. nothing: what to say where nothing is left."""
    from harness.runtime.dead_runs import remnants, remove_all

    found = remnants(client)
    dead = [each for each in found if each.state == "dead"]
    rest = [each for each in found if each.state != "dead"] if every else []
    if not dead and not rest:
        if nothing:
            output.line(nothing)
        return
    shown = [*dead, *rest]
    output.line(_shown(shown))
    question = f"Remove also the {len(rest)} whose owner is alive or elsewhere? A run under way would be broken"
    if rest and not yes and not (sys.stdin.isatty() and click.confirm(question, err=True)):
        aside(f"harness: {len(rest)} not removed; --yes removes them")
        shown = dead
    failed = remove_all(shown)
    # What was still starting when it was looked for, such as a folder that the daemon made anew for a container.
    late = [each for each in remnants(client) if each.state == "dead"]
    if late:
        output.line(f"found since:\n{_shown(late)}")
        failed += remove_all(late)
    output.line(f"{len(shown) + len(late) - len(failed)} removed")
    if failed:
        raise SetupError("not removed:\n" + "\n".join(f"  {text}" for text in failed))


def _shown(found: Sequence[Remnant]) -> str:
    from harness.report.rows import table

    return table([{"what": e.what, "name": e.name, "of": e.owner, "owner is": e.state} for e in found])


def _clean_endpoint(url: str, run_id: str | None, yes: bool) -> int:
    """Find keys that killed runs left on an endpoint, and remove them when told to."""
    from harness.endpoint.address import read_endpoint
    from harness.report.rows import table
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
