"""`harness run`: scenarios from files to verdicts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from harness.commands.choices import options_from, overrides_option, recording_options, starting_options
from harness.commands.output import Output, aside
from harness.errors import ExitCode, Failure, HarnessError, SetupError, UsageError
from harness.exit_codes import of_folder
from harness.options import Options
from harness.report.facts import RunFacts
from harness.report.summary import Report, summarize_failure
from harness.scenario.loader import LoadedScenario, find, load_all


@dataclass(frozen=True)
class Shown:
    """What goes to standard output: tables by default, else JSON lines, or a node's values."""

    json: bool = False
    newest_first: bool = False
    node: str | None = None


@click.command("run")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@overrides_option
@starting_options
@recording_options
@click.option("--property", "draws", is_flag=True, help="Run the property's draws instead of what is written.")
@click.option("--tag", "tags", multiple=True, help="Only scenarios with this tag.")
@click.option("-k", "words", metavar="TEXT", help="Only scenarios whose name, title or tags contain this text.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a scenario, one a line.")
@click.option(
    "--print", "printed", type=click.Choice(("newest-first",)), help="Print what a node sent, one value a line."
)
@click.option("--node", help="The node that --print shows; default: the last replica that is judged.")
def command(
    paths: tuple[Path, ...],
    overrides: tuple[str, ...],
    draws: bool,
    tags: tuple[str, ...],
    words: str | None,
    as_json: bool,
    printed: str | None,
    node: str | None,
    **chosen: Any,
) -> int:
    """Run scenarios and judge them. PATHS are scenario files, or folders of them."""
    options = options_from(chosen)
    shown = Shown(as_json, printed is not None, node)
    _check_draws(options, draws)
    scenarios = select(load_all(find(paths), overrides, os.environ), tags, words, draws)
    if not scenarios:
        aside("harness: nothing was selected")
        return ExitCode.NOTHING_SELECTED
    _check(shown, scenarios, draws)
    _check_images(options, scenarios)
    part = "property" if draws else "written"
    if len(scenarios) == 1 and all(path.is_file() for path in paths):
        return _one(scenarios[0], options, part, shown)
    return _many(scenarios, options, part, shown)


def select(
    scenarios: Sequence[LoadedScenario], tags: Sequence[str], words: str | None, draws: bool
) -> list[LoadedScenario]:
    """Those that have every tag, the words, and (for draws) a property. One that was named alone must have it."""
    if draws and len(scenarios) == 1 and scenarios[0].scenario.property is None:
        raise UsageError(f"{scenarios[0].path} has no property to draw from; leave --property out, or add `property:`")
    return [
        loaded
        for loaded in scenarios
        if set(tags) <= set(loaded.scenario.tags)
        and (words is None or words.lower() in _words_of(loaded))
        and (not draws or loaded.scenario.property is not None)
    ]


def _words_of(loaded: LoadedScenario) -> str:
    return " ".join((loaded.name, loaded.scenario.title, *loaded.scenario.tags)).lower()


def _check_draws(options: Options, draws: bool) -> None:
    for option, value in (("--examples", options.examples), ("--seed", options.seed)):
        if value is not None and not draws:
            raise UsageError(f"{option} {value} goes with --property: nothing is drawn in the written run")


def _check(shown: Shown, scenarios: Sequence[LoadedScenario], draws: bool) -> None:
    if shown.node is not None and not shown.newest_first:
        raise UsageError("--node goes with --print newest-first")
    if not shown.newest_first:
        return
    if shown.json:
        raise UsageError("--json and --print both want standard output; choose one")
    if draws:
        raise UsageError("--print shows the written run; leave --property out")
    if len(scenarios) != 1:
        raise UsageError(f"--print shows one scenario, and {len(scenarios)} were selected")
    if shown.node is not None and shown.node not in scenarios[0].topology.nodes:
        known = ", ".join(scenarios[0].topology.nodes)
        raise UsageError(f"--node {shown.node}: no such node; {scenarios[0].path} has {known}")


def _check_images(options: Options, scenarios: Sequence[LoadedScenario]) -> None:
    """Before anything starts; what is asked for here costs its imports only where it is."""
    if options.images:
        from harness.stage import require_images_in_use

        require_images_in_use(options, [loaded.topology for loaded in scenarios])


def _one(loaded: LoadedScenario, options: Options, part: str, shown: Shown) -> int:
    from harness.report.progress import TerminalProgress
    from harness.report.terminal import run_text
    from harness.runner import run

    output = Output()
    out = options.run_directories()
    ours = out if out.exists() else out.parent  # what lies below goes again with the run directory, if it is empty then
    kept = replace(options, keep_directory=True) if shown.newest_first else options
    try:
        with TerminalProgress(loaded.name) as progress:
            result = run(loaded, kept, part=part, progress=progress)
    except (SetupError, HarnessError) as failure:
        if shown.json:
            output.json_line(_failed(loaded, str(failure), failure.exit_code, options, part))
        raise
    report = dict(result.report)
    if shown.newest_first and result.run_dir is not None:
        from harness.commands.newest import print_newest

        print_newest(result.run_dir, shown.node, output)
        if result.exit_code == ExitCode.AS_EXPECTED and not options.keep:
            report |= forget(result.run_dir, ours)
    if shown.json:
        output.json_line(report)
    if shown.json or shown.newest_first:
        aside(run_text(report))
    else:
        output.line(run_text(report))
    return result.exit_code


def forget(run_dir: Path, below: Path) -> Report:
    """Discard a run directory that was kept only to print from it, and the folders above it, up to `below`, that this
    leaves empty; returns what the report must say now."""
    from harness.report.store import RunDirectory

    RunDirectory.open(run_dir, below).discard()
    return {"run_dir": None, "replay": None}


def _many(scenarios: Sequence[LoadedScenario], options: Options, part: str, shown: Shown) -> int:
    """One line a scenario as it ends, then a table of all. What stops one scenario does not stop the next."""
    from harness.report.terminal import line_text, summary_table

    output, codes, reports = Output(), [], []
    try:
        for code, report in _each(scenarios, options, part):
            codes.append(code)
            reports.append(report)
            if shown.json:
                output.json_line(report)
                aside(line_text(report))
            else:
                output.line(line_text(report))
    finally:
        if reports:
            (aside if shown.json else output.line)("\n" + summary_table(reports))
    return of_folder(codes)


def _each(scenarios: Sequence[LoadedScenario], options: Options, part: str) -> Iterator[tuple[ExitCode, Report]]:
    from harness.cli import unexpected
    from harness.report.progress import TerminalProgress
    from harness.runner import run

    for loaded in scenarios:
        try:
            with TerminalProgress(loaded.name) as progress:
                result = run(loaded, options, part=part, progress=progress)
        except (SetupError, HarnessError) as failure:
            yield failure.exit_code, _failed(loaded, str(failure), failure.exit_code, options, part)
        except Failure:  # the command line or a file is wrong, for all scenarios alike
            raise
        except Exception as error:  # noqa: BLE001 - our mistake in one scenario is reported, and the others still run
            code = ExitCode.HARNESS_FAILED
            yield code, _failed(loaded, unexpected(error), code, options, part)
        else:
            yield result.exit_code, dict(result.report)


def _failed(loaded: LoadedScenario, message: str, code: ExitCode, options: Options, part: str) -> Report:
    facts = RunFacts(run_id=options.run_id or "", runtime=options.runtime_name(), part=part, seed=options.seed)
    return summarize_failure(loaded, message, code, facts)
