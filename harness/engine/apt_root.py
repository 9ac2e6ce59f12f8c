"""A private apt: its own sources, lists and cache, an empty package database, nothing of the machine's touched.

So Debian's archive can be asked for packages of any of its suites, as root and as an ordinary user, and apt itself
checks every byte against the archive's signatures. The mirror is the one that the machine's own apt uses.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harness.engine.cache import cache_folder, locked
from harness.errors import SetupError, UsageError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "HARNESS_DEBIAN_MIRROR"
_SUITES = re.compile(
    r"(?:bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)"
    r"(?:-updates|-backports)?\Z"
)
_KEYRING_PACKAGE = "debian-archive-keyring"
_STALLED_S = 30
_SHOWN_LINES = 6

# Files and hooks of the machine's own apt that do not concern us: what other packages made it fetch or run.
_NOT_OURS = (
    *(f"APT::Update::{when}" for when in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")),
    *(f"DPkg::{when}" for when in ("Pre-Invoke", "Post-Invoke", "Pre-Install-Pkgs")),
    *(f"Acquire::IndexTargets::deb::{what}" for what in ("Contents-deb", "CNF", "DEP-11", "DEP-11-icons")),
    *(f"Acquire::IndexTargets::deb::DEP-11-icons-{size}" for size in ("small", "large", "hidpi", "large-hidpi")),
    "APT::Default-Release",
)


@dataclass(frozen=True)
class Archive:
    """Where packages come from: the mirror's address, and the keys that its signatures are checked against."""

    mirror: str
    keyring: Path


def check_mirror(url: str) -> None:
    """UsageError for what is no address of an archive. It is not shown: it may hold a password."""
    try:
        parts = urlsplit(url)
        is_one = bool(parts.path if parts.scheme in ("file", "copy") else parts.scheme and parts.hostname)
    except ValueError:
        is_one = False
    if not is_one or re.search(r"\s", url):
        raise UsageError(
            f"the mirror given by --mirror or {MIRROR_VARIABLE} is no URL; expected one like http://HOST/debian"
        )


def find_archive(mirror: str | None = None) -> Archive:
    """The machine's own Debian mirror, or the given one. SetupError with what to do where something is missing."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise SetupError(f"engines are fetched from Debian's archive with {program}, which is not on this machine")
    mirror = mirror or os.environ.get(MIRROR_VARIABLE)
    if mirror is not None:
        check_mirror(mirror)
    mirror = mirror or next(_debian_mirrors(Path("/etc/apt")), None)
    if mirror is None:
        raise SetupError(
            "this machine's apt knows no mirror of Debian's archive; give one: --mirror URL, "
            f"or {MIRROR_VARIABLE} in the environment"
        )
    return Archive(mirror, KEYRING if KEYRING.exists() else _own_keyring())


def _own_keyring() -> Path:
    """Debian's keys where the machine lacks them, from the package that its own apt vouches for, unpacked in the cache.

    So a mirror's keys are never taken from that mirror itself.
    """
    folder = cache_folder() / "keyring"
    with locked(cache_folder() / "keyring.lock"):
        kept = folder / KEYRING.name
        if kept.exists():
            return kept
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="harness-keyring-") as scratch:
            command = ["apt-get", "download", "-qq", _KEYRING_PACKAGE]
            done = subprocess.run(command, cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            packages = list(Path(scratch).glob("*.deb"))
            if done.returncode or not packages:
                said = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
                raise SetupError(
                    f"{KEYRING} is missing, against which packages are checked, and this machine's apt can't get it "
                    f"({said}): apt-get install {_KEYRING_PACKAGE}"
                )
            unpack_package(packages[0], Path(scratch, "tree"))
            found = Path(f"{scratch}/tree/{KEYRING}")
            if not found.exists():
                raise SetupError(f"{packages[0].name} holds no {KEYRING}: apt-get install {_KEYRING_PACKAGE}")
            folder.mkdir(mode=0o700)
            shutil.copy(found, folder / "new")
            (folder / "new").rename(kept)
    return kept


def unpack_package(package: Path, tree: Path) -> None:
    """SetupError with the reason, such as a full disk."""
    command = ["dpkg-deb", "-x", str(package), str(tree)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = " ".join(done.stderr.split())[-300:] or f"exit code {done.returncode}"
        raise SetupError(f"{package.name} can't be unpacked to {tree}: {said}; engines are kept in {cache_folder()}")


def _without_logins(text: str) -> str:
    """Addresses in it without user and password."""
    return re.sub(r"(?<=://)[^/\s]*@", "***@", text)


def _debian_mirrors(folder: Path) -> Iterator[str]:
    """The addresses under which the machine's own apt finds Debian's suites, in the order of its files."""
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:  # not there, or not for this user to read
            continue
        sources = _stanzas(text) if file.suffix == ".sources" else _lines(text)
        for address, suites, components in sources:
            if "main" in components and any(_SUITES.match(suite) for suite in suites):
                yield address.rstrip("/")


def _lines(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for line in text.splitlines():
        if found := re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+([^#]*)", line):
            yield found[1], [found[2]], found[3].split()


def _stanzas(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = dict(re.findall(r"(?mi)^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", "\n".join(lines)))
        words = {name.lower(): value.split() for name, value in fields.items()}
        if "deb" in words.get("types", ()) and words.get("enabled", ["yes"])[0].lower() not in ("no", "false"):
            for address in words.get("uris", ())[:1]:
                yield address, words.get("suites", []), words.get("components", [])


class AptRoot:
    """suites: whose packages can be asked for. lock: a file descriptor that our children inherit, so that a lock on it
    lasts as long as any of them, even where we are killed. What was fetched before is used again.
    """

    def __init__(self, folder: Path, suites: Sequence[str], archive: Archive, lock: int) -> None:
        self._folder, self._suites, self._archive, self._lock = folder, suites, archive, lock
        self._archives = folder / "cache" / "archives"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # the mirror's address may hold a password
        for needed in (folder / "state" / "lists" / "partial", self._archives / "partial", folder / "none"):
            needed.mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(self._sources())
        (folder / "apt.conf").write_text(self._configuration())

    def update(self) -> None:
        """Fetch and check the suites' lists."""
        self._apt("update", "-qq")

    def download(self, package: str, suite: str) -> list[Path]:
        """The suite's package with all that it depends on, checked; SetupError with apt's reason."""
        self._apt("install", "-qq", "--yes", "--download-only", "-t", suite, package)
        return sorted(self._archives.glob("*.deb"))

    def candidate(self, package: str, suite: str) -> str | None:
        """The package's version that the suite now offers; None where it offers none."""
        told = self._apt("policy", package, program="apt-cache", options=("-o", f"APT::Default-Release={suite}"))
        found = re.search(r"^\s*Candidate: (\d\S*)", told, re.MULTILINE)
        return found[1] if found else None

    def forget_packages(self) -> None:
        """So that the next package's closure stands alone."""
        for package in self._archives.glob("*.deb"):
            package.unlink()

    def _apt(self, *arguments: str, program: str = "apt-get", options: Sequence[str] = ()) -> str:
        """What it printed; SetupError with its reason."""
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        command = [program, "-c", str(self._folder / "apt.conf"), *options, *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            pass_fds=(self._lock,),
            check=False,
        )
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("E:", "W:", "Err:"))]
        # An update that could not fetch a list only warns, and would go on with an older list or none.
        if done.returncode or (arguments[0] == "update" and any("Failed to fetch" in line for line in said)):
            shown = "\n  ".join(said[-_SHOWN_LINES:]) or f"exit code {done.returncode}"
            where = f"{self._archive.mirror} ({', '.join(self._suites)})"
            raise SetupError(
                _without_logins(f"Debian's archive at {where} can't be used:\n  {shown}\n")
                + f"another mirror is given by --mirror URL or {MIRROR_VARIABLE}"
            )
        return done.stdout

    def _sources(self) -> str:
        # A suite that has been archived keeps its signature, and its date of expiry passes.
        options = f"[signed-by={self._archive.keyring} check-valid-until=no]"
        return "".join(f"deb {options} {self._archive.mirror} {suite} main\n" for suite in self._suites)

    def _configuration(self) -> str:
        none = self._folder / "none"
        settings = {
            "Dir::State": self._folder / "state",
            "Dir::State::lists": self._folder / "state" / "lists",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder / "cache",
            "Dir::Cache::archives": self._archives,
            "Dir::Etc::sourcelist": self._folder / "sources.list",
            "Dir::Etc::sourceparts": none,
            "Dir::Etc::preferences": none / "preferences",
            "Dir::Etc::preferencesparts": none,
            "Dir::Etc::trusted": none / "trusted.gpg",
            "Dir::Etc::trustedparts": none,
            "Dir::Log": none,
            "Acquire::Languages": "none",
            "Acquire::http::Timeout": _STALLED_S,
            "Acquire::https::Timeout": _STALLED_S,
            "Acquire::Retries": 2,
            "APT::Install-Recommends": "false",
            "APT::Keep-Downloaded-Packages": "true",
            "APT::Get::AllowUnauthenticated": "false",
            "Acquire::AllowInsecureRepositories": "false",
            "APT::Sandbox::User": "root",  # the folder is for this user only, so apt can't become another one
        }
        cleared = "".join(f"#clear {name};\n" for name in _NOT_OURS)
        return cleared + "".join(f'{name} "{value}";\n' for name, value in settings.items())
