"""`harness accept`: may readers and writers move from one endpoint to another?"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.commands.output import Output, aside
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.endpoint.address import Endpoint


@click.command("accept")
@click.option("--source", required=True, metavar="URL", help="The old endpoint; or @FILE with its URL.")
@click.option("--target", required=True, metavar="URL", help="The new endpoint; or @FILE with its URL.")
@click.option("--profile", metavar="NAME", help="The target's product, as in azure-managed-redis.")
@click.option("--canary", is_flag=True, help="Write keys of our own through the source, and remove them after.")
@click.option(
    "--drift", "drift_s", default=120.0, type=click.FloatRange(0), help="Seconds until the second comparison; 0: none."
)
@click.option("--keys", metavar="PATTERN", help="Compare only keys that match.")
@click.option(
    "--max-commands-per-second",
    "most_commands_per_s",
    default=20_000,
    type=click.IntRange(min=0),
    show_default=True,
    help="To each endpoint; 0 for no limit.",
)
@click.option("--ask-password", is_flag=True, help="Ask for passwords that neither URL nor environment has.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as docs/acceptance.schema.json has it.")
@click.option("--markdown", "page_md", type=click.Path(path_type=Path, dir_okay=False), help="Write a Markdown report.")
@click.option(
    "--html", "page_html", type=click.Path(path_type=Path, dir_okay=False), help="Write a report as one file."
)
def command(
    source: str,
    target: str,
    profile: str | None,
    canary: bool,
    drift_s: float,
    keys: str | None,
    most_commands_per_s: int,
    ask_password: bool,
    as_json: bool,
    page_md: Path | None,
    page_html: Path | None,
) -> int:
    """Check whether the target can take over: preflight, canary, comparison, drift; then go or no-go.

    Nothing is written without --canary. What a URL leaves out comes from HARNESS_ENDPOINT_SOURCE_USER,
    HARNESS_ENDPOINT_SOURCE_PASSWORD, and the same with TARGET.
    """
    from harness.acceptance.acceptance import AcceptOptions, accept
    from harness.acceptance.product import product
    from harness.acceptance.report import html_page, markdown, terminal_text
    from harness.compare.model import Options

    comparison = Options(keys=keys, most_commands_per_s=most_commands_per_s)
    options = AcceptOptions(canary=canary, product=product(profile), drift_s=drift_s, comparison=comparison)
    ends = [_endpoint(name, text, ask_password) for name, text in (("source", source), ("target", target))]
    report = accept(ends[0], ends[1], options, lambda text: aside(f"harness: {text}"))
    output = Output()
    if as_json:
        output.json_line(report.as_json())
    (aside if as_json else output.line)(terminal_text(report))
    for path, text in ((page_md, markdown), (page_html, html_page)):
        if path is not None:
            _write(path, text(report))
    return report.exit_code


def _endpoint(name: str, text: str, ask_password: bool) -> Endpoint:
    from harness.endpoint.address import read_endpoint

    endpoint = read_endpoint(text, os.environ, name, option=f"--{name}")
    if ask_password and endpoint.password is None:
        if not sys.stdin.isatty():
            raise UsageError("--ask-password needs a terminal; set the password in the environment instead")
        endpoint = replace(endpoint, password=click.prompt(f"Password of the {name}", hide_input=True, err=True))
    return endpoint


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: it can't be written: {error.strerror}") from None
