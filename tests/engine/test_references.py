"""References of images, as --image gives them: each mistake with one message, and no password in any."""

from __future__ import annotations

import pytest

from harness.engine.references import checked_reference, given_images
from harness.errors import UsageError

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "reference",
    [
        "redis",
        "redis:7.0.15",
        "valkey/valkey:9.1.2-alpine",
        "localhost:5000/a/b__c/d-e:1",
        "Registry.example:443/redis",
        "[::1]:5000/redis:1",
        f"redis@{DIGEST}",
        f"registry.example/redis:7@{DIGEST}",
        DIGEST,
        "0123456789ab",
    ],
)
def test_what_an_image_can_be_called(reference: str) -> None:
    assert given_images([f"redis-7.0.15={reference}"]) == {"redis-7.0.15": reference}


@pytest.mark.parametrize(
    "reference", ["UPPER/Bad:ref:x", "redis:", "/redis", "a b", "redis@sha256:0", "-x", "redis:7/"]
)
def test_what_it_can_not_be_called(reference: str) -> None:
    with pytest.raises(UsageError, match=r"--image redis-7.0.15: no image can be called '.*'; expected \[HOST"):
        given_images([f"redis-7.0.15={reference}"])


@pytest.mark.parametrize(
    "text",
    [
        "redis-7.0.15=user:hunter2@registry.example/redis:1",
        f"redis-7.0.15=user:hunter2@registry.example/redis:1@{DIGEST}",
        "redis-7.0.15=hunter2@x@registry.example/redis:1",
        "user:hunter2@registry.example/redis:1",
        "-x=user:hunter2@registry.example/redis:1",
    ],
)
def test_a_password_is_not_shown(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        given_images([text])
    assert "hunter2" not in str(caught.value)
    assert "***@" in str(caught.value)


def test_other_mistakes() -> None:
    with pytest.raises(UsageError, match=r"--image -x=y: '-x' is no engine name; expected one like redis-7.0.15"):
        given_images(["-x=y"])
    with pytest.raises(UsageError, match=r"--image valkey=b: valkey is given as a already; give it once"):
        given_images(["valkey=a", "valkey=b"])
    with pytest.raises(UsageError, match=r"engines\.yaml: mine: .* holds a login"):
        checked_reference("me:hunter2@x/y", "engines.yaml: mine")
