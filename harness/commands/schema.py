"""`harness schema`: the JSON Schemas of our files and of what commands print, for editors and programs."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from harness.commands.output import Output


@click.command("schema")
@click.option(
    "--of",
    "what",
    default="scenario",
    type=click.Choice(("scenario", "plan", "compare", "accept")),
    show_default=True,
    help="A kind of file, or a command whose --json is meant.",
)
def command(what: str) -> None:
    """Print the JSON Schema of scenario files, of plans, or of a command's JSON."""
    Output().line(json.dumps(_schema(what), indent=2))


def _schema(what: str) -> Mapping[str, object]:
    if what == "compare":
        from harness.compare.json_schema import SCHEMA

        return SCHEMA
    if what == "accept":
        from harness.acceptance.model import SCHEMA as ACCEPT

        return ACCEPT
    from harness.scenario.schema import plan_schema, schema

    return plan_schema() if what == "plan" else schema()
