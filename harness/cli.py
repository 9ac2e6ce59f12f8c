"""The command `harness`: which commands there are, and how each way of ending becomes an exit code and one message.

A command's module is imported only when that command runs, so that `harness --help` costs no more than click itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import click

from harness.errors import ExitCode, Failure, ScenarioError
from harness.exit_codes import exit_code_lines

if TYPE_CHECKING:
    from types import FrameType

# name: its module under harness.commands, and one line of help
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "Run scenarios and judge them."),
    "up": ("up", "Start a scenario's topology and keep it, or run a command with it."),
    "replay": ("replay", "Run again what a run directory holds, with the same draw and seed."),
    "judge": ("judge", "Judge a run directory's evidence again, without a server."),
    "list": ("list_scenarios", "List scenarios with their topologies and tags."),
    "compare": ("compare", "Compare two endpoints, only reading: does B hold what A holds?"),
    "accept": ("accept", "Check whether one endpoint can take over from another: go or no-go."),
    "matrix": ("matrix", "Which engine can feed which, with what data, by what kind of sync."),
    "engines": ("engines", "List the server programs at hand, or fetch others."),
    "images": ("images", "List or build container images of engines."),
    "endpoint": ("endpoint", "Simulate a managed endpoint, or find out what one is."),
    "schema": ("schema", "Print the JSON Schema of scenario files, plans, or a command's JSON."),
    "bench": ("bench", "Measure speed here, beside the naive way and a floor in C."),
    "doctor": ("doctor", "Say what this machine can run, and why not."),
    "clean": ("clean", "Remove what killed runs left on this machine, or on an endpoint."),
}


class LazyGroup(click.Group):
    """Knows its commands by name and help line, and imports one only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"harness.commands.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\nExit codes:\n{exit_code_lines()}\n")


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="replication-harness", prog_name="harness", message="%(prog)s %(version)s")
def harness() -> None:
    """Prove that a replica holds exactly what its primary acknowledged, in order, while faults disturb the link."""


AGAIN_AFTER_S = 0.01


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, cleaned up after like Ctrl-C."""


def main() -> None:
    """The entry point of the `harness` program."""
    if sys.platform == "win32":
        _say("Windows is not supported: the servers and their process groups need Linux or macOS; WSL 2 works")
        sys.exit(ExitCode.MACHINE_LACKS)
    _stop_cleanly_on_signals()
    code = run_command_line(sys.argv[1:])
    _flush()
    sys.exit(code)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code, after one message on standard error where there is one to give."""
    try:
        with harness.make_context("harness", list(arguments)) as context:
            return int(harness.invoke(context) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.BAD_INPUT
    except ScenarioError as mistakes:
        _say(str(mistakes), prefix="")  # each line begins with its file
        return mistakes.exit_code
    except Failure as failure:
        _say(str(failure))
        return failure.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        return ExitCode.AS_EXPECTED
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, it is our mistake, and is told as one
        _say(unexpected(error))
        return ExitCode.HARNESS_FAILED


def unexpected(error: Exception) -> str:
    """The message for a mistake of ours; the traceback goes to a file, or into the message with HARNESS_DEBUG=1."""
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    summary = f"the harness itself failed: {type(error).__name__}: {error}"
    if os.environ.get("HARNESS_DEBUG"):
        return f"{summary}\n{text}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="harness-traceback-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError as problem:
        return f"{summary}\nThe traceback could not be saved ({problem}); HARNESS_DEBUG=1 shows it."
    return f"{summary}\nThe traceback is in {file.name}; HARNESS_DEBUG=1 shows it instead."


def _stop_cleanly_on_signals() -> None:
    """The first signal stops the run, and everything is cleaned up; a second one must not break the cleaning off.

    Where the first one falls into a finalizer or a callback of the garbage collector, the interpreter ignores what is
    raised: then it is raised again a moment later.
    """
    import signal

    asked = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated
        if asked == 2:
            os.write(2, b"harness: still stopping what was started; once more to give up\n")
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def ignored(what: sys.UnraisableHookArgs) -> None:
        nonlocal asked
        if isinstance(what.exc_value, KeyboardInterrupt) and asked > 0:
            asked = 0
            signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER_S)
        else:
            sys.__unraisablehook__(what)

    signal.signal(signal.SIGALRM, stop)
    sys.unraisablehook = ignored
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:
            signal.signal(getattr(signal, name), stop)


def _say(message: str, prefix: str = "harness: ") -> None:
    from harness.commands.output import aside

    aside(f"{prefix}{message}")


def _flush() -> None:
    """So that the interpreter's own last flush finds nothing that could fail."""
    try:
        sys.stdout.flush()
    except OSError:  # told already where it is worth it
        from harness.commands.output import drop_output

        drop_output()
