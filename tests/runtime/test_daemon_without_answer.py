"""A daemon that gives no answer half-way: one clear error, and what it makes all the same is removed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engine.daemon import daemon
from harness.engine.images import Image
from harness.errors import SetupError
from harness.runtime.container import ContainerRuntime
from harness.runtime.owner import Owner
from harness.topology import Node, Topology
from tests.support.fake_daemon import Answer, fake_daemon, greeting

IMAGE = Image("valkey-9.1.2", "valkey/valkey:9.1.2", "sha256:1", 1, "sha256:1", "valkey-server")
NETWORK = {"Id": "n" * 64, "Name": "n", "Labels": {}, "IPAM": {"Config": [{"Subnet": "198.18.7.0/24"}]}}


def deployed() -> None:
    """One node, in as little time as a client is patient for."""
    with daemon() as client, Owner() as owner:
        client.api.timeout = 0.5
        ContainerRuntime(client, lambda node: IMAGE, "any", owner).deploy(Topology({"a": Node("a", 6379)}))


class Late:
    """Gives no answer to the making of a network, but makes it, and removes it when told to."""

    def __init__(self) -> None:
        self.there = False

    def __call__(self, method: str, path: str) -> Answer:
        match method, path:
            case "GET", "/containers/json" | "/images/json":
                return 200, []
            case "POST", "/networks/create":
                self.there = True
                return None
            case "GET", "/networks":
                return 200, [NETWORK] if self.there else []
            case "DELETE", _:
                self.there = False
                return 204, None
        return greeting(path)


def test_what_was_made_without_an_answer_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = Late()
    with fake_daemon(tmp_path / "s", late, monkeypatch) as asked:
        with pytest.raises(SetupError, match=r"gave no answer within 0\.5 s to POST /v1\.41/networks/create: restart"):
            deployed()
        assert f"DELETE /networks/{NETWORK['Id']}" in asked.asked
    assert not late.there


def hangs_at(*paths: str) -> Callable[[str, str], Answer]:
    def answers(method: str, path: str) -> Answer:
        if path in paths:
            return None
        return greeting(path) or (200, [])

    return answers


def test_a_daemon_that_only_says_that_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after the two minutes that a call may take."""
    began = time.monotonic()
    with (
        fake_daemon(tmp_path / "s", hangs_at("/containers/json", "/info"), monkeypatch),
        pytest.raises(SetupError, match=r"accepts connections but gave no answer within 3 s: restart it"),
    ):
        deployed()
    assert time.monotonic() - began < 60


def test_what_the_daemon_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(method: str, path: str) -> Answer:
        return (500, {"message": "layer does not exist"}) if path == "/images/json" else greeting(path) or (200, [])

    with (
        fake_daemon(tmp_path / "s", answers, monkeypatch),
        pytest.raises(SetupError, match=r"the Docker daemon refuses: layer does not exist"),
        daemon() as client,
    ):
        client.images.list()
