"""`harness matrix`: every engine against every other, with small data sets of each kind, by each kind of sync."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands.output import Output, aside
from harness.errors import ExitCode, SetupError, UsageError

if TYPE_CHECKING:
    from harness.engine.binaries import Engine
    from harness.matrix.baseline import Changes, Selection
    from harness.matrix.cells import Matrix
    from harness.matrix.run import Plan

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class Chosen:
    """The options as given; None or empty where they were not."""

    engines: str | None
    engine_paths: tuple[str, ...]
    engines_file: Path | None
    pairs: tuple[str, ...]
    features: str | None
    syncs: str | None
    scenario: Path | None
    jobs: int
    large: bool
    draws: bool


@click.command("matrix")
@click.option("--engines", metavar="NAME,…", help="Only these, as in redis-7.0.15,valkey-9; default: all at hand.")
@click.option("--engine-path", "engine_paths", multiple=True, metavar="NAME=PATH", help="A server program of your own.")
@click.option("--engines-file", type=_FILE, help="Your own engines; default: engines.yaml here, if there is one.")
@click.option("--pair", "pairs", multiple=True, metavar="PRIMARY:REPLICA", help="Only this pair; may be repeated.")
@click.option("--features", metavar="NAME,…", help="Kinds of data; `all`. Default: list,hash,sorted_set,stream,ttl.")
@click.option("--sync", "syncs", metavar="NAME,…", help="Kinds of sync; `full`: three of them, `all`. Default: full.")
@click.option("--scenario", type=_FILE, help="A scenario file as each cell's content.")
@click.option("--property", "draws", is_flag=True, help="With --scenario: its property's draws, not what is written.")
@click.option("--jobs", type=click.IntRange(1, 64), default=None, help="Pairs at a time; default: two for each core.")
@click.option("--large", is_flag=True, help="The feature string with a value of 64 MB.")
@click.option("--html", type=_FILE, help="Write a page to look into every cell.")
@click.option("--json", "json_file", type=_FILE, help="Write all of it, for --baseline and other programs.")
@click.option("--markdown", type=_FILE, help="Write a summary, as for a job's page.")
@click.option("--junit", type=_FILE, help="Write JUnit XML.")
@click.option("--baseline", type=_FILE, help="An earlier --json file: say what changed, and end with 1 then.")
def command(jobs: int | None, **given: Any) -> int:
    """Say which engine can feed which, and whether that is what the known differences say. Exit code 1 where not."""
    from harness.matrix.defaults import default_jobs
    from harness.report.matrix_json import read

    files = {name: given.pop(name) for name in ("html", "json_file", "markdown", "junit")}
    baseline = given.pop("baseline")
    before = read(baseline) if baseline else None  # a bad one is told before anything runs
    for path in files.values():
        if path is not None:
            _check_can_be_written(path)
    chosen = Chosen(jobs=jobs or default_jobs(), **given)
    plan = plan_of(chosen)
    selection = _selection(plan, chosen)
    if before is not None and not any(selection.has(cell) for cell in before.cells):
        raise UsageError(f"{baseline}: holds none of the cells that are asked for, so that nothing could be compared")
    matrix = take(plan, chosen)
    changed = None
    if before is not None:
        from harness.matrix.baseline import changes

        changed = changes(before, matrix, selection)
    _write(matrix, changed, files)
    _show(matrix, changed)
    return exit_code(matrix, changed)


def take(plan: Plan, chosen: Chosen) -> Matrix:
    """Run what was chosen."""
    from harness.matrix.cells import Matrix
    from harness.matrix.run import run_matrix
    from harness.matrix.warm import Pool
    from harness.report.estimate import Estimate
    from harness.runtime.owner import Owner

    date, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    if chosen.scenario is not None:
        from harness.commands.matrix_scenario import run_scenarios

        with Estimate("matrix", plan.size) as estimate:
            part = "property" if chosen.draws else "written"
            engines, cells = run_scenarios(plan, chosen.scenario, part, estimate.tell)
    else:
        with Owner() as owner, Estimate("matrix", plan.size) as estimate:
            pool = Pool(owner, large=chosen.large)
            try:
                engines, cells = run_matrix(plan, pool, estimate.tell)
            finally:
                pool.close()
    shown = shlex.join(["harness", *sys.argv[1:]]) if sys.argv[1:2] == ["matrix"] else "harness matrix"
    return Matrix(engines, cells, date, shown, round(time.monotonic() - began, 3), plan.jobs)


def _selection(plan: Plan, chosen: Chosen) -> Selection:
    from harness.matrix.baseline import Selection

    return Selection(
        frozenset(engine.name for engine in plan.engines) if chosen.engines else None,
        frozenset(plan.pairs) if chosen.pairs else None,
        frozenset(plan.features),
        frozenset(plan.syncs),
    )


def plan_of(chosen: Chosen) -> Plan:
    """UsageError for a name that there is not; SetupError where no engine is at hand."""
    from harness.matrix.defaults import named_features, named_syncs
    from harness.matrix.features import FEATURES
    from harness.matrix.features.string import LARGE
    from harness.matrix.run import Plan

    _check_names(chosen)
    engines, pairs = _engines(chosen)
    features, syncs = named_features(chosen.features), named_syncs(chosen.syncs)
    if chosen.draws and chosen.scenario is None:
        raise UsageError("--property goes with --scenario, whose property is drawn from")
    if chosen.scenario is not None:
        if chosen.features or chosen.syncs:
            raise UsageError("--scenario is the content of each cell: leave --features and --sync out")
        from harness.scenario.loader import load

        features, syncs = (load(chosen.scenario).name,), ("scenario",)
    by_name = {**FEATURES, **({"string": LARGE} if chosen.large else {})}
    return Plan(engines, pairs, features, syncs, chosen.jobs, _replay(chosen), by_name)


def _engines(chosen: Chosen) -> tuple[tuple[Engine, ...], tuple[tuple[str, str], ...]]:
    """The engines, and the pairs of their names: those given, or each with each."""
    from harness.engine.binaries import choose, find_engines
    from harness.engine.own_engines import FILE, read_own_engines
    from harness.options import pair

    file = chosen.engines_file or (Path(FILE) if Path(FILE).is_file() else None)
    paths: dict[str, Path] = {}
    if file is not None:
        own = read_own_engines(file)
        paths |= own.paths
        if own.images:
            from harness.runtime.image_program import programs_of

            paths |= programs_of(own.images, aside)
    given = dict(pair(text, "--engine-path NAME=PATH") for text in chosen.engine_paths)
    paths |= {name: Path(path) for name, path in given.items()}
    given_pairs = [_pair(text) for text in chosen.pairs]
    named = [name for name in (chosen.engines or "").split(",") if name]
    named += [name for words in given_pairs for name in words]
    by_word = {word: choose(word, paths) for word in named}
    if chosen.engines is None and not chosen.pairs:
        found = find_engines(paths, lambda reason: aside(f"harness: {reason}"))
    else:
        found = list(by_word.values())
    if not found:
        raise SetupError("no engine is at hand; `harness engines fetch --all` gets some, `harness doctor` says more")
    engines = tuple({engine.name: engine for engine in found}.values())
    if given_pairs:
        pairs = [(by_word[primary].name, by_word[replica].name) for primary, replica in given_pairs]
        return engines, tuple(dict.fromkeys(pairs))
    return engines, tuple((primary.name, replica.name) for primary in engines for replica in engines)


def _pair(text: str) -> tuple[str, str]:
    words = text.split(":")
    if len(words) != 2 or not all(words):
        raise UsageError(f"--pair {text}: expected PRIMARY:REPLICA, as in redis-7.0.15:valkey-9.1.2")
    return words[0], words[1]


def _replay(chosen: Chosen) -> str:
    """What a cell's own options are put behind, to run it again."""
    words = ["harness", "matrix"]
    for text in chosen.engine_paths:
        words += ["--engine-path", text]
    if chosen.engines_file:
        words += ["--engines-file", str(chosen.engines_file)]
    return shlex.join([*words, *(["--large"] if chosen.large else [])])


def _check_names(chosen: Chosen) -> None:
    """UsageError where --engines names none, or not those of a --pair; says which a short name stands for."""
    if chosen.engines is None:
        return
    named = [name.strip() for name in chosen.engines.split(",")]
    if not all(named):
        raise UsageError(
            f"--engines {shlex.quote(chosen.engines)}: expected names of engines, as in redis-7.0.15,valkey-9"
        )
    for text in chosen.pairs:
        for word in text.split(":"):
            if not any(word.startswith(name) or name.startswith(word) for name in named):
                raise UsageError(
                    f"--pair {text}: {word} is not among --engines {chosen.engines}; leave one of them out"
                )
    for name in named:
        _tell_newest(name)


def _tell_newest(name: str) -> None:
    """A family, or the beginning of a version, stands for one engine only."""
    from harness.engine.binaries import choose, find_engines
    from harness.engine.catalogue import fits, is_name

    fitting = [found.name for found in find_engines() if is_name(name) and fits(name, found.family, found.version)]
    if len(fitting) > 1 and name not in fitting:
        aside(f"harness: --engines {name}: takes {choose(name)}, the newest of {', '.join(fitting)}")


def _check_can_be_written(path: Path) -> None:
    """UsageError, before anything has run; a file that is there is left as it is."""
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.absolute().parent}")
    was_there = path.exists()
    try:
        path.open("ab").close()
        if not was_there:
            path.unlink()
    except OSError as error:
        raise UsageError(f"{path}: can't be written: {error.strerror}") from None


def _write(matrix: Matrix, changed: Changes | None, files: dict[str, Path | None]) -> None:
    from harness.report.matrix_html import matrix_html
    from harness.report.matrix_json import write
    from harness.report.matrix_junit import matrix_junit
    from harness.report.matrix_markdown import matrix_markdown

    texts = {
        "html": lambda: matrix_html(matrix),
        "markdown": lambda: matrix_markdown(matrix, changed),
        "junit": lambda: matrix_junit(matrix),
    }
    for name, path in files.items():
        if path is None:
            continue
        try:
            if name == "json_file":
                write(matrix, path)
            else:
                path.write_text(texts[name](), encoding="utf-8")
        except OSError as error:
            raise SetupError(f"{path}: {error.strerror}") from None


def _show(matrix: Matrix, changed: Changes | None) -> None:
    from harness.report.matrix_terminal import matrix_text

    Output().line(matrix_text(matrix, changed))


def exit_code(matrix: Matrix, changed: Changes | None) -> ExitCode:
    """1: a cell ended otherwise than its rule says, or than before; 6: nothing could be said of some; 5: all
    are n/a, so that nothing was compared.
    """
    from harness.matrix.cells import Outcome

    alarms = matrix.alarms
    if (changed is not None and changed.any) or any(cell.outcome is not Outcome.UNKNOWN for cell in alarms):
        return ExitCode.NOT_AS_EXPECTED
    if alarms:
        return ExitCode.UNKNOWN
    compared = any(cell.outcome is not Outcome.NOT_APPLICABLE for cell in matrix.cells)
    return ExitCode.AS_EXPECTED if compared else ExitCode.NOTHING_SELECTED
