"""Programs that are measured from outside: run once, their output read to its end, their own figures taken."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import SetupError
from harness.runtime.labels import new_marker

WITHIN_S = 3600.0
_SHOWN = 2000


def output_of(args: Sequence[str], what: str, within_s: float = WITHIN_S) -> tuple[str, str]:
    """Standard output and error of a program that has to succeed; SetupError with the end of its words otherwise."""
    try:
        done = subprocess.run(args, capture_output=True, text=True, timeout=within_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{what}: {error}") from None
    if done.returncode:
        raise SetupError(f"{what} ended with exit code {done.returncode}: {done.stderr.strip()[-_SHOWN:]}")
    return done.stdout, done.stderr


@contextmanager
def own_folder() -> Iterator[Path]:
    """An empty folder until the end of `with`; where this process is killed before, `harness clean` knows it."""
    folder = Path(tempfile.gettempdir()) / f"replication-harness-{new_marker()}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def module(name: str, *words: str) -> list[str]:
    """The command that runs a module of this package with this Python."""
    return [sys.executable, "-m", f"harness.bench.{name}", *words]


def last_object(text: str) -> dict[str, Any]:
    """The JSON object in the last line of a text."""
    found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return found


def wall_seconds(args: Sequence[str], what: str) -> float:
    """How long a program takes from its start to its end."""
    began = time.perf_counter()
    output_of(args, what)
    return time.perf_counter() - began


def printed(args: Sequence[str], what: str) -> tuple[float, int]:
    """The seconds that a program tells on standard error, and how many bytes came over the pipe that it printed to."""
    with subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        size = 0
        buffer = bytearray(1 << 16)
        while count := program.stdout.readinto(buffer):  # type: ignore[attr-defined]
            size += count
        told = program.stderr.read().decode("utf-8", "replace")
    if program.returncode:
        raise SetupError(f"{what} ended with exit code {program.returncode}: {told.strip()[-_SHOWN:]}")
    return float(told.strip().splitlines()[-1]), size
