"""`harness doctor`: what this machine can run, and why not."""

from __future__ import annotations

import click

from harness.commands.output import Output
from harness.errors import ExitCode


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding, one a line.")
def command(as_json: bool) -> int:
    """Say what this machine can run, and why not."""
    from harness.report.rows import table
    from harness.surroundings import examine

    output = Output()
    findings = examine()
    for finding in findings if as_json else ():
        output.json_line(vars(finding))
    if not as_json:
        marks = {True: "ok", False: "NO", None: "-"}
        rows = [{"": marks[each.fine], "what": each.topic, "found": each.text} for each in findings]
        output.line(table(rows))
    local = next(finding for finding in findings if finding.topic == "runtime local")
    return ExitCode.AS_EXPECTED if local.fine else ExitCode.MACHINE_LACKS
