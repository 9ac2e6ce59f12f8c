"""`harness replay`: what a run directory holds, run again: the same scenario, draw and seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.commands.choices import options_from, recording_options, starting_options
from harness.commands.output import Output, aside


@click.command("replay")
@click.argument("run_directory", type=click.Path(path_type=Path))
@starting_options
@recording_options
@click.option("--json", "as_json", is_flag=True, help="The JSON object of `harness run --json`.")
def command(run_directory: Path, as_json: bool, **chosen: Any) -> int:
    """Run again what a run directory holds, with the same draw and seed."""
    from harness.report.terminal import run_text
    from harness.runner import replay

    output = Output()
    result = replay(run_directory, options_from(chosen))
    report = dict(result.report)
    if as_json:
        output.json_line(report)
    (aside if as_json else output.line)(run_text(report))
    return result.exit_code
