"""`harness compare`: two endpoints compared, only reading."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.commands.output import Output, aside, must_be_writable
from harness.commands.seconds import Seconds
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.compare.model import Outcome
    from harness.endpoint.address import Endpoint


@click.command("compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--keys", metavar="PATTERN", help="Only keys that match, as in 'numbers:*'.")
@click.option("--db", "databases", metavar="N[,N…]", help="Only these databases; default: all that hold keys.")
@click.option("--sample", default="100%", metavar="N%", help="Only this share of the keys, the same ones each time.")
@click.option("--rounds", default=3, type=click.IntRange(1, 100), help="How often what differs is looked at.")
@click.option("--pause", "pause_s", default=1.0, type=Seconds(3600), help="Seconds between rounds.")
@click.option("--deadline", "deadline_s", default=60.0, type=Seconds(), help="Seconds for later rounds.")
@click.option("--tolerance", "tolerance_s", default=1.0, type=Seconds(), help="Seconds that TTLs may differ.")
@click.option(
    "--max-commands-per-second",
    "most_commands_per_s",
    default=20_000,
    type=click.IntRange(min=0),
    show_default=True,
    help="To each endpoint; 0 for no limit.",
)
@click.option("--primaries-only", is_flag=True, help="Do not read from replicas where an endpoint has some.")
@click.option("--trust-replicas", is_flag=True, help="Send passwords to servers that an endpoint names, TLS or not.")
@click.option("--different-servers", is_flag=True, help="A and B are known to be two, though neither shows it.")
@click.option("--skip-types", metavar="TYPE[,TYPE…]", help="Types whose values are not compared, as a module's.")
@click.option("--digest", is_flag=True, help="Slow links: let the servers compute digests of large values.")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="Go on after a kill from this file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a difference, and a last one with the verdict.")
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write a report as one file.")
def command(
    a: str,
    b: str,
    databases: str | None,
    sample: str,
    skip_types: str | None,
    state: Path | None,
    as_json: bool,
    page: Path | None,
    **chosen: object,
) -> int:
    """Compare two endpoints, only reading: does B hold what A holds, and nothing else?

    A and B are URLs, redis://[[user]:password@]host[:port] or rediss://…, or @FILE with a URL in it. What a URL leaves
    out comes from HARNESS_ENDPOINT_A_USER, HARNESS_ENDPOINT_A_PASSWORD, and the same with B.
    """
    from harness.compare.comparison import compare
    from harness.compare.model import Options, types_to_skip

    must_be_writable("--html", page)
    replicas = not chosen.pop("primaries_only")
    options = Options(
        databases=_databases(databases),
        sample=_share(sample),
        replicas=replicas,
        skip_types=types_to_skip(skip_types.split(",") if skip_types is not None else ()),
        **chosen,  # type: ignore[arg-type]
    )
    outcome = compare(_endpoint("A", a), _endpoint("B", b), options, state=state)
    _show(outcome, as_json, page)
    return outcome.exit_code


def _show(outcome: Outcome, as_json: bool, page: Path | None) -> None:
    from harness.compare.report import html_page, terminal_text

    output = Output()
    if as_json:
        for difference in outcome.differences:
            output.json_line(difference.as_json())
        output.json_line(outcome.as_json())
    (aside if as_json else output.line)(terminal_text(outcome))
    if page is not None:
        try:
            page.write_text(html_page(outcome), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--html {page}: it can't be written: {error.strerror}") from None


def _endpoint(name: str, text: str) -> Endpoint:
    from harness.endpoint.address import read_endpoint

    return read_endpoint(text, os.environ, name, option=name)


def _databases(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,7}(,\d{1,7})*", text):
        raise UsageError(f"--db {text}: expected numbers with commas between them, as in 0,3")
    return tuple(sorted({int(number) for number in text.split(",")}))


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,2})?)%", text)
    share = float(match[1]) / 100 if match else 0.0
    if not 0 < share <= 1:
        raise UsageError(f"--sample {text}: expected a share from 0.01% to 100%, as in 5%")
    return share
