"""What each exit code means, in one table for the help and the README; and which one a folder run gets."""

from __future__ import annotations

from collections.abc import Iterable

from harness.errors import ExitCode

MEANINGS: dict[ExitCode, str] = {
    ExitCode.AS_EXPECTED: "as expected",
    ExitCode.NOT_AS_EXPECTED: "not as expected: an anomaly, or an expectation that was not met",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.HARNESS_FAILED: "the harness itself failed",
    ExitCode.BAD_INPUT: "bad command line or scenario file",
    ExitCode.NOTHING_SELECTED: "nothing was selected, or everything was skipped",
    ExitCode.UNKNOWN: "unknown: no verdict could be reached",
    ExitCode.MACHINE_LACKS: "the machine lacks what the run needs: an engine, a port, a proxy, a replica that follows",
}
_WORST_FIRST = (
    ExitCode.INTERRUPTED,
    ExitCode.BAD_INPUT,
    ExitCode.HARNESS_FAILED,
    ExitCode.NOT_AS_EXPECTED,
    ExitCode.UNKNOWN,
    ExitCode.MACHINE_LACKS,
    ExitCode.AS_EXPECTED,
)


def exit_code_table() -> str:
    """The table as Markdown, for the README."""
    rows = (f"| {code.value} | {meaning} |" for code, meaning in MEANINGS.items())
    return "\n".join(["| exit code | meaning |", "| --- | --- |", *rows])


def exit_code_lines() -> str:
    """The table as plain lines, for a terminal."""
    return "\n".join(f"  {code.value}  {meaning}" for code, meaning in MEANINGS.items())


def of_folder(codes: Iterable[ExitCode]) -> ExitCode:
    """The code of several scenarios; a skipped one (NOTHING_SELECTED) counts only where there is nothing else."""
    found = set(codes)
    return next((code for code in _WORST_FIRST if code in found), ExitCode.NOTHING_SELECTED)
