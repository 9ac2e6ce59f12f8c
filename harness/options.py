"""What the command line, pytest and the Python API choose for a run; the same names everywhere."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError

RUNTIMES = ("auto", "local", "container", "external")


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what (the scenario).

    engines: "valkey-9.1.2" for every node, "b=redis-7.0.15" for one; engine_paths: "NAME=PATH"; images:
    "NAME=REFERENCE", for runtime container; fault_proxy: auto, embedded, a URL or a path; endpoints: "a=redis://…", for
    runtime external; ports: "written" or "any"; out: where run directories go; keep: also those of runs that went as
    expected, and (external) the run's keys; keep_directory: only the directory, as for a caller that reads it
    afterwards.
    """

    runtime: str = "auto"
    engines: tuple[str, ...] = ()
    engine_paths: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    fault_proxy: str = "auto"
    endpoints: tuple[str, ...] = ()
    ports: str = "written"
    out: Path | None = None
    keep: bool = False
    keep_directory: bool = False
    run_id: str | None = None
    exact_keys: bool = False
    strict_capabilities: bool = False
    seed: int | None = None
    examples: int | None = None

    def runtime_name(self) -> str:
        """The runtime meant: `auto` is local, or what HARNESS_RUNTIME says."""
        name = self.runtime if self.runtime != "auto" else os.environ.get("HARNESS_RUNTIME", "auto")
        if name not in RUNTIMES:
            raise UsageError(f"no runtime {name!r}; there are {', '.join(RUNTIMES)}")
        return "local" if name == "auto" else name

    def new_run_id(self) -> str:
        return self.run_id or secrets.token_hex(4)

    def run_directories(self) -> Path:
        return self.out or Path("runs")


def pair(text: str, form: str) -> tuple[str, str]:
    """The two sides of an option's "NAME=VALUE"; UsageError with the form that was expected."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise UsageError(f"{text!r} is not of the form {form}")
    return name, value
