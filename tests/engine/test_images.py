"""Images of engines: which one is meant, what is in it, and that it is made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.debian import fetch, in_archive
from harness.engine.images import ImageChooser, build, find_images, published_name
from harness.engine.toxiproxy_image import is_static, version_in
from harness.errors import SetupError, UsageError
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
    assert [image.name for image in find_images(client)].count(again.name) == 1


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
    with pytest.raises(UsageError, match=r"'-x' is no engine name"):
        ImageChooser(client, {"-x": "y"})
