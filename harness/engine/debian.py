"""Fetches engines from Debian's archive without installing anything: for local runs and as a container's content.

A package with all it depends on is downloaded by a private apt, unpacked, and reduced to the server's programs and the
libraries that its own dynamic loader names, so that it runs on any Linux of this architecture. Killed half-way, a fetch
goes on where it was; two at a time wait for each other.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness.engine.apt_root import AptRoot, Archive, find_archive, unpack_package
from harness.engine.cache import Fetched, cache_folder, fetched, locked, write_about
from harness.engine.catalogue import CATALOGUE, Listed, fits
from harness.errors import SetupError, UsageError

Tell = Callable[[str], None]

_TOOLS = ("server", "cli", "check-aof", "check-rdb")
_LOADERS = {"x86_64-linux-gnu": "lib64/ld-linux-x86-64.so.2", "aarch64-linux-gnu": "lib/ld-linux-aarch64.so.1"}
_TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
# Libraries that no program names: for looking up host names, and (redis 6.0) what scripts can call.
_BY_NAME = ("libnss_files.so.2", "libnss_dns.so.2", "lua/5.1/cjson.so", "lua/5.1/bit.so")
_LIBRARY = re.compile(r"^\s*(\S+) => (.+?)(?: \(0x[0-9a-f]+\))?$", re.MULTILINE)
_PROBE_TIMEOUT_S = 30.0
_SAYS_VERSION = re.compile(r"^(\w+) server v=(\S+)", re.IGNORECASE | re.MULTILINE)


def in_archive(name: str) -> Listed:
    """The engine of this name in Debian's archive, or the newest that begins so; UsageError where there is none."""
    there = [listed for listed in CATALOGUE if listed.suite is not None]
    exact = [listed for listed in there if listed.name == name]
    fitting = exact or [listed for listed in there if fits(name, listed.family, listed.version)]
    if not fitting:
        raise UsageError(f"no engine {name!r} in Debian's archive; there are {', '.join(each.name for each in there)}")
    return fitting[-1]


def at_hand(listed: Listed, package_version: str | None = None) -> Fetched | None:
    """What was fetched for this entry of the catalogue and runs: of just its name, or of this package's version."""
    for each in fetched():
        same = each.packages.get(each.package) == package_version if package_version else each.name == listed.name
        if (each.suite, each.package) == (listed.suite, listed.package) and same and _runs(each):
            return each
    return None


def fetch(
    wanted: Sequence[Listed], *, mirror: str | None = None, refresh: bool = False, tell: Tell = lambda line: None
) -> list[Fetched]:
    """Fetch these engines unless they are at hand; where the archive has replaced one, what it now has of that suite.

    refresh: ask the archive for what it now has of each, whatever is at hand. tell: hears a line for each engine that
    was fetched. SetupError where the archive can't be had, with the reason.
    """
    found = {} if refresh else {listed: engine for listed in wanted if (engine := at_hand(listed))}
    missing = [listed for listed in wanted if listed not in found]
    try:
        archive = find_archive(mirror) if missing else None
        for base in dict.fromkeys(_base(listed) for listed in missing):
            assert archive is not None
            group = [listed for listed in missing if _base(listed) == base]
            found.update(_fetch_group(base, group, archive, refresh, tell))
    except OSError as error:
        raise SetupError(f"{error.filename or cache_folder()}: {error.strerror}; engines are kept there") from None
    return [found[listed] for listed in wanted]


def _base(listed: Listed) -> str:
    return str(listed.suite).removesuffix("-backports")


def _fetch_group(
    base: str, group: Sequence[Listed], archive: Archive, refresh: bool, tell: Tell
) -> dict[Listed, Fetched]:
    """Engines of one release: they share its lists."""
    folder = cache_folder()
    (folder / "engines").mkdir(parents=True, exist_ok=True, mode=0o700)
    lists = folder / "apt" / base
    suites = list(dict.fromkeys([base, *(str(listed.suite) for listed in group)]))
    lock = locked(folder / f"fetch-{base}.lock", lambda: tell(f"another fetch from {base} is under way: waiting"))
    with lock as descriptor:
        found = {} if refresh else {listed: engine for listed in group if (engine := at_hand(listed))}
        if len(found) < len(group):
            root = AptRoot(lists, suites, archive, descriptor)
            root.update()
            for listed in (one for one in group if one not in found):
                offered = root.candidate(str(listed.package), str(listed.suite))
                engine = at_hand(listed, offered)
                if engine is None:
                    engine = _fetch_one(listed, root)
                    tell(_told(listed, engine))
                found[listed] = engine
            shutil.rmtree(lists)
    return found


def _told(listed: Listed, engine: Fetched) -> str:
    newer = "" if engine.name == listed.name else f" (the archive no longer has {listed.name})"
    return f"{engine.name}{newer}: {engine.origin}"


def _fetch_one(listed: Listed, root: AptRoot) -> Fetched:
    package = str(listed.package)
    archives = root.download(package, str(listed.suite))
    being_made = cache_folder() / "engines" / f".{listed.name}.new"
    shutil.rmtree(being_made, ignore_errors=True)
    tree = being_made / "tree"
    tree.mkdir(parents=True, mode=0o700)
    packages = dict(_unpack(archives, tree, listed.family))
    _reduce(tree, being_made / "root", listed.family)
    shutil.rmtree(tree)
    engine = Fetched(listed.family, listed.version, str(listed.suite), package, packages, being_made)
    _write_launcher(engine)
    engine = replace(engine, version=_version(engine))
    write_about(engine)
    root.forget_packages()
    final = being_made.with_name(engine.name)
    shutil.rmtree(final, ignore_errors=True)
    being_made.rename(final)
    return replace(engine, folder=final)


def _unpack(archives: Iterable[Path], tree: Path, family: str) -> Iterator[tuple[str, str]]:
    """Unpack what can hold a program or a library of this engine; yields the packages' names and versions."""
    for archive in archives:
        name, version = archive.name.split("_")[:2]
        if name.startswith((family, "lib", "lua", "zlib")) and not name.endswith(("-perl", "-common")):
            unpack_package(archive, tree)
            yield name, version.replace("%3a", ":")


def _reduce(tree: Path, root: Path, family: str) -> None:
    """Keep the server's programs, and what the tree's own loader says that they need."""
    _merge_usr(tree)
    triplet = _triplet()
    libraries = tree / "usr" / "lib" / triplet
    loader = next(path for path in (tree / "usr" / _LOADERS[triplet], *libraries.glob("ld-*.so*")) if path.exists())
    kept = root / "usr" / "lib" / triplet
    for folder in (root / "usr" / "bin", kept, root / "data", root / "tmp", root / "etc"):
        folder.mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    (root / "bin").symlink_to("usr/bin")
    place = root / _LOADERS[triplet]
    place.parent.mkdir(exist_ok=True)
    shutil.copy(loader, place)
    for tool in _TOOLS:
        program = tree / "usr" / "bin" / f"{family}-{tool}"
        shutil.copy(program, root / "usr" / "bin" / program.name, follow_symlinks=False)
        for library in _needed(loader.resolve(), libraries, program):
            shutil.copy(library, kept / library.name)
    for name in _BY_NAME:
        if (libraries / name).exists():
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(libraries / name, kept / name)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/data:/bin/false\n")


def _merge_usr(tree: Path) -> None:
    """Older packages have /lib beside /usr/lib."""
    for name in ("lib", "lib64"):
        old = tree / name
        if old.is_dir() and not old.is_symlink():
            shutil.copytree(old, tree / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(old)
        if not old.exists():
            old.symlink_to(f"usr/{name}")


def _needed(loader: Path, libraries: Path, program: Path) -> list[Path]:
    """Every library that the program loads; SetupError where one isn't in the tree, though the machine may have it."""
    options = ("--inhibit-cache", "--library-path", libraries, "--list")
    shown = subprocess.run(
        [loader, *options, program], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    found = [(name, Path(path)) for name, path in _LIBRARY.findall(shown.stdout)]
    strangers = [
        name for name, path in found if not (path.is_relative_to(libraries) or Path(name).name.startswith("ld-linux"))
    ]
    if shown.returncode or strangers:
        said = f"libraries that its packages lack: {', '.join(strangers)}" if strangers else shown.stderr.strip()
        raise SetupError(f"{program.name} of the fetched packages can't be run: {said}")
    return [path for _, path in found if path.is_relative_to(libraries)]


def _write_launcher(engine: Fetched) -> None:
    """Its loader comes first, so that nothing of the machine's own libraries is used."""
    triplet = _triplet()
    engine.program.write_text(
        "#!/bin/sh\n"
        'root="${0%/*}/root"\n'
        f'export LUA_CPATH="$root/usr/lib/{triplet}/lua/5.1/?.so"\n'
        f'exec "$root/{_LOADERS[triplet]}" --inhibit-cache --library-path "$root/usr/lib/{triplet}" '
        f'"$root/usr/bin/{engine.program.name}" "$@"\n'
    )
    engine.program.chmod(0o755)


def _version(engine: Fetched) -> str:
    """What the server itself says, which may be newer than what the catalogue expects of this suite."""
    try:
        shown = subprocess.run(
            [engine.program, "--version"],
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise SetupError(
            f"the server in {engine.origin} gave no answer to --version in {_PROBE_TIMEOUT_S:.0f} s"
        ) from None
    said = _SAYS_VERSION.search(shown.stdout)
    if said is None or said[1].lower() != engine.family:
        raise SetupError(
            f"the server in {engine.origin} doesn't run here: {(shown.stderr or shown.stdout).strip()[:200]}"
        )
    return said[2]


def _runs(engine: Fetched) -> bool:
    """Whether its program still answers as the engine that it was."""
    try:
        return _version(engine) == engine.version
    except (SetupError, OSError):
        return False


def _triplet() -> str:
    """What Debian calls this machine's kind; SetupError where the engines' way of starting isn't known there."""
    shown = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=False)
    architecture = shown.stdout.strip() or os.uname().machine
    if architecture not in _TRIPLETS:
        raise SetupError(f"engines can be fetched for {' and '.join(_TRIPLETS)}, not for {architecture}")
    return _TRIPLETS[architecture]
