"""The floor: the fastest known way to write and read a list, against which the harness is measured.

A small C program where there is a C compiler, compiled once and kept in the user's cache; else redis-benchmark, which
sends commands of the same size but compares nothing; else none, and then only the naive way is left to compare with.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from platformdirs import user_cache_path

from harness.bench.programs import output_of
from harness.endpoint.address import Endpoint
from harness.errors import SetupError

SOURCE = Path(__file__).with_name("floor.c")
COMPILE_S = 60
_FLAGS = ("-O2", "-o")
_VALUES_A_COMMAND = 1000
_CHUNK = 50_000


class Floor(Protocol):
    """name: as the table says it. Each method returns seconds; SetupError where it can't be measured."""

    @property
    def name(self) -> str: ...

    @property
    def complete(self) -> bool:
        """Whether it compares what it reads, can write a sorted set, and print a list. No goal is set by one that does
        not.
        """

    def write(self, to: Endpoint, key: str, values: int, first: int = 1) -> float: ...

    def drain(self, of: Endpoint, key: str, values: int, first: int = 1) -> float: ...

    def zadd(self, to: Endpoint, key: str, values: int, first: int = 1) -> float: ...

    def newest(self, of: Endpoint, key: str, values: int) -> list[str]:
        """The command that prints the list to its standard output."""


@dataclass(frozen=True)
class CompiledFloor:
    """floor.c, compiled."""

    program: Path
    name: str = "C"
    complete: bool = True

    def write(self, to: Endpoint, key: str, values: int, first: int = 1) -> float:
        return self._timed("write", to, key, values, first)

    def drain(self, of: Endpoint, key: str, values: int, first: int = 1) -> float:
        return self._timed("drain", of, key, values, first)

    def zadd(self, to: Endpoint, key: str, values: int, first: int = 1) -> float:
        return self._timed("zadd", to, key, values, first)

    def newest(self, of: Endpoint, key: str, values: int) -> list[str]:
        return [str(self.program), "newest", of.host, str(of.port), key, str(values)]

    def _timed(self, what: str, at: Endpoint, key: str, values: int, first: int) -> float:
        words = [str(self.program), what, at.host, str(at.port), key, str(values), str(first)]
        return float(output_of(words, f"the C floor's {what}")[0])


@dataclass(frozen=True)
class BenchmarkFloor:
    """redis-benchmark or valkey-benchmark: the same commands, one value in all of them, nothing is compared, and what
    is read is the beginning of the list, again and again.
    """

    program: str
    name: str = "redis-benchmark"
    complete: bool = False

    def write(self, to: Endpoint, key: str, values: int, first: int = 1) -> float:
        commands = max(1, values // _VALUES_A_COMMAND)
        digits = str(values)
        return self._timed(to, commands, "RPUSH", key, *[digits] * _VALUES_A_COMMAND)

    def drain(self, of: Endpoint, key: str, values: int, first: int = 1) -> float:
        return self._timed(of, max(1, values // _CHUNK), "LRANGE", key, "0", str(_CHUNK - 1))

    def zadd(self, to: Endpoint, key: str, values: int, first: int = 1) -> float:
        raise SetupError(f"{self.name} writes no members 1 to N; a C compiler (cc) is needed for that floor")

    def newest(self, of: Endpoint, key: str, values: int) -> list[str]:
        raise SetupError(f"{self.name} prints no list; a C compiler (cc) is needed for that floor")

    def _timed(self, at: Endpoint, commands: int, *words: str) -> float:
        """From its rate, since its own start is not to count."""
        host, port = at.host, str(at.port)
        options = ["-h", host, "-p", port, "-c", "1", "-P", "20", "-n", str(commands), "--csv"]
        line, _ = output_of([self.program, *options, *words], f"{self.name} of {words[0]}")
        rate = float(line.strip().splitlines()[-1].split('","')[1].strip('"'))
        return commands / rate


@dataclass(frozen=True)
class Search:
    """The floor that was found, and how it came or why there is none."""

    floor: Floor | None
    note: str


def find_floor(cache: Path | None = None) -> Search:
    """A C program if it can be had, else redis-benchmark, else none. cache: where what is compiled is kept."""
    compiler = shutil.which("cc")
    reason = "no C compiler (cc) on PATH"
    if compiler:
        try:
            return Search(CompiledFloor(compiled(compiler, cache or user_cache_path("replication-harness"))), "")
        except SetupError as error:
            reason = str(error)
    for name in ("redis-benchmark", "valkey-benchmark"):
        if program := shutil.which(name):
            return Search(BenchmarkFloor(program, name), f"{reason}; the floor is {name}, which compares nothing")
    return Search(None, f"{reason}, and no redis-benchmark: no floor, only the naive way is left")


def compiled(compiler: str, cache: Path) -> Path:
    """The program, from the cache or compiled now; SetupError with the compiler's words where that fails."""
    source = SOURCE.read_bytes()
    name = hashlib.sha256(source + " ".join((compiler, *_FLAGS)).encode()).hexdigest()[:16]
    program = cache / f"floor-{name}"
    if program.is_file() and program.stat().st_uid == os.getuid():
        return program
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            unfinished = Path(folder) / "floor"
            output_of([compiler, *_FLAGS, str(unfinished), str(SOURCE)], "compiling the C floor", COMPILE_S)
            os.replace(unfinished, program)
    except OSError as error:
        raise SetupError(f"the C floor can't be kept in {cache}: {error.strerror}") from None
    return program
