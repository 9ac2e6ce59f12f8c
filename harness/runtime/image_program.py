"""A server program out of a container image, to be run as a process of this machine by the image's own loader.

The image's file system is unpacked once, under its digest, into the cache; so the same warm servers, logs and signals
serve an engine that is only to be had as an image.
"""

from __future__ import annotations

import shutil
import struct
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.engine.cache import cache_folder, locked
from harness.engine.daemon import Client, daemon, socket_path
from harness.engine.images import Image, pulled
from harness.errors import SetupError
from harness.runtime.labels import OWNER, owner_labels
from harness.runtime.owner import Owner

Tell = Callable[[str], None]
_FOLDERS = ("usr/local/bin", "usr/bin", "bin", "opt/redis/bin")
_LIBRARIES = ("lib", "lib64", "usr/lib", "usr/lib64", "usr/local/lib")
_PT_INTERP = 3


def programs_of(images: Mapping[str, str], tell: Tell) -> dict[str, Path]:
    """By engine name the program that runs it. SetupError where there is no daemon, or an image has no server."""
    with daemon() as client:
        return {name: program_of(client, pulled(client, name, reference, tell)) for name, reference in images.items()}


def program_of(client: Client, image: Image) -> Path:
    """A launcher in the cache; what was unpacked before is used again."""
    place = cache_folder() / "from_images" / image.digest.rpartition(":")[2][:32]
    with locked(place.with_suffix(".lock")):
        launcher = place / image.program
        if not launcher.exists():
            being_made = place.with_name(f".{place.name}.new")
            shutil.rmtree(being_made, ignore_errors=True)
            try:
                _unpack(client, image, being_made / "root")
                _write_launcher(being_made, image)
                shutil.rmtree(place, ignore_errors=True)
                being_made.rename(place)
            except OSError as error:
                what = f"{image.reference} can't be unpacked to {error.filename or being_made}"
                raise SetupError(f"{what}: {error.strerror or error}; programs of images are kept there") from None
    return launcher


def _unpack(client: Client, image: Image, root: Path) -> None:
    """Programs and libraries of the image's file system."""
    root.mkdir(parents=True, mode=0o700)
    with Owner() as owner:
        owner.watch_docker(socket_path(), f"{OWNER}={owner.marker}", image.id)
        labels = owner_labels(owner.marker, "unpack")
        container = client.containers.create(image.id, entrypoint=["/none"], labels=labels)
        try:
            with tempfile.TemporaryFile() as packed:
                for block in container.export():
                    packed.write(block)
                packed.seek(0)
                with tarfile.open(fileobj=packed) as archive:
                    archive.extractall(root, members=_wanted(archive), filter="tar")
        finally:
            container.remove(force=True, v=True)
        owner.docker_is_clean(image.id)


def _wanted(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    wanted = (*_FOLDERS, *_LIBRARIES)
    for member in archive:
        held = not member.islnk() or member.linkname.startswith(wanted)
        if member.name.startswith(wanted) and held and not member.isdev():
            yield member


def _write_launcher(folder: Path, image: Image) -> None:
    root = folder / "root"
    program = next((path for each in _FOLDERS if (path := root / each / image.program).exists()), None)
    if program is None:
        raise SetupError(f"the image {image.reference} has no {image.program} in /{', /'.join(_FOLDERS)}")
    loader = _loader(_resolved(root, program))
    plain = [each for each in _LIBRARIES if (root / each).is_dir()]
    folders = (path for each in plain for path in (root / each).glob("*-linux-*") if path.is_dir())
    libraries = [*plain, *(str(path.relative_to(root)) for path in folders)]
    found = ":".join(f"$root/{each}" for each in libraries)
    where = program.relative_to(root)
    start = f'"$root/{loader}" --library-path "{found}" "$root/{where}"' if loader else f'"$root/{where}"'
    launcher = folder / image.program
    launcher.write_text(f'#!/bin/sh\nroot="${{0%/*}}/root"\nexec {start} "$@"\n')
    launcher.chmod(0o755)


def _resolved(root: Path, path: Path) -> Path:
    """Where a chain of links inside the image leads."""
    for _ in range(16):
        if not path.is_symlink():
            return path
        target = path.readlink()
        path = root / str(target).lstrip("/") if target.is_absolute() else path.parent / target
    raise SetupError(f"{path}: links that lead nowhere")


def _loader(program: Path) -> str | None:
    """The loader that the program names, without its leading slash; None for one that needs none."""
    with program.open("rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            raise SetupError(f"{program}: not a program of a 64-bit Linux")
        (offset,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        for number in range(count):
            file.seek(offset + number * size)
            entry = file.read(size)
            if struct.unpack_from("<I", entry)[0] == _PT_INTERP:
                start, length = struct.unpack_from("<Q", entry, 8)[0], struct.unpack_from("<Q", entry, 32)[0]
                file.seek(start)
                return file.read(length).rstrip(b"\0").decode().lstrip("/")
    return None
