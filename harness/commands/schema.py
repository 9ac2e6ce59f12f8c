"""`harness schema`: the JSON Schema of scenario files, for editors."""

from __future__ import annotations

import json

import click

from harness.commands.output import Output


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of scenario files."""
    from harness.scenario.schema import schema

    Output().line(json.dumps(schema(), indent=2))
