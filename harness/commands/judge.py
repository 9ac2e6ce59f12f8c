"""`harness judge`: the stored evidence of a run, judged again without a server."""

from __future__ import annotations

from pathlib import Path

import click

from harness.commands.output import Output, aside


@click.command("judge")
@click.argument("run_directory", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The JSON object of `harness run --json`.")
@click.option(
    "--print", "printed", type=click.Choice(("newest-first",)), help="Print what a node sent, one value a line."
)
@click.option("--node", help="The node that --print shows; default: the last replica that is judged.")
def command(run_directory: Path, as_json: bool, printed: str | None, node: str | None) -> int:
    """Judge a run directory's evidence again, without a server."""
    from harness.report.terminal import run_text
    from harness.runner import judge_again

    output = Output()
    result = judge_again(run_directory)
    report = dict(result.report)
    if printed:
        from harness.commands.newest import print_newest

        print_newest(run_directory, node, output)
    elif as_json:
        output.json_line(report)
    (aside if as_json or printed else output.line)(run_text(report))
    return result.exit_code
