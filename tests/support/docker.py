"""Docker for tests: which of them need it, and what is in it before and after.

A machine without Docker passes with these tests skipped; in CI, and in the tox environment `containers`, they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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


def require_docker() -> None:
    """Skip the test where no daemon answers; fail it where containers have to be tested."""
    if reason := why_no_docker():
        if os.environ.get("CI") or os.environ.get("HARNESS_TEST_CONTAINERS"):
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
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def inventory(client: Any, ours: str = "") -> dict[str, list[str]]:
    """Names of all containers, networks and volumes; ours: only those of the run or owner with this label."""
    filters = {"label": ours} if ours else {}
    return {
        "containers": sorted(each["Id"] for each in client.api.containers(all=True, filters=filters)),
        "networks": sorted(each["Id"] for each in client.api.networks(filters=filters)),
        "volumes": sorted(each["Name"] for each in client.api.volumes(filters=filters)["Volumes"] or ()),
    }


NOTHING: dict[str, list[str]] = {"containers": [], "networks": [], "volumes": []}


@contextmanager
def docker_client() -> Iterator[Any]:
    require_docker()
    with daemon() as client:
        yield client
