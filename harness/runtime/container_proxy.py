"""The real Toxiproxy in a container on the deployment's network, between primary and replica.

It is reached at its own address in that network, not through a published port: Docker would accept connections there
even while a link is cut.
"""

from __future__ import annotations

from typing import Any

import docker.errors

from harness.engine.daemon import explanation
from harness.engine.docker_calls import DAEMON_ERRORS
from harness.engine.images import Image
from harness.errors import SetupError
from harness.fault.toxiproxy import FaultProxy
from harness.runtime.container_server import CONFLICT, GONE, Place, new_container

API_PORT = 8474
_LAST_LINES = 5


class ProxyContainer:
    """fault.proxy_process.RunningProxy, as a container."""

    def __init__(self, image: Image, place: Place) -> None:
        self.what = f"the Toxiproxy of {image.reference}"
        self.address = place.address
        self._container = new_container(image, place)
        self._container.with_command(["-host", "0.0.0.0", "-port", str(API_PORT)])
        try:
            self._container.start()
        except BaseException as error:
            self.stop()
            if isinstance(error, DAEMON_ERRORS):
                raise SetupError(f"{self.what} can't be started: {explanation(error)}") from None
            raise

    @property
    def url(self) -> str:
        return f"http://{self.address}:{API_PORT}"

    def why_ended(self) -> str:
        """How it ended and what it said last; "" while it runs."""
        raw: Any = self._container.get_wrapped_container()
        try:
            raw.reload()
        except docker.errors.NotFound:
            return f"{self.what} was removed by somebody else, with its container"
        if raw.status == "running":
            return ""
        lines = raw.logs().decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
        code = raw.attrs["State"]["ExitCode"]
        return f"{self.what} ended with code {code}; its last lines:\n" + "\n".join(lines or ["(none)"])

    def stop(self) -> None:
        """Nothing where it is gone, or on its way."""
        try:
            self._container.stop(force=True, delete_volume=True)
        except docker.errors.APIError as error:
            if error.status_code not in (GONE, CONFLICT):
                raise SetupError(f"{self.what} can't be removed: {explanation(error)}") from None
        finally:
            self._container.get_docker_client().client.close()


def open_proxy(image: Image, place: Place) -> FaultProxy:
    """A fault proxy that goes with its container."""
    process = ProxyContainer(image, place)
    try:
        return FaultProxy(process.url, where=image.origin, process=process, version=image.name.partition("-")[2])
    except BaseException:
        process.stop()
        raise
