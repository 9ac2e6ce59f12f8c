"""Docker for tests: which of them need it, and what is in it before and after.

A machine without Docker passes with these tests skipped; in CI, and in the tox environment `containers`, they fail.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from harness.engine.daemon import daemon
from harness.engine.images import Image, ImageChooser
from harness.engine.toxiproxy_image import build_image, build_program, find_program, image_at_hand
from harness.errors import SetupError

ENGINE = "valkey-9.1.2"


@lru_cache(maxsize=1)
def why_no_docker() -> str:
    try:
        with daemon():
            return ""
    except SetupError as error:
        return str(error)


def must_be_tested() -> bool:
    """Whether a part of containers that is missing fails a test, instead of skipping it."""
    return bool(os.environ.get("CI") or os.environ.get("HARNESS_TEST_CONTAINERS"))


def require_docker() -> None:
    """Skip the test where no daemon answers; fail it where containers have to be tested."""
    if reason := why_no_docker():
        if must_be_tested():
            pytest.fail(f"containers have to be tested here: {reason}")
        pytest.skip(reason)


def engine_image(client: Any, name: str = ENGINE) -> Image:
    return ImageChooser(client, {}).choose(name)


def toxiproxy_image(client: Any) -> Image:
    """Skips the test where there is neither an image, nor a program to make one of, nor Go to make that."""
    program = os.environ.get("HARNESS_TOXIPROXY_SERVER")
    if program:
        return build_image(client, Path(program))
    if found := image_at_hand(client):
        return found
    try:
        return build_image(client, find_program() or build_program())
    except SetupError as error:
        if must_be_tested():
            pytest.fail(str(error))
        pytest.skip(str(error))


def inventory(client: Any, ours: str = "") -> dict[str, list[str]]:
    """Names of all containers, networks and volumes. ours: only those of the run or owner with this label, which no
    volume carries: `volumes_of` a container are looked for by their names.
    """
    filters = {"label": ours} if ours else {}
    found = {
        "containers": sorted(each["Id"] for each in client.api.containers(all=True, filters=filters)),
        "networks": sorted(each["Id"] for each in client.api.networks(filters=filters)),
    }
    return found if ours else {**found, "volumes": volumes(client)}


NOTHING: dict[str, list[str]] = {"containers": [], "networks": []}


def volumes(client: Any) -> list[str]:
    return sorted(each["Name"] for each in client.api.volumes()["Volumes"] or ())


def volumes_of(container: Any) -> set[str]:
    container.reload()
    return {mount["Name"] for mount in container.attrs["Mounts"] if mount["Type"] == "volume"}


@contextmanager
def image_with_volume(client: Any) -> Iterator[Image]:
    """The engine's image with a volume of its own for each container, as published ones have it."""
    plain = engine_image(client)
    tag = f"{os.getpid()}-{secrets.token_hex(4)}"
    container = client.containers.create(plain.reference)
    try:
        made = container.commit("replication-harness-test/volume", tag=tag, changes="VOLUME /data")
    finally:
        container.remove()
    try:
        yield replace(plain, reference=made.tags[0], id=made.id, digest=made.id)
    finally:
        client.images.remove(made.tags[0])


@contextmanager
def docker_client() -> Iterator[Any]:
    require_docker()
    with daemon() as client:
        yield client
