"""The real Toxiproxy as a program and as an image, without a registry: built once by Go where Go is at hand.

The program is one static file, so an image that holds nothing else runs it.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
from pathlib import Path

from harness.engine.cache import cache_folder, locked
from harness.engine.catalogue import version_key
from harness.engine.daemon import Client
from harness.engine.images import ENGINE_LABEL, LABEL, Image, Tell, digest_of, find_images, import_image, pulled
from harness.errors import SetupError

NAME = "toxiproxy"
PROGRAM = "toxiproxy-server"
VERSION = "2.12.0"
PUBLISHED = "ghcr.io/shopify/toxiproxy"
_MODULE = "github.com/Shopify/toxiproxy/v2"
_PROGRAM_LABEL = f"{LABEL}.program"
_BUILD_WITHIN_S = 600
_NAMES_AN_INTERPRETER = 3  # ELF's PT_INTERP


def find_program() -> Path | None:
    """A toxiproxy-server on PATH, or the one that was built here."""
    if found := shutil.which(PROGRAM):
        return Path(found).absolute()
    built = _built()
    return built if built.exists() else None


def build_program() -> Path:
    """Have Go fetch and build it, once. SetupError where there is no Go, or with what Go says."""
    go = shutil.which("go")
    if go is None:
        raise SetupError(f"no {PROGRAM} on PATH, and no Go to build it with; `--fault-proxy embedded` needs neither")
    built = _built()
    built.parent.mkdir(parents=True, exist_ok=True)
    with locked(built.with_suffix(".lock")), tempfile.TemporaryDirectory(dir=built.parent) as folder:
        if not built.exists():
            environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": folder}
            command = [go, "install", f"{_MODULE}/cmd/server@v{VERSION}"]
            try:
                done = subprocess.run(
                    command, env=environment, capture_output=True, text=True, timeout=_BUILD_WITHIN_S, check=False
                )
            except subprocess.TimeoutExpired:
                raise SetupError(f"{' '.join(command)} took more than {_BUILD_WITHIN_S} s") from None
            if done.returncode:
                raise SetupError(f"{' '.join(command)} failed:\n{done.stderr.strip()[-500:]}")
            Path(folder, "server").rename(built)
    return built


def _built() -> Path:
    return cache_folder() / f"{NAME}-{VERSION}" / PROGRAM


def build_image(client: Client, program: Path) -> Image:
    """An image of this program alone. SetupError where it needs libraries, and so can't run alone."""
    content = program.read_bytes()
    if not is_static(content):
        raise SetupError(f"{program} needs libraries of this machine, so no image can be made of it alone")
    version = version_in(content) or "unknown"
    labels = {ENGINE_LABEL: f"{NAME}-{version}", _PROGRAM_LABEL: f"sha256:{hashlib.sha256(content).hexdigest()}"}
    changes = [f'ENTRYPOINT ["/{PROGRAM}"]', 'CMD ["-host", "0.0.0.0"]', "EXPOSE 8474"]
    reference = f"{LABEL}/{NAME}:{version}"
    return import_image(client, f"{NAME}-{version}", reference, lambda: packed_program(content), labels, changes)


def packed_program(content: bytes) -> bytes:
    """An archive of this program alone, in memory: no folder could be left behind."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(f"./{PROGRAM}")
        member.size, member.mode = len(content), 0o755
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def image_at_hand(client: Client) -> Image | None:
    """One that was built here, else the published one; the newest of each."""
    there = find_images(client)
    built = [image for image in there if image.name.startswith(f"{NAME}-")]
    if built:
        return max(built, key=lambda image: version_key(image.name))
    for tag in (f"{PUBLISHED}:{VERSION}", f"{PUBLISHED}:latest"):
        for image in client.images.list(name=PUBLISHED):
            if tag in image.tags:
                size = int(image.attrs.get("Size", 0))
                return Image(f"{NAME}-{tag.rpartition(':')[2]}", tag, digest_of(tag, image), size, image.id)
    return None


def proxy_for_containers(client: Client, choice: str, tell: Tell) -> Image | str:
    """What the links between containers lead through: an image, or what is to be opened on this machine.

    auto: toxiproxy-server on PATH, put into an image; an image at hand; the published image; else embedded. A path is
    put into an image as well, where it is one static file. A URL, and embedded, stay what they are.
    """
    at_hand = proxy_at_hand(client, choice)
    if isinstance(at_hand, Path):
        return build_image(client, at_hand)
    return at_hand or _published(client, tell) or "embedded"


def proxy_at_hand(client: Client, choice: str) -> Path | Image | str | None:
    """The same choice without making or fetching anything: a program of which an image is to be made, an image, or what
    is to be opened on this machine; None where the published image is to be asked for.
    """
    if choice == "embedded" or "://" in choice:
        return choice
    if choice != "auto":
        program = Path(shutil.which(choice) or choice)
        return program if program.is_file() and is_static(program.read_bytes()) else choice
    on_path = shutil.which(PROGRAM)
    if on_path and is_static(Path(on_path).read_bytes()):
        return Path(on_path)
    return image_at_hand(client)


_unpublished: list[str] = []  # why the published image can't be had


def _published(client: Client, tell: Tell) -> Image | None:
    """Asked for once: a registry that can't be reached stays so for a run of many scenarios."""
    if _unpublished:
        return None
    try:
        return pulled(client, f"{NAME}-{VERSION}", f"{PUBLISHED}:{VERSION}", lambda line: None)
    except SetupError as error:
        _unpublished.append(str(error))
        tell(f"links lead through the embedded fault proxy: {error}; `harness images build {NAME}` makes an image")
        return None


def version_in(program: bytes) -> str | None:
    """The version that Go noted in a program which calls itself "git", as every one built by `go install` does."""
    found = re.search(rb"github\.com/[Ss]hopify/toxiproxy/v2\tv([0-9]+\.[0-9]+\.[0-9]+)", program)
    return found[1].decode() if found else None


def is_static(program: bytes) -> bool:
    """Whether this 64-bit ELF file names no interpreter (dynamic loader)."""
    if program[:5] != b"\x7fELF\x02":
        return False
    order = "<" if program[5] == 1 else ">"
    (first,) = struct.unpack_from(f"{order}Q", program, 32)
    size, count = struct.unpack_from(f"{order}HH", program, 54)
    kinds = (struct.unpack_from(f"{order}I", program, first + index * size)[0] for index in range(count))
    return _NAMES_AN_INTERPRETER not in kinds
