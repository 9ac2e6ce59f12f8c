"""What a Docker client meets on its way to the daemon, in words; apart from `daemon.py` because it loads that client.

A call that got no answer may still be carried out: whoever made something with it can't tell whether it is there.
"""

from __future__ import annotations

from typing import Any

import docker.errors
import requests.exceptions

from harness.errors import SetupError

DAEMON_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException)


class NoAnswerError(SetupError, docker.errors.DockerException):  # type: ignore[misc]  # its package has no types
    """The daemon gave no answer, or its connection broke."""


def in_words(client: Any) -> Any:
    """The same docker.DockerClient, whose calls raise NoAnswerError instead of what its HTTP library raises."""
    send = client.api.send

    def sent(request: Any, **options: Any) -> Any:
        try:
            return send(request, **options)
        except requests.exceptions.Timeout:
            raise NoAnswerError(
                f"the Docker daemon gave no answer within {client.api.timeout:g} s to {request.method} "
                f"{request.path_url.partition('?')[0]}: restart it, or use --runtime local"
            ) from None
        except requests.exceptions.RequestException as error:
            raise NoAnswerError(f"the Docker daemon's connection broke: {str(error)[:200]}") from None

    client.api.send = sent
    return client
