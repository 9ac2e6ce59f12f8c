"""The three ways a run can go wrong that are not a verdict.

A wrong *server* is never an exception: that is a Verdict. An exception says that the question could not
be asked: the file is wrong (ScenarioError), the machine lacks something (SetupError), or we are wrong
(HarnessError). Each carries the exit code that the command line ends with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What `harness` ends with; 0, 1, 2, 3, 4 and 5 agree with pytest's meaning."""

    AS_EXPECTED = 0
    NOT_AS_EXPECTED = 1
    INTERRUPTED = 2
    HARNESS_FAILED = 3
    BAD_INPUT = 4
    NOTHING_SELECTED = 5
    UNKNOWN = 6
    MACHINE_LACKS = 7


class Failure(Exception):
    """Base of every error that the harness raises on purpose; str() is the whole message for the user."""

    exit_code = ExitCode.HARNESS_FAILED


class HarnessError(Failure):
    """The harness itself failed: a bug, or a promise of its own that it could not keep."""


class SetupError(Failure):
    """The machine lacks what the run needs: no engine, a port taken, a proxy out of reach, B not following A."""

    exit_code = ExitCode.MACHINE_LACKS


class UsageError(Failure):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = ExitCode.BAD_INPUT


@dataclass(frozen=True)
class Mistake:
    """One thing wrong in a scenario file.

    where: "file:line:column", or the command-line option it came from; path: the key path, "topology.nodes.a.port".
    """

    where: str
    path: str
    message: str

    def __str__(self) -> str:
        path = f"{self.path}: " if self.path else ""
        return f"{self.where}: {path}{self.message}"


class ScenarioError(Failure):
    """One or more mistakes in a scenario file; all that could be found are listed, one a line."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))
