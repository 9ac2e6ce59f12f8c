"""`harness accept`: may readers and writers move from one endpoint to another?"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.commands.choices import options_from, overrides_option, starting_options
from harness.commands.output import Output, aside, must_be_writable
from harness.commands.seconds import Seconds
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.acceptance.model import Acceptance
    from harness.endpoint.address import Endpoint
    from harness.options import Options


@click.command("accept")
@click.argument("plan", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--source", metavar="URL", help="The old endpoint; or @FILE with its URL.")
@click.option("--target", metavar="URL", help="The new endpoint; or @FILE with its URL.")
@overrides_option
@starting_options
@click.option("--profile", metavar="NAME", help="The target's product, as in azure-managed-redis.")
@click.option("--canary", is_flag=True, help="Write keys of our own through the source, and remove them after.")
@click.option("--drift", "drift_s", default=120.0, type=Seconds(), help="Seconds until the second comparison; 0: none.")
@click.option("--keys", metavar="PATTERN", help="Compare only keys that match.")
@click.option(
    "--max-commands-per-second",
    "most_commands_per_s",
    default=20_000,
    type=click.IntRange(min=0),
    show_default=True,
    help="To each endpoint; 0 for no limit.",
)
@click.option("--trust-replicas", is_flag=True, help="Send passwords to servers that an endpoint names, TLS or not.")
@click.option("--different-servers", is_flag=True, help="The two are known to be two, though neither shows it.")
@click.option("--skip-types", metavar="TYPE[,TYPE…]", help="Types whose values are not compared, as a module's.")
@click.option("--ask-password", is_flag=True, help="Ask for passwords that neither URL nor environment has.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as docs/acceptance.schema.json has it.")
@click.option("--markdown", "page_md", type=click.Path(path_type=Path, dir_okay=False), help="Write a Markdown report.")
@click.option(
    "--html", "page_html", type=click.Path(path_type=Path, dir_okay=False), help="Write a report as one file."
)
def command(
    plan: Path | None,
    overrides: tuple[str, ...],
    ask_password: bool,
    as_json: bool,
    page_md: Path | None,
    page_html: Path | None,
    **chosen: Any,
) -> int:
    """Check whether the target can take over: preflight, canary, comparison, drift; then go or no-go.

    What is checked stands in PLAN, a file with `kind: plan`, or in the options. Nothing is written without --canary.
    What a URL leaves out comes from HARNESS_ENDPOINT_SOURCE_USER, HARNESS_ENDPOINT_SOURCE_PASSWORD, and the same with
    TARGET.
    """
    from harness.acceptance.report import html_page, markdown, terminal_text

    must_be_writable("--markdown", page_md)
    must_be_writable("--html", page_html)
    starting = {name: chosen.pop(name) for name in _STARTING}
    if plan is not None:
        report = _by_plan(plan, overrides, ask_password, options_from(starting))
    elif overrides:
        raise UsageError("--set changes a plan; give one, or leave --set out")
    else:
        if given := _given(_STARTING):
            raise UsageError(f"{given[0]} goes with a plan that starts servers; give one, or leave it out")
        report = _by_options(ask_password, chosen)
    output = Output()
    if as_json:
        output.json_line(report.as_json())
    (aside if as_json else output.line)(terminal_text(report))
    for path, text in ((page_md, markdown), (page_html, html_page)):
        if path is not None:
            _write(path, text(report))
    return report.exit_code


def _say(text: str) -> None:
    aside(f"harness: {text}")


def _by_plan(path: Path, overrides: tuple[str, ...], ask_password: bool, options: Options) -> Acceptance:
    from harness.plan_run import follow_plan
    from harness.scenario.plan_loader import load_plan

    if given := _given(_OF_ENDPOINTS):
        raise UsageError(f"{given[0]} does not go with a plan: write it into {path}, or use --set")
    loaded = load_plan(path, overrides, os.environ)
    if loaded.topology is None and (given := _given(_STARTING)):
        raise UsageError(f"{given[0]} is for a plan that starts servers, and {path} starts none")
    if ask_password:
        endpoints = {name: _with_password(name, endpoint) for name, endpoint in loaded.endpoints.items()}
        loaded = replace(loaded, endpoints=endpoints)
    return follow_plan(loaded, options, _say)


def _given(names: frozenset[str]) -> list[str]:
    """Those of these options that stand in the command line."""
    context = click.get_current_context()
    options = [option for option in context.command.params if option.name in names]
    default = ParameterSource.DEFAULT
    return [option.opts[0] for option in options if context.get_parameter_source(str(option.name)) is not default]


_OF_ENDPOINTS = frozenset(
    ("source", "target", "profile", "canary", "drift_s", "keys", "most_commands_per_s", "trust_replicas")
) | {"different_servers", "skip_types"}
# How servers of a plan's topology come to be.
_STARTING = frozenset(("engines", "engine_paths", "images", "runtime", "endpoints", "fault_proxy", "ports"))


def _by_options(ask_password: bool, chosen: dict[str, Any]) -> Acceptance:
    from harness.acceptance.acceptance import AcceptOptions, accept
    from harness.acceptance.product import product
    from harness.compare.model import Options, types_to_skip

    texts = {name: chosen.pop(name) for name in ("source", "target")}
    if lacking := [name for name, text in texts.items() if text is None]:
        raise UsageError(f"--{lacking[0]} is missing; give --source URL and --target URL, or a plan's file")
    skip = chosen.pop("skip_types")
    options = AcceptOptions(
        canary=chosen.pop("canary"),
        drift_s=chosen.pop("drift_s"),
        product=product(chosen.pop("profile")),
        comparison=Options(skip_types=types_to_skip(skip.split(",") if skip is not None else ()), **chosen),
    )
    ends = [_endpoint(name, text, ask_password) for name, text in texts.items()]
    return accept(ends[0], ends[1], options, _say)


def _endpoint(name: str, text: str, ask_password: bool) -> Endpoint:
    from harness.endpoint.address import read_endpoint

    endpoint = read_endpoint(text, os.environ, name, option=f"--{name}")
    return _with_password(name, endpoint) if ask_password else endpoint


def _with_password(name: str, endpoint: Endpoint) -> Endpoint:
    if endpoint.password is None:
        if not sys.stdin.isatty():
            raise UsageError("--ask-password needs a terminal; set the password in the environment instead")
        endpoint = replace(endpoint, password=click.prompt(f"Password of the {name}", hide_input=True, err=True))
    return endpoint


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: it can't be written: {error.strerror}") from None
