"""testcontainers' reaper: used where its image is at hand, done without where it is not. Here by a stand-in."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import Reaper
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID

from harness.errors import SetupError
from harness.runtime.container import ContainerRuntime
from harness.runtime.container_server import use_ryuk_where_at_hand
from harness.runtime.labels import OWNER
from harness.runtime.owner import Owner
from harness.runtime.readiness import wait_until
from harness.topology import Node, Topology
from tests.support.docker import docker_client, engine_image

NAME = f"replication-harness-test/ryuk-{os.getpid()}"
PAIR = Topology({"a": Node("a", 6379), "b": Node("b", 6380, replica_of="a")})
STAND_IN = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(8080)};
    int listening = socket(AF_INET, SOCK_STREAM, 0), one = 1, asked;
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&at, sizeof at) || listen(listening, 8)) return 1;
    dprintf(1, "Ryuk stand-in Started!\n");
    while ((asked = accept(listening, 0, 0)) >= 0) {
        char text[4096];
        ssize_t length;
        while ((length = read(asked, text, sizeof text)) > 0) {
            dprintf(1, "told: %.*s\n", (int)length, text);
            dprintf(asked, "ACK\n");
        }
        close(asked);
    }
}
"""

pytestmark = [pytest.mark.container, pytest.mark.alone]  # there is one Ryuk for all that run beside each other


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("TESTCONTAINERS_RYUK_DISABLED", raising=False)
    monkeypatch.setattr(testcontainers_config, "ryuk_image", f"{NAME}:1")
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", testcontainers_config.ryuk_disabled)
    with docker_client() as opened:
        yield opened


def made(client: Any, folder: Path, program: str) -> None:
    """An image that holds this C program alone."""
    (folder / "ryuk.c").write_text(program)
    compiled = folder / "ryuk"
    subprocess.run(["cc", "-static", "-O1", "-o", compiled, folder / "ryuk.c"], check=True, timeout=120)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(compiled, arcname="ryuk")
    client.api.import_image_from_data(
        packed.getvalue(), repository=NAME, tag="1", changes=['ENTRYPOINT ["/ryuk"]', "EXPOSE 8080"]
    )


@pytest.fixture
def removed(client: Any) -> Iterator[None]:
    """Afterwards neither its container is there nor its image."""
    yield
    with contextlib.suppress(docker.errors.APIError):
        Reaper.delete_instance()
    name = f"testcontainers-ryuk-{SESSION_ID}"
    wait_until(
        lambda: not client.containers.list(all=True, filters={"name": name}, ignore_removed=True),
        deadline_s=60,
        what="Ryuk to go",
    )
    client.images.remove(f"{NAME}:1", force=True)


def test_it_is_used_where_its_image_is_at_hand(client: Any, removed: None, tmp_path: Path) -> None:
    made(client, tmp_path, STAND_IN)
    image = engine_image(client)
    with Owner() as owner:
        runtime = ContainerRuntime(client, lambda node: image, "written", owner)
        with runtime.deploy(PAIR), runtime.deploy(PAIR):
            (ryuk,) = client.containers.list(filters={"ancestor": f"{NAME}:1"})
            told = f"told: label={LABEL_SESSION_ID}={SESSION_ID}"
            wait_until(lambda: told in ryuk.logs().decode(), deadline_s=30, what="Ryuk to be told")
            ours = {"label": [f"{OWNER}={owner.marker}", f"{LABEL_SESSION_ID}={SESSION_ID}"]}
            assert len(client.containers.list(filters=ours)) == 4
            assert len(client.networks.list(filters=ours)) == 2


def test_one_that_does_not_start_is_told(client: Any, removed: None, tmp_path: Path) -> None:
    made(client, tmp_path, "int main(void) { return 3; }")
    with pytest.raises(SetupError, match=rf"Ryuk, of the image {NAME}:1, does not start: .*RYUK_DISABLED=true does"):
        use_ryuk_where_at_hand(client)


def test_it_is_done_without_where_its_image_is_missing(client: Any) -> None:
    image = engine_image(client)
    with Owner() as owner:
        runtime = ContainerRuntime(client, lambda node: image, "written", owner)
        with runtime.deploy(PAIR):
            assert testcontainers_config.ryuk_disabled
            assert client.containers.list(filters={"name": "testcontainers-ryuk"}) == []
            (network,) = client.networks.list(filters={"label": f"{OWNER}={owner.marker}"})
            assert LABEL_SESSION_ID not in network.attrs["Labels"]
