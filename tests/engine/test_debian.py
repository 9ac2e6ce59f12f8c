"""Engines from Debian's archive itself: whole or not there at all, and run by their own libraries only."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cli import run_command_line
from harness.engine import debian
from harness.engine.apt_root import Archive
from harness.engine.binaries import choose, find_engines
from harness.engine.cache import Fetched, fetched, write_about
from harness.engine.debian import at_hand, fetch, in_archive
from harness.errors import SetupError, UsageError
from harness.runtime.readiness import wait_until
from tests.engine.archive import require_archive

FETCH = "from harness.engine.debian import *; fetch([in_archive('redis-7.0.15')], tell=print)"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def old_redis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache with redis 6.0.16 in it."""
    require_archive()
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(folder))
        fetch([in_archive("redis-6.0.16")])
    return folder


def test_names() -> None:
    assert in_archive("redis-7.0.15").suite == "bookworm"
    assert in_archive("valkey").name == "valkey-9.1.2"
    with pytest.raises(UsageError, match=r"no engine 'redis-5' in Debian's archive; there are redis-6.0.16, .*redict"):
        in_archive("redis-5")


def test_a_fetched_engine_is_found_says_where_it_is_from_and_is_not_fetched_again(
    old_redis: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(old_redis))
    monkeypatch.setenv("HARNESS_DEBIAN_MIRROR", "http://127.0.0.1:1/debian")
    heard: list[str] = []
    (engine,) = fetch([in_archive("redis-6.0.16")], tell=heard.append)
    assert heard == []
    assert (engine.name, engine.program.name) == ("redis-6.0.16", "redis-server")
    assert engine.packages["libc6"].startswith("2.31")
    chosen = choose("redis-6.0.16")
    assert chosen.program == engine.program
    assert chosen.origin.startswith("package redis-server 5:6.0.16-1")
    assert chosen.origin.endswith("of Debian bullseye")
    monkeypatch.delenv("HARNESS_DEBIAN_MIRROR")
    assert fetch([in_archive("redis-6.0.16")], refresh=True, tell=heard.append) == [engine]
    assert heard == []  # the archive has no newer one
    assert sum(path.stat().st_size for path in engine.root.rglob("*") if not path.is_symlink()) < 40e6


def test_a_fetched_engine_uses_its_own_libraries_and_runs_scripts(
    old_redis: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(old_redis))
    program = choose("redis-6.0.16").program
    socket = tmp_path / "s"
    with subprocess.Popen(
        [program, "--port", "0", "--unixsocket", socket, "--save", ""], cwd=tmp_path, stdout=subprocess.DEVNULL
    ) as server:
        try:
            wait_until(socket.exists, deadline_s=10, what="the server")
            mapped = Path(f"/proc/{server.pid}/maps").read_text()
            libraries = {line.split()[-1] for line in mapped.splitlines() if line.endswith(".so") or ".so." in line}
            assert libraries
            assert [path for path in libraries if not path.startswith(str(old_redis))] == []
            command = [program.parent / "root/usr/bin/redis-cli", "-s", socket, "eval", "return cjson.encode({1})", "0"]
            loader, *_ = program.parent.glob("root/lib*/ld-linux-*")
            library_path = next(program.parent.glob("root/usr/lib/*-linux-gnu"))
            shown = subprocess.run(
                [loader, "--library-path", library_path, *command], capture_output=True, text=True, check=True
            )
            assert shown.stdout == "[1]\n"
        finally:
            server.kill()


def test_a_damaged_engine_is_told_of_and_fetched_again(
    old_redis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "cache"
    shutil.copytree(old_redis, damaged, symlinks=True)
    monkeypatch.setenv("HARNESS_CACHE", str(damaged))
    program = damaged / "engines" / "redis-6.0.16" / "redis-server"
    assert at_hand(in_archive("redis-6.0.16")) is not None
    program.write_bytes(b"")
    assert at_hand(in_archive("redis-6.0.16")) is None
    with pytest.raises(SetupError, match=r"archive at http://127.0.0.1:1/debian"):
        fetch([in_archive("redis-6.0.16")], mirror="http://127.0.0.1:1/debian")
    said = f"not usable: {program}: .*; `harness engines fetch redis-6.0.16` gets it again"
    run_command_line(["engines"])
    assert re.search(said, capsys.readouterr().err)
    run_command_line(["doctor"])
    assert re.search(said, capsys.readouterr().out)
    (engine,) = fetch([in_archive("redis-6.0.16")])
    assert choose("redis-6.0.16").program == engine.program == program


def made(cache: Path, version: str, name: str = "") -> Fetched:
    """As fetched from sid, in the cache; its server says its version and no more."""
    folder = cache / "engines" / (name or f"redis-{version}")
    folder.mkdir(parents=True)
    engine = Fetched("redis", version, "sid", "redis-server", {"redis-server": f"5:{version}-1"}, folder)
    engine.program.write_text(f"#!/bin/sh\necho Redis server v={version} sha=0\n")
    engine.program.chmod(0o755)
    write_about(engine)
    return engine


@pytest.fixture
def sid(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An archive whose sid offers the last of these versions."""
    offered = ["8.0.3"]

    class Root:
        def __init__(self, folder: Path, *more: object) -> None:
            folder.mkdir(parents=True)

        def update(self) -> None: ...

        def candidate(self, package: str, suite: str) -> str:
            return f"5:{offered[-1]}-1"

    monkeypatch.setattr(debian, "AptRoot", Root)
    monkeypatch.setattr(debian, "find_archive", lambda mirror: Archive("http://example.invalid", Path("none")))
    monkeypatch.setattr(debian, "_fetch_one", lambda listed, root: made(cache, offered[-1]))
    return offered


def test_what_the_archive_now_has(cache: Path, sid: list[str]) -> None:
    heard: list[str] = []

    def names(*, refresh: bool = False) -> list[str]:
        heard.clear()
        return [engine.name for engine in fetch([in_archive("redis-8.0.6")], refresh=refresh, tell=heard.append)]

    made(cache, "8.0.3")
    assert (names(), heard) == (["redis-8.0.3"], [])  # the archive was asked, and has no other
    with pytest.raises(SetupError, match=r"fetched in its place, as Debian sid no longer had it: redis-8\.0\.3"):
        choose("redis-8.0.6")
    sid.append("8.0.6")
    assert (names(), len(heard)) == (["redis-8.0.6"], 1)
    sid.append("8.2.0")
    assert (names(), heard) == (["redis-8.0.6"], [])  # at hand by just its name
    assert (names(refresh=True), heard) == (
        ["redis-8.2.0"],
        ["redis-8.2.0 (the archive no longer has redis-8.0.6): package redis-server 5:8.2.0-1 of Debian sid"],
    )
    assert (names(refresh=True), heard) == (["redis-8.2.0"], [])


def test_what_no_longer_runs_is_fetched_again(cache: Path, sid: list[str]) -> None:
    made(cache, "8.0.6").program.write_text("#!/bin/sh\nexit 127\n")
    sid.append("8.2.0")
    assert [engine.name for engine in fetch([in_archive("redis-8.0.6")])] == ["redis-8.2.0"]


def test_a_fetch_under_way_is_none(cache: Path) -> None:
    made(cache, "8.0.6", ".redis-8.0.6.new")
    assert fetched() == []


def test_an_archive_that_cannot_be_had_leaves_nothing_that_looks_done(cache: Path) -> None:
    require_archive()
    with pytest.raises(SetupError, match=r"Debian's archive at http://127.0.0.1:1/debian \(bullseye\) can't be used"):
        fetch([in_archive("redis-6.0.16")], mirror="http://127.0.0.1:1/debian")
    assert fetched() == []


@pytest.mark.parametrize("seconds", [0.4, 2.3])
def test_killed_half_way_and_run_again(cache: Path, seconds: float) -> None:
    require_archive()
    victim = subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.DEVNULL)
    time.sleep(seconds)  # not to wait for anything: the moment is what is tested
    victim.kill()
    assert victim.wait() in (-signal.SIGKILL, 0)
    fetch([in_archive("redis-7.0.15")])
    assert [engine.name for engine in fetched()] == ["redis-7.0.15"]
    assert "redis-7.0.15" in {engine.name for engine in find_engines()}
    assert sorted(path.name for path in (cache / "engines").iterdir()) == ["redis-7.0.15"]


def test_two_at_once(cache: Path) -> None:
    require_archive()
    runs = [subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sum("redis-7.0.15: package" in text for text in said) == 1
    assert sum("another fetch from bookworm is under way: waiting" in text for text in said) == 1
