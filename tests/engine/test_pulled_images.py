"""Images from a registry, as users have them: pulled once, named by its digest; and why one can't be had."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pytest

import harness
from harness.engine.images import ImageChooser
from harness.errors import SetupError
from harness.options import Options
from harness.runner import run
from tests.support.docker import ENGINE, docker_client, engine_image, toxiproxy_image
from tests.support.registry import Registry

PAIR = Path("scenarios/one_replica/list_append.yaml")

pytestmark = pytest.mark.container


@pytest.fixture
def client() -> Iterator[Any]:
    with docker_client() as opened:
        yield opened


@pytest.fixture
def registry(client: Any) -> Iterator[Registry]:
    with Registry() as serving:
        yield serving
        for image in client.images.list():
            for tag in image.tags:
                if tag.startswith(serving.address):
                    client.images.remove(tag)


def test_an_image_is_pulled_once_and_named_with_the_registrys_digest(client: Any, registry: Registry) -> None:
    digest = registry.add(client, engine_image(client).reference, "mine/hardened", "1")
    reference = f"{registry.address}/mine/hardened:1"
    told: list[str] = []
    for _ in range(2):
        image = ImageChooser(client, {ENGINE: reference}, told.append).choose(ENGINE)
        assert (image.reference, image.digest, image.program) == (reference, digest, "valkey-server")
    assert told == [f"pulling the image {reference}"]
    assert registry.pulls == 1


def test_a_run_uses_it_and_tells_of_a_server_that_is_another(client: Any, registry: Registry, tmp_path: Path) -> None:
    digest = registry.add(client, engine_image(client).reference, "mine/hardened", "1")
    reference = f"{registry.address}/mine/hardened:1"
    options = Options(runtime="container", images=(f"mine={reference}",), engines=("mine",), out=tmp_path, keep=True)

    result = run(harness.load(PAIR), options)

    assert result.report["origins"] == dict.fromkeys("ab", f"image {reference}@{digest}")
    assert result.report["engines"] == dict.fromkeys("ab", ENGINE)
    assert result.report["notes"] == [
        f"node {node}: the server of image {reference} is {ENGINE}, not mine" for node in "ab"
    ]
    wrong = Options(runtime="container", images=(f"redis-7.0.15={reference}",), out=tmp_path)
    with pytest.raises(SetupError, match=rf"the server of image {reference} is {ENGINE}, not redis-7.0.15; name the"):
        run(harness.load(PAIR), wrong)


@pytest.mark.parametrize(("status", "said"), [(0, "manifest unknown"), (403, "not for you|denied"), (500, "")])
def test_why_an_image_can_not_be_had(client: Any, registry: Registry, status: int, said: str) -> None:
    registry.refuses = status
    reference = f"{registry.address}/mine/hardened:2"
    with pytest.raises(SetupError, match=rf"(?i)the image {reference} can't be pulled: .*({said})"):
        ImageChooser(client, {ENGINE: reference}).choose(ENGINE)
    with contextlib.suppress(docker.errors.ImageNotFound):
        client.images.get(reference)
        pytest.fail("something was left")


def test_an_image_without_a_server(client: Any, tmp_path: Path) -> None:
    proxy = toxiproxy_image(client)
    options = Options(runtime="container", images=(f"redis-7.0.15={proxy.reference}",), out=tmp_path)
    with pytest.raises(
        SetupError, match=rf"the image {proxy.reference} has no redis-server on its PATH, so it is no image of"
    ):
        run(harness.load(PAIR), options)
