"""`harness schema`: the JSON Schema of scenario files, for editors."""

from __future__ import annotations

import json

import click

from harness.commands.output import Output


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of scenario files."""
    from harness.scenario.model import Scenario

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Scenario.model_json_schema()}
    Output().line(json.dumps(schema, indent=2))
