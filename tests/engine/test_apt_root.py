"""Where Debian's archive is found, and that nothing unsigned is taken from one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.engine.apt_root import AptRoot, Archive, _debian_mirrors, find_archive
from harness.errors import SetupError
from tests.engine.archive import needs_apt


def mirrors(folder: Path, **files: str) -> list[str]:
    (folder / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        path = folder / ("sources.list" if name == "main" else f"sources.list.d/{name.replace('__', '.')}")
        path.write_text(text)
    return list(_debian_mirrors(folder))


def test_lines_of_the_old_form(tmp_path: Path) -> None:
    text = """
        # deb http://commented/debian bookworm main
        deb-src http://source.example/debian bookworm main
        deb http://other.example/repo noble main
        deb http://security.example/debian-security bookworm-security main
        deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main contrib  # ours
    """
    assert mirrors(tmp_path, main=text) == ["http://mirror.example/debian"]


def test_stanzas_of_the_new_form(tmp_path: Path) -> None:
    text = """Types: deb
# a remark
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /k.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
"""
    assert mirrors(tmp_path, debian__sources=text) == ["http://mirror.example/debian"]


def test_a_machine_without_a_debian_source(tmp_path: Path) -> None:
    assert mirrors(tmp_path, main="deb http://ubuntu.example/ubuntu noble main\n") == []


@needs_apt
def test_a_mirror_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DEBIAN_MIRROR", "http://by.environment/debian")
    assert find_archive().mirror == "http://by.environment/debian"
    assert find_archive("http://by.option/debian").mirror == "http://by.option/debian"


def test_a_machine_without_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="fetched from Debian's archive with apt-get, which is not on this machine"):
        find_archive()


@needs_apt
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the archive made here is for amd64")
def test_an_archive_without_a_signature_is_refused(tmp_path: Path) -> None:
    packages = tmp_path / "mirror/dists/sid/main/binary-amd64/Packages"
    packages.parent.mkdir(parents=True)
    packages.write_text("Package: redis-server\nVersion: 1\nArchitecture: amd64\nFilename: x.deb\nSize: 1\n")
    (tmp_path / "mirror/dists/sid/Release").write_text("Suite: sid\nComponents: main\nArchitectures: amd64\n")
    archive = Archive(f"file://{tmp_path}/mirror", find_archive("file:///").keyring)
    with (tmp_path / "lock").open("w") as lock:
        root = AptRoot(tmp_path / "root", ["sid"], archive, lock.fileno())
        with pytest.raises(SetupError, match=r"(?s)archive at file:.*sid.* is not signed"):
            root.update()


@needs_apt
def test_a_mirror_that_does_not_answer(tmp_path: Path) -> None:
    archive = Archive("http://127.0.0.1:1/debian", find_archive("file:///").keyring)
    with (tmp_path / "lock").open("w") as lock:
        root = AptRoot(tmp_path / "root", ["sid"], archive, lock.fileno())
        with pytest.raises(SetupError, match=r"(?s)127.0.0.1:1.*Could not connect.*given by --mirror"):
            root.update()


@needs_apt
def test_a_mirrors_password_is_not_told(tmp_path: Path) -> None:
    archive = Archive("http://me:hunter2@127.0.0.1:1/debian", find_archive("file:///").keyring)
    with (tmp_path / "lock").open("w") as lock:
        root = AptRoot(tmp_path / "root", ["sid"], archive, lock.fileno())
        assert (tmp_path / "root").stat().st_mode & 0o777 == 0o700
        with pytest.raises(SetupError, match=r"(?s)at http://\*\*\*@127\.0\.0\.1:1/debian") as caught:
            root.update()
    assert "hunter2" not in str(caught.value)


@needs_apt
def test_the_machines_own_apt_is_not_touched(tmp_path: Path) -> None:
    archive = Archive("http://127.0.0.1:1/debian", find_archive("file:///").keyring)
    with (tmp_path / "lock").open("w") as lock:
        AptRoot(tmp_path / "root", ["sid"], archive, lock.fileno())
        shown = subprocess.run(
            ["apt-config", "-c", tmp_path / "root/apt.conf", "dump"], capture_output=True, text=True, check=True
        )
    folders = [line for line in shown.stdout.splitlines() if line.startswith(("Dir::State::lists ", "Dir::Cache "))]
    assert len(folders) == 2
    assert all(str(tmp_path) in line for line in folders)
    assert "Post-Invoke::" not in shown.stdout
