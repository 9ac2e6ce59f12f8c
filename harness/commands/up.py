"""`harness up`: a scenario's topology, kept until Ctrl-C, or for as long as a command runs with its addresses."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands.choices import options_from, overrides_option, starting_options
from harness.commands.output import Output, aside
from harness.errors import ExitCode, SetupError, UsageError

if TYPE_CHECKING:
    from harness.runtime.base import Deployment

_GRACE_S = 5.0


@click.command("up")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND …]")
@overrides_option
@starting_options
@click.option("--env", "as_environment", is_flag=True, help="Print `export REDIS_SERVER1_IP=…` lines for a shell.")
@click.option("--faults", is_flag=True, help="Apply the scenario's faults that begin at a time.")
def command(
    file: Path,
    words: tuple[str, ...],
    overrides: tuple[str, ...],
    as_environment: bool,
    faults: bool,
    **chosen: Any,
) -> int:
    """Start a scenario's topology and keep it until Ctrl-C, or while COMMAND runs with REDIS_SERVER1_IP, … set."""
    from harness.scenario.loader import load
    from harness.up import up

    if words and as_environment:
        raise UsageError("--env prints what COMMAND would get anyway; choose one")
    if words and shutil.which(words[0]) is None:
        raise UsageError(f"{words[0]}: there is no such program to run")
    loaded = load(file, overrides, os.environ)
    output, ready = Output(), False
    try:
        with up(loaded, options_from(chosen), faults=faults) as kept:
            for text in kept.not_applied:
                aside(f"harness: not applied: {text}")
            if words:
                return _run(words, variables(kept.deployment))
            output.line(_exports(kept.deployment) if as_environment else _addresses(kept.deployment))
            aside("harness: Ctrl-C stops everything")
            ready = True
            threading.Event().wait()
    except KeyboardInterrupt:
        if not ready:
            raise
    return ExitCode.AS_EXPECTED


def variables(deployment: Deployment) -> dict[str, str | None]:
    """REDIS_SERVER<n>_IP, _PORT and _PASSWORD of each node in the topology's order; None where there is no password."""
    found: dict[str, str | None] = {}
    for number, name in enumerate(deployment.topology.nodes, start=1):
        endpoint = deployment.entry(name)
        found[f"REDIS_SERVER{number}_IP"] = endpoint.host
        found[f"REDIS_SERVER{number}_PORT"] = str(endpoint.port)
        found[f"REDIS_SERVER{number}_PASSWORD"] = endpoint.password or None
    return found


def _exports(deployment: Deployment) -> str:
    """For `eval`: a variable that has no value here must not keep one from elsewhere."""
    return "\n".join(
        f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"
        for name, value in variables(deployment).items()
    )


def _addresses(deployment: Deployment) -> str:
    from harness.report.rows import table

    return table(list(_rows(deployment)))


def _rows(deployment: Deployment) -> Iterator[Mapping[str, object]]:
    for number, node in enumerate(deployment.topology.nodes.values(), start=1):
        endpoint = deployment.entry(node.name)
        yield {
            "node": node.name,
            "role": f"replica of {node.replica_of}" if node.replica_of else "primary",
            "host": endpoint.host,
            "port": endpoint.port,
            "password": f"yes, --env shows it as REDIS_SERVER{number}_PASSWORD" if endpoint.password else "none",
            "engine": deployment.facts(node.name).engine,
            "profile": "" if node.profile == "oss" else f"simulated {node.profile}",
        }


def _run(words: Sequence[str], changes: Mapping[str, str | None]) -> int:
    """The command with the variables set; its exit code, 128 + n where signal n ended it, as shells have it."""
    environment = {name: value for name, value in {**os.environ, **changes}.items() if value is not None}
    try:
        process = subprocess.Popen(words, env=environment)
    except OSError as error:
        raise SetupError(f"{words[0]} can't be run: {error.strerror}") from None
    try:
        code = _waited_for(process)
    except BaseException:
        _end(process)
        raise
    return 128 - code if code < 0 else code


def _waited_for(process: subprocess.Popen[bytes]) -> int:
    """Until the command ends. At a terminal Ctrl-C reaches it as well, and is its own matter."""
    if not sys.stdin.isatty():
        return process.wait()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
