"""One server in a container of its own, through testcontainers: how it starts, ends and is asked for its log.

Its configuration, passwords included, comes as a file into the container before the server starts; nothing of it
stands in the environment, the arguments or the labels. Its log is a file in a folder of ours: what Docker itself
gathers arrives a moment later than what it tells of, and syncs are counted in the log.
"""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker.errors
import docker.types
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer, Reaper
from testcontainers.core.exceptions import ContainerConnectException
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID

from harness.engine.daemon import CALL_TIMEOUT_S, Client, explanation
from harness.engine.docker_calls import DAEMON_ERRORS, in_words
from harness.engine.images import Image
from harness.errors import SetupError
from harness.runtime.container_network import ContainerNetwork
from harness.runtime.loopback import holder_of
from harness.runtime.readiness import WaitedTooLongError, wait_until
from harness.runtime.server import STOP_S, Server
from harness.runtime.server_config import ServerPlan, server_config, sync_leftover

FOLDER = Path("/replication-harness")
_CONFIG = FOLDER / "server.conf"
_LOG = FOLDER / "log" / "server.log"
FILES_NOT_HERE = (
    "does this run inside a container, or the daemon inside a virtual machine? Run the harness where the daemon runs, "
    "give both the same folder for temporary files (TMPDIR), or use --runtime local"
)
_KILL_S = 10.0
CONFLICT, GONE = 409, 404


@dataclass(frozen=True)
class Place:
    """Where a container stands. ports: the container's, by the address of this machine at which they are published."""

    network: ContainerNetwork
    address: str
    labels: Mapping[str, str]
    name: str
    ports: Mapping[int, tuple[str, int]]


def new_container(image: Image, place: Place, **more: Any) -> DockerContainer:
    """Not yet started. It will run exactly the image that was found, whatever its name leads to by then."""
    container = DockerContainer(image.id, docker_client_kw={"timeout": CALL_TIMEOUT_S}, name=place.name)
    container.image = image.id  # a prefix for names of images is none for their content
    in_words(container.get_docker_client().client)
    for inside, outside in place.ports.items():
        container.ports[f"{inside}/tcp"] = outside  # type: ignore[assignment]  # its annotation forgets addresses
    return container.with_kwargs(labels=dict(place.labels), **place.network.endpoint(place.address), **more)


_ryuk_starts = threading.Lock()


def use_ryuk_where_at_hand(client: Client) -> dict[str, str]:
    """Have testcontainers' own reaper run, and return the label by which it finds networks too.

    Where its image is missing, which would fail every start, it is done without: our watchdog does the same work.
    Started before anything else, because containers that start side by side would each start one.
    """
    if "TESTCONTAINERS_RYUK_DISABLED" not in os.environ:
        there = client.images.list(name=testcontainers_config.ryuk_image)
        testcontainers_config.ryuk_disabled = not there
    if testcontainers_config.ryuk_disabled:
        return {}
    try:
        with _ryuk_starts:
            Reaper.get_instance()
    except (*DAEMON_ERRORS, OSError, TimeoutError, ContainerConnectException) as error:
        with contextlib.suppress(*DAEMON_ERRORS):
            Reaper.delete_instance()
        raise SetupError(
            f"Ryuk, of the image {testcontainers_config.ryuk_image}, does not start: {explanation(error)}; "
            "TESTCONTAINERS_RYUK_DISABLED=true does without it"
        ) from None
    return {LABEL_SESSION_ID: SESSION_ID}


class ContainerServer(Server):
    """program: the server's name on the image's PATH."""

    def __init__(self, plan: ServerPlan, image: Image, place: Place, program: str) -> None:
        super().__init__(plan, image.name, image.origin)
        self.place, self.image, self._program = place, image, program
        self._starts = 0
        # Unlike a volume, a mount is refused where the daemon doesn't see the folder, and no folder is made there.
        logs = docker.types.Mount(str(_LOG.parent), str(plan.folder), type="bind")
        confined = {"mounts": [logs], "security_opt": ["label=disable"]}  # SELinux: mounts are not relabelled
        self._container = new_container(image, place, entrypoint=[program], user="0:0", working_dir="/", **confined)
        self._container.with_command([str(_CONFIG)])
        self._created = self._apart = False
        self._said = self._logged = ""

    def start(self) -> None:
        self._starts += 1
        self.plan.folder.mkdir(exist_ok=True)
        self.plan.folder.chmod(0o777)  # root in there may be anybody here; the folder above is for this user only
        try:
            if not self._created:
                for path, content in self._files().items():
                    self._container.with_copy_into_container(content, path, 0o600)
                self._container.start()
                self._created = True
            else:
                self._raw.put_archive("/", _archive(self._files()))
                self._raw.start()
        except DAEMON_ERRORS as error:
            raise self._not_started(error) from None

    def _files(self) -> dict[str, bytes]:
        """A server that saves nothing begins in an empty folder each time: its last snapshot must not be loaded."""
        keeps = sync_leftover(replace(self.plan, folder=FOLDER)) is None
        folder = FOLDER / ("data" if keeps else f"data-{self._starts}")
        inside = replace(self.plan, host="0.0.0.0", folder=folder, log_elsewhere=_LOG)
        return {str(_CONFIG): server_config(inside).encode(), str(folder / ".made"): b""}

    def _not_started(self, error: Exception) -> SetupError:
        said = explanation(error)
        host, port = self.plan.host, self.plan.port
        if "bind source path does not exist" in said:
            said = f"the Docker daemon doesn't see this process's files ({self.plan.folder}): {FILES_NOT_HERE}"
        elif "already allocated" in said or "already in use" in said:
            by = holder_of(host, port)
            said = f"port {port} on {host} is taken{f' by {by}' if by else ''}; use --ports any"
        elif "executable file not found" in said or "no such file or directory" in said:
            said = (
                f"the image {self.image.reference} has no {self._program} on its PATH, so it is no image of such a "
                f"server; --image {self.image.name}=REFERENCE gives another one"
            )
        return SetupError(f"node {self.plan.node.name}: its container can't be started: {said}")

    @property
    def _raw(self) -> Any:
        return self._container.get_wrapped_container()

    def pid(self) -> int:
        """Of its first process, as the daemon's machine numbers it; 0 where it does not run."""
        state = self._state()
        return int(state["Pid"]) if state else 0

    def _state(self) -> Mapping[str, Any] | None:
        """As the daemon tells it now; None where the container is gone."""
        with _unless(GONE):
            self._raw.reload()
            state: Mapping[str, Any] = self._raw.attrs["State"]
            return state
        return None

    def ended(self, wait_s: float) -> str | None:
        if self._container._container is None:
            return "was not started"
        try:
            return wait_until(self._how_ended, deadline_s=wait_s, what="its end")
        except WaitedTooLongError:
            return None

    def _how_ended(self) -> str | None:
        state = self._state()
        if state is None:
            return "was removed by somebody else, with its container"
        if state["Status"] in ("running", "paused", "restarting", "created"):
            return None
        return f"ended with exit code {state['ExitCode']}{' (out of memory)' if state.get('OOMKilled') else ''}"

    def pause(self) -> None:
        if cause := self.death():
            raise SetupError(cause)
        with _unless(CONFLICT):  # it is paused already
            self._raw.pause()

    def resume(self) -> None:
        if cause := self.death():
            raise SetupError(cause)
        with _unless(CONFLICT):  # it was not paused
            self._raw.unpause()

    def kill(self) -> None:
        if self._container._container is not None:
            self._thaw()
            with _unless(CONFLICT, GONE):  # it has ended
                self._raw.kill()
            wait_until(self._how_ended, deadline_s=_KILL_S, what=f"the container of {self.plan.node.name} to end")

    def stop(self) -> None:
        if self._container._container is not None:
            self._thaw()
            with _unless(GONE):
                self._raw.stop(timeout=int(STOP_S))

    def _thaw(self) -> None:
        """Docker ends nothing that is frozen."""
        with _unless(CONFLICT, GONE, 500):
            self._raw.unpause()

    def partition(self) -> None:
        """Out of the network, its published port included: nobody reaches it, and it reaches nobody."""
        if not self._apart:
            with _unless():
                self.place.network.disconnect(self._container.get_container_id())
            self._apart = True

    def rejoin(self) -> None:
        """Back, at the same address and port."""
        if self._apart:
            with _unless():
                self.place.network.connect(self._container.get_container_id(), self.place.address)
            self._apart = False

    def log(self) -> str:
        """What it said before it knew its log, and the log."""
        if self._container._container is not None:
            with _unless(GONE):
                self._said = self._raw.logs().decode("utf-8", "replace")
        if self.plan.log.exists():
            self._logged = self.plan.log.read_text(encoding="utf-8", errors="replace")
        return self._said + self._logged

    def remove(self) -> None:
        """The container with all that it wrote; its log stays readable. Nothing where it is gone."""
        if self._container._container is not None:
            self.log()
        try:
            with _unless(GONE, CONFLICT):  # 409: its removal is under way
                self._container.stop(force=True, delete_volume=True)
            self._container._container = None
        finally:
            self._container.get_docker_client().client.close()


@contextmanager
def _unless(*codes: int) -> Iterator[None]:
    """Whatever Docker refuses with one of these codes has happened already."""
    try:
        yield
    except docker.errors.APIError as error:
        if error.status_code not in codes:
            raise SetupError(explanation(error)) from None


def _archive(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
