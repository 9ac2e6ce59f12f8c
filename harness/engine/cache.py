"""Where fetched engines are kept, and which are there. Looking costs a glance at a few small files.

An engine's folder appears under its final name only when it is whole. In it: `engine.json`, `root` (the programs with
every library that they need, as a container's file system), and a launcher by the server's usual name, since servers
look at the name they are started by.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

ABOUT = "engine.json"
_VERSION = 1


@dataclass(frozen=True)
class Fetched:
    """An engine from Debian's archive. version: what its server says; packages: all that its files come from."""

    family: str
    version: str
    suite: str
    package: str
    packages: Mapping[str, str]
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.family}-{self.version}"

    @property
    def program(self) -> Path:
        """Starts the server as a process of this machine."""
        return self.folder / f"{self.family}-server"

    @property
    def root(self) -> Path:
        """A container's file system."""
        return self.folder / "root"

    @property
    def origin(self) -> str:
        return f"package {self.package} {self.packages[self.package]} of Debian {self.suite}"


def cache_folder() -> Path:
    """The user's folder for caches, or the one that HARNESS_CACHE names."""
    if chosen := os.environ.get("HARNESS_CACHE"):
        return Path(chosen).absolute()
    return platformdirs.user_cache_path("replication-harness")


def fetched() -> list[Fetched]:
    """Every engine that was fetched wholly; those of another version of this cache are left alone."""
    abouts = sorted(cache_folder().glob(f"engines/[!.]*/{ABOUT}"))  # a folder being made has a name with a dot
    found = (_read(about) for about in abouts)
    return [engine for engine in found if engine is not None]


def _read(about: Path) -> Fetched | None:
    try:
        told = json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # it is being removed, or was never ours
    if not isinstance(told, dict) or told.pop("cache_version", None) != _VERSION:
        return None
    return Fetched(**told, folder=about.parent)


def write_about(engine: Fetched) -> None:
    told = {name: value for name, value in asdict(engine).items() if name != "folder"}
    (engine.folder / ABOUT).write_text(json.dumps({"cache_version": _VERSION, **told}, indent=1), encoding="utf-8")


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Alone, among all runs that use this file; the kernel ends it with the last process that holds the descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
