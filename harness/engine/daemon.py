"""The Docker daemon of this machine: found and asked within a deadline, or why not and what to do, in one sentence.

Only a daemon that is reached through a Unix socket will do: ports that another machine publishes on its loopback are
out of our reach.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from harness.errors import SetupError

DEFAULT_SOCKET = "/var/run/docker.sock"
ANSWERS_WITHIN_S = 3
CALL_TIMEOUT_S = 120


class NoDockerError(SetupError):
    """Nothing says that there is a Docker daemon: nobody names one, and its usual socket is not there."""


Client = Any  # docker.DockerClient, whose package carries no types


def socket_path() -> str:
    """The daemon's Unix socket, as DOCKER_HOST or Docker's current context names it. SetupError for a remote daemon."""
    host, said_by = os.environ.get("DOCKER_HOST", ""), "DOCKER_HOST"
    if not host:
        from testcontainers.core.docker_client import get_docker_host

        host, said_by = get_docker_host() or "", "Docker's current context, or .testcontainers.properties"
    if host and not host.startswith("unix://"):
        raise SetupError(_not_a_socket(host, said_by))
    return host.removeprefix("unix://") or DEFAULT_SOCKET


def _not_a_socket(host: str, said_by: str) -> str:
    if "://" not in host:
        return (
            f"{said_by} holds no address of a Docker daemon: expected unix:///PATH of its socket; correct or unset it"
        )
    if _is_loopback(host):
        return (
            f"{said_by} names a daemon that is reached through TCP ({_shown(host)}); only one behind a Unix socket "
            "is known to be this machine's: give unix:///PATH of its socket, or unset it"
        )
    return (
        f"{said_by} names a daemon on another machine ({_shown(host)}); nodes in containers are reached on "
        "this machine's loopback only: unset it, or run the harness on that machine"
    )


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in ("localhost", "::1") or host.startswith("127.")


def _shown(url: str) -> str:
    """Scheme, host and port: the rest may hold credentials."""
    try:
        parts = urlsplit(url)
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        host = f"{name}:{parts.port}" if parts.port else name
    except ValueError:
        host = None
    return f"{parts.scheme}://{host}" if host else "a form that is not shown, since it may hold a password"


def open_daemon() -> Client:
    """A client of the daemon, which has answered; close it. SetupError with what to do where there is none."""
    path = socket_path()
    if reason := _unreachable(path):
        is_named = bool(os.environ.get("DOCKER_HOST")) or path != DEFAULT_SOCKET
        raise SetupError(reason) if is_named or os.path.lexists(path) else NoDockerError(reason)
    import docker

    from harness.engine.docker_calls import DAEMON_ERRORS, in_words

    client = None
    try:
        client = docker.DockerClient(base_url=f"unix://{path}", version="auto", timeout=ANSWERS_WITHIN_S)
        client.ping()
        client.api.containers(limit=1)  # a daemon that hangs may still answer that it is there
    except DAEMON_ERRORS as error:
        if client is not None:
            client.close()
        raise SetupError(_unanswered(path, error)) from None
    client.api.timeout = CALL_TIMEOUT_S
    return in_words(client)


@contextmanager
def daemon() -> Iterator[Client]:
    """The same until the end of a `with` block. What the daemon refuses there is a SetupError."""
    client = open_daemon()
    import docker.errors

    try:
        yield client
    except docker.errors.DockerException as error:
        if isinstance(error, SetupError):
            raise
        raise SetupError(f"the Docker daemon refuses: {explanation(error)}") from None
    finally:
        client.close()


def _unreachable(path: str) -> str:
    """Why nobody can be asked at this socket; "" where somebody listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(ANSWERS_WITHIN_S)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return (
                f"no Docker daemon listens on {path}: start it (systemctl start docker, or dockerd), "
                "or use --runtime local"
            )
        except PermissionError:
            return (
                f"this user may not use the Docker daemon's socket {path}: join its group (usermod -aG docker USER, "
                "then log in again), or use --runtime local"
            )
        except OSError as error:
            return f"the Docker daemon's socket {path} can't be used: {error.strerror or error}"
    return ""


def _unanswered(path: str, error: Exception) -> str:
    if "timed out" in str(error).lower():
        return (
            f"the Docker daemon behind {path} accepts connections but gave no answer within {ANSWERS_WITHIN_S} s: "
            "restart it, or use --runtime local"
        )
    return (
        f"the Docker daemon behind {path} doesn't answer as one: {str(error)[:200]}; restart it, or use --runtime local"
    )


def explanation(error: Exception) -> str:
    """What the daemon said, in one line, and what to do where that is known."""
    text = " ".join(str(getattr(error, "explanation", None) or error).split())
    if "no space left on device" in text:
        return f"{text}; the daemon's disk is full: docker system prune shows what can go"
    return text
