"""Images of engines: which one is meant, what is in it, and that it is made once."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.engine import daemon as surroundings_daemon
from harness.engine.cache import Fetched
from harness.engine.debian import fetch, in_archive
from harness.engine.images import (
    Image,
    ImageChooser,
    _remove_unnamed,
    build,
    digest_of,
    find_images,
    packed_engine,
    published_name,
)
from harness.engine.toxiproxy_image import is_static, packed_program, proxy_at_hand, version_in
from harness.errors import SetupError, UsageError
from harness.surroundings import examine
from tests.engine.archive import require_archive
from tests.support.docker import docker_client, engine_image, toxiproxy_image


@pytest.fixture
def client() -> Iterator[Any]:
    with docker_client() as opened:
        yield opened


def test_published_names() -> None:
    assert published_name("redis-7.2") == "redis:7.2"
    assert published_name("valkey-9.1.2") == "valkey/valkey:9.1.2"
    assert published_name("redict-7.3.6") is None


def test_programs_that_can_stand_alone() -> None:
    assert not is_static(Path("/bin/sh").read_bytes())
    assert not is_static(b"#!/bin/sh\n")
    assert version_in(b"mod\tgithub.com/Shopify/toxiproxy/v2\tv2.12.0\th1:") == "2.12.0"
    assert version_in(b"something else") is None


def found(tag: str, *digests: str) -> Any:
    return SimpleNamespace(tags=[tag], labels={}, id=f"sha256:{tag}", attrs={"RepoDigests": list(digests)})


@pytest.mark.parametrize(
    ("reference", "digest"),
    [
        ("redis:7.2", "sha256:b"),
        ("docker.io/library/redis:7.2", "sha256:b"),
        ("mine.example:5000/redis:7.2", "sha256:a"),
        ("mine.example:5000/redis@sha256:a", "sha256:a"),
        ("other/redis:7.2", "sha256:redis:7.2"),
        ("sha256:0123", "sha256:redis:7.2"),
    ],
)
def test_the_digest_is_the_references_own(reference: str, digest: str) -> None:
    image = found("redis:7.2", "mine.example:5000/redis@sha256:a", "redis@sha256:b")
    assert digest_of(reference, image) == digest


def test_the_newest_toxiproxy_is_chosen_and_what_can_not_run_alone_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [found(f"replication-harness/toxiproxy:{version}") for version in ("2.12.0", "2.9.0")]
    for image in images:
        image.labels = {"replication-harness.engine": f"toxiproxy-{image.tags[0].partition(':')[2]}"}
    client = SimpleNamespace(images=SimpleNamespace(list=lambda **_: images))
    shutil.copy("/bin/sh", tmp_path / "toxiproxy-server")  # it names a loader
    monkeypatch.setenv("PATH", str(tmp_path))
    chosen = proxy_at_hand(client, "auto")
    assert isinstance(chosen, Image)
    assert chosen.name == "toxiproxy-2.12.0"
    monkeypatch.setattr(surroundings_daemon, "daemon", lambda: nullcontext(client))
    (told,) = [each.text for each in examine() if each.topic == "runtime container"]
    assert told.endswith("fault proxy: replication-harness/toxiproxy:2.12.0")


class Removed:
    """An image that lost one name; it may have another one. removed: the ids that were removed."""

    def __init__(self, *tags: str) -> None:
        self.id, self.tags, self.removed = "sha256:1", list(tags), list[str]()
        self.images = SimpleNamespace(remove=self.removed.append)

    def reload(self) -> None:
        return


@pytest.mark.parametrize(("tags", "removed"), [((), ["sha256:1"]), (("a-users-own:1",), [])])
def test_an_image_that_has_another_name_stays(tags: tuple[str, ...], removed: list[str]) -> None:
    image = Removed(*tags)
    _remove_unnamed(image, image)
    assert image.removed == removed


def test_every_engine_starts_as_redis_server_too(tmp_path: Path) -> None:
    (tmp_path / "root/usr/bin").mkdir(parents=True)
    (tmp_path / "root/usr/bin/valkey-server").write_bytes(b"program")
    engine = Fetched("valkey", "9.1.2", "sid", "valkey-server", {}, tmp_path)
    with tarfile.open(fileobj=io.BytesIO(packed_engine(engine))) as archive:
        assert archive.extractfile("./usr/bin/redis-server").read() == b"program"  # type: ignore[union-attr]
    (tmp_path / "root/usr/bin/redis-server").write_bytes(b"its own")
    with tarfile.open(fileobj=io.BytesIO(packed_engine(engine))) as archive:
        assert archive.getnames().count("./usr/bin/redis-server") == 1


def test_the_fault_proxys_archive_needs_no_folder() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed_program(b"program"))) as archive:
        assert [(each.name, each.mode) for each in archive] == [("./toxiproxy-server", 0o755)]
        assert archive.extractfile("./toxiproxy-server").read() == b"program"  # type: ignore[union-attr]


@pytest.mark.container
def test_an_image_is_made_once_is_small_and_knows_its_packages(client: Any) -> None:
    require_archive()
    first = engine_image(client)
    (engine,) = fetch([in_archive(first.name)])
    again = build(client, engine)
    assert build(client, engine).digest == again.digest
    assert again.size < 40e6
    labels = client.images.get(again.reference).labels
    assert f"valkey-server={engine.packages['valkey-server']}" in labels["replication-harness.packages"].split()
    shown = client.containers.run(again.reference, ["--version"], remove=True, network_disabled=True)
    assert shown.startswith(b"Valkey server v=9.1.2")
    shown = client.containers.run(
        again.reference, ["--version"], entrypoint="redis-server", remove=True, network_disabled=True
    )
    assert shown.startswith(b"Valkey server v=9.1.2")
    assert [image.reference for image in find_images(client)].count(again.reference) == 1


@pytest.mark.container
def test_the_fault_proxys_image_names_its_version(client: Any) -> None:
    image = toxiproxy_image(client)
    assert image.name == "toxiproxy-2.12.0"
    assert image.origin.startswith("image ")
    assert "@sha256:" in image.origin


@pytest.mark.container
def test_an_image_that_is_given_is_used(client: Any) -> None:
    mine = engine_image(client)
    chooser = ImageChooser(client, {"redis-7.2": mine.reference})
    assert chooser.choose("redis-7.2").reference == mine.reference
    assert chooser.choose(None).reference == mine.reference


@pytest.mark.container
def test_an_image_that_cannot_be_had(client: Any) -> None:
    chooser = ImageChooser(client, {"redis-7.2": "localhost:1/none:1"})
    with pytest.raises(SetupError, match=r"the image localhost:1/none:1 can't be pulled: .*localhost:1"):
        chooser.choose("redis-7.2")
    with pytest.raises(UsageError, match=r"no engine 'mine': .*given with --image mine=REFERENCE"):
        chooser.choose("mine")
