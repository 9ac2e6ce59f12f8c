"""Container images of engines: those at hand, those of a registry, and those made from Debian's packages without one.

The order in which an engine's image is looked for: the one given by --image; one that was built here; its published
name, if the daemon has it; the registry; at last it is built, which takes seconds and needs Debian's archive only.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.engine.cache import Fetched, cache_folder, locked
from harness.engine.catalogue import CATALOGUE, FAMILIES, REPOSITORIES, Listed, fits, is_name, version_key
from harness.engine.daemon import Client, explanation
from harness.engine.debian import fetch, in_archive
from harness.errors import SetupError, UsageError

Tell = Callable[[str], None]

LABEL = "replication-harness"
ENGINE_LABEL = f"{LABEL}.engine"
PACKAGES_LABEL = f"{LABEL}.packages"
LAYOUT_LABEL, LAYOUT = f"{LABEL}.layout", "2"  # of the images that are made here; another one's are made again
COMMON_PROGRAM = "usr/bin/redis-server"  # under this name every engine's server starts
_NO_ENGINE = "toxiproxy-server"
PREFERRED = ("valkey-9.1.2", "redis-7.0.15")


@dataclass(frozen=True)
class Image:
    """An image that the daemon has. name: of the engine, or "toxiproxy-…"; digest: by which its registry knows it, else
    its id; size: bytes; id: of its content, at the daemon; program: the server's name on its PATH.
    """

    name: str
    reference: str
    digest: str
    size: int
    id: str
    program: str = ""

    @property
    def origin(self) -> str:
        """As reports name it."""
        return f"image {self.reference}@{self.digest}"


def find_images(client: Client) -> list[Image]:
    """Every image at hand: built here, or under its published name."""
    found = []
    for each in client.images.list():
        labels = each.labels or {}
        for tag in each.tags:
            ours = tag.startswith(f"{LABEL}/")  # an image made from one of ours has its labels too
            name = (labels.get(ENGINE_LABEL) if ours else None) or _published(tag)
            if name:
                found.append(_image(name, tag, each))
    return sorted(found, key=lambda image: (image.name, image.reference))


def _published(tag: str) -> str | None:
    repository, _, version = tag.rpartition(":")
    family = next((family for family, name in REPOSITORIES.items() if name == repository), None)
    return f"{family}-{version}" if family and version[:1].isdigit() else None


def _image(name: str, reference: str, found: Client) -> Image:
    program = _program(name, found.attrs.get("Config") or {})
    return Image(name, reference, digest_of(reference, found), int(found.attrs.get("Size", 0)), found.id, program)


def digest_of(reference: str, found: Client) -> str:
    """By which the reference's own repository knows this image: others may have the same content under another one."""
    repository, _, digest = reference.partition("@")
    if digest:
        return digest
    head, slash, last = repository.removeprefix("docker.io/").removeprefix("library/").rpartition("/")
    repository = f"{head}{slash}{last.partition(':')[0]}"
    digests = [text.split("@") for text in found.attrs.get("RepoDigests") or ()]
    return next((digest for name, digest in digests if name == repository), str(found.id))


def _program(name: str, config: Mapping[str, Sequence[str] | None]) -> str:
    """As the image itself starts it; many start it through a script of theirs."""
    words = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
    servers = [name for word in words if (name := Path(word).name).endswith("-server") and name != _NO_ENGINE]
    family = name.partition("-")[0]
    return servers[-1] if servers else f"{family if family in FAMILIES else FAMILIES[0]}-server"


def build(client: Client, engine: Fetched) -> Image:
    """An image from fetched packages; the one that is there where it was made from the same ones."""
    packages = " ".join(f"{name}={version}" for name, version in sorted(engine.packages.items()))
    labels = {ENGINE_LABEL: engine.name, PACKAGES_LABEL: packages, LAYOUT_LABEL: LAYOUT}
    changes = [f'ENTRYPOINT ["/usr/bin/{engine.program.name}"]', "WORKDIR /data", "EXPOSE 6379"]
    reference = f"{LABEL}/{engine.family}:{engine.version}"
    return import_image(client, engine.name, reference, partial(packed_engine, engine), labels, changes)


def packed_engine(engine: Fetched) -> bytes:
    """Its file system as an archive that belongs to root, whoever fetched it; every engine answers as redis-server."""

    def owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(engine.root, arcname=".", filter=owned_by_root)
        if not os.path.lexists(engine.root / COMMON_PROGRAM):
            link = tarfile.TarInfo(f"./{COMMON_PROGRAM}")
            link.type, link.linkname = tarfile.SYMTYPE, engine.program.name
            archive.addfile(link)
    return packed.getvalue()


def built(client: Client, listed: Listed) -> Image | None:
    """The image that was made of this entry of the catalogue, as images are made now."""
    reference = f"{LABEL}/{listed.family}:{listed.version}"
    there = _get(client, reference)
    labels = (there.labels or {}) if there is not None else {}
    as_now = {ENGINE_LABEL: listed.name, LAYOUT_LABEL: LAYOUT}.items() <= labels.items()
    return _image(listed.name, reference, there) if as_now else None


def import_image(
    client: Client,
    name: str,
    reference: str,
    packed: Callable[[], bytes],
    labels: Mapping[str, str],
    changes: Sequence[str],
) -> Image:
    """Make an image of an archive's content, unless one of this name with these labels is there."""
    import docker.errors

    with locked(cache_folder() / "images.lock"):
        if (there := _get(client, reference)) and labels.items() <= (there.labels or {}).items():
            return _image(name, reference, there)
        repository, _, tag = reference.rpartition(":")
        changes = [*changes, *(f'LABEL {key}="{value}"' for key, value in labels.items())]
        try:
            client.api.import_image_from_data(packed(), repository=repository, tag=tag, changes=changes)
            if there is not None:
                _remove_unnamed(client, there)
            return _image(name, reference, client.images.get(reference))
        except docker.errors.APIError as error:
            raise SetupError(f"the image {reference} can't be made: {explanation(error)}") from None


def _get(client: Client, reference: str) -> Client | None:
    import docker.errors

    try:
        return client.images.get(reference)
    except docker.errors.ImageNotFound:
        return None
    except docker.errors.APIError as error:
        raise SetupError(f"the image {reference!r} can't be looked for: {explanation(error)}") from None


def _remove_unnamed(client: Client, image: Client) -> None:
    """What has lost its name to a newer one, unless it has another name; a container may still use it."""
    import docker.errors

    try:
        image.reload()
        if not image.tags:
            client.images.remove(image.id)
    except docker.errors.APIError as error:
        if error.status_code not in (404, 409):
            raise


class ImageChooser:
    """Which image a node's engine means. given: references by engine names (--image); tell: hears what takes long."""

    def __init__(self, client: Client, given: Mapping[str, str], tell: Tell = lambda line: None) -> None:
        self._client, self._given, self._tell = client, given, tell
        self._chosen: dict[str | None, Image] = {}

    def choose(self, requested: str | None) -> Image:
        """UsageError: no engine can have this name. SetupError: no image of it can be had, with each way's reason."""
        if requested not in self._chosen:
            self._chosen[requested] = self._find(requested)
        return self._chosen[requested]

    def _find(self, requested: str | None) -> Image:
        if requested is None:
            return self._preferred()
        if requested in self._given:
            return pulled(self._client, requested, self._given[requested], self._tell)
        if not is_name(requested) or requested.partition("-")[0] not in FAMILIES:
            raise UsageError(
                f"no engine {requested!r}: the families are {', '.join(FAMILIES)}; an image of another is given with "
                f"--image {requested}=REFERENCE"
            )
        return self._at_hand(requested) or self._brought(requested)

    def _preferred(self) -> Image:
        if self._given:
            return self.choose(next(iter(self._given)))
        there = find_images(self._client)
        names = {image.name for image in there}
        for name in PREFERRED:
            if name in names:
                return self.choose(name)
        engines = [image for image in there if image.name.partition("-")[0] in FAMILIES]
        return engines[0] if engines else self.choose(PREFERRED[0])

    def _at_hand(self, requested: str) -> Image | None:
        exact, fitting = [], []
        for image in find_images(self._client):
            family, _, version = image.name.partition("-")
            if image.name == requested:
                exact.append(image)
            elif fits(requested, family, version):
                fitting.append(image)
        if exact:  # what was built here knows its packages
            return min(exact, key=lambda image: not image.reference.startswith(f"{LABEL}/"))
        return max(fitting, key=lambda image: version_key(image.name), default=None)

    def _brought(self, requested: str) -> Image:
        """From the registry, else from Debian's packages."""
        reasons = []
        if reference := published_name(requested):
            try:
                return pulled(self._client, requested, reference, self._tell)
            except SetupError as error:
                reasons.append(str(error))
        if any(_is_from_debian(listed, requested) for listed in CATALOGUE):
            try:
                self._tell(f"building an image of {requested} from Debian's packages")
                return build(self._client, *fetch([in_archive(requested)], tell=self._tell))
            except SetupError as error:
                reasons.append(str(error))
        told = "".join(f"\n  {reason}" for reason in reasons)
        raise SetupError(f"no image of {requested} can be had; --image {requested}=REFERENCE gives one{told}")


def published_name(engine: str) -> str | None:
    """The image's name in a registry, by the catalogue; for other versions by its family's repository."""
    for listed in CATALOGUE:
        if listed.name == engine:
            return listed.image
    family, _, version = engine.partition("-")
    repository = REPOSITORIES.get(family)
    return f"{repository}:{version or 'latest'}" if repository else None


def _is_from_debian(listed: Listed, requested: str) -> bool:
    return listed.suite is not None and fits(requested, listed.family, listed.version)


def pulled(client: Client, name: str, reference: str, tell: Tell) -> Image:
    """The image of this reference, from its registry where the daemon hasn't got it. SetupError with the reason."""
    import docker.errors
    import requests.exceptions

    if (there := _get(client, reference)) is None:
        tell(f"pulling the image {reference}")
        try:
            client.images.pull(reference)
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise SetupError(f"the image {reference} can't be pulled: {explanation(error)}") from None
        there = client.images.get(reference)
    return _image(name, reference, there)
