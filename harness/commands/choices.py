"""The options that several commands share. The words are those of `harness.options.Options`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.options import RUNTIMES, Options

_F = TypeVar("_F", bound=Callable[..., Any])

_STARTING = (
    click.option(
        "--engine", "engines", multiple=True, metavar="[NODE=]ENGINE", help="Server program, as in valkey-9.1.2."
    ),
    click.option(
        "--engine-path", "engine_paths", multiple=True, metavar="NAME=PATH", help="A server program of your own."
    ),
    click.option(
        "--image", "images", multiple=True, metavar="ENGINE=REF", help="Container: the image that an engine means."
    ),
    click.option("--runtime", default="auto", type=click.Choice(RUNTIMES), help="Where the nodes run."),
    click.option(
        "--endpoint", "endpoints", multiple=True, metavar="NODE=URL", help="External: a running server; or NODE=@FILE."
    ),
    click.option(
        "--fault-proxy", default="auto", metavar="PROXY", help="auto, embedded, or a Toxiproxy's URL or program."
    ),
    click.option(
        "--ports", default="written", type=click.Choice(("written", "any")), help="As in the file, or any free ones."
    ),
)
_RECORDING = (
    click.option("--out", type=click.Path(path_type=Path), help="Folder for run directories; default: runs."),
    click.option("--keep", is_flag=True, help="Keep what a run that went as expected leaves, too."),
    click.option("--run-id", metavar="ID", help="Name of this run, in its directory and (external) in its keys."),
    click.option("--exact-keys", is_flag=True, help="External: use the file's keys without a prefix."),
    click.option("--strict-capabilities", is_flag=True, help="Fail where something can't be measured or disturbed."),
    click.option("--seed", type=click.IntRange(min=0), help="Draw as a run with this seed did."),
    click.option("--examples", type=click.IntRange(min=1), help="How many draws of a property."),
)
overrides_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the file, as in workload.values=250000.",
)


def starting_options(command: _F) -> _F:
    """How nodes and links come to be: for every command that starts something."""
    for option in reversed(_STARTING):
        command = option(command)
    return command


def recording_options(command: _F) -> _F:
    """What a run does and leaves: for the commands that write and judge."""
    for option in reversed(_RECORDING):
        command = option(command)
    return command


def options_from(chosen: dict[str, Any]) -> Options:
    """The Options that a command's keyword arguments stand for."""
    return Options(**chosen)
