"""Addresses for servers on this machine: each deployment has a loopback address of its own.

So ports can be exactly as written although runs go on side by side and somebody's server stands on 6379. Linux answers
on all of 127.0.0.0/8; a system that has only 127.0.0.1 gives that, and the ports as written then have to be free.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from harness.errors import SetupError

ONLY = "127.0.0.1"
_ATTEMPTS = 20
_LISTENING = "0A"


def own_address(ports: Sequence[int]) -> str:
    """A loopback address on which all these ports are free; SetupError names one that is not, and who has it."""
    host = ONLY
    for _ in range(_ATTEMPTS):
        host = _random_address()
        if (error := _obstacle(host, 0)) is not None and error.errno == errno.EADDRNOTAVAIL:
            host = ONLY
        obstacles = [(port, error) for port in ports if (error := _obstacle(host, port)) is not None]
        if not obstacles:
            return host
        if host == ONLY or obstacles[0][1].errno != errno.EADDRINUSE:
            break
    raise SetupError(_explain(host, *obstacles[0]))


def free_ports(host: str, count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((host, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def free_cluster_ports(host: str, count: int) -> list[int]:
    """The same for nodes of a cluster, each of which needs a second port for its bus, 10000 above."""
    found: list[int] = []
    taken: set[int] = set()  # also by the buses of those found
    candidates = iter(random.sample(range(20_000, 55_000), 1000))
    while len(found) < count:
        port = next(candidates, None)
        if port is None:
            raise SetupError(f"{host} has no {count} free ports that are free 10000 above as well")
        both = {port, port + 10_000}
        if not both & taken and all(_obstacle(host, each) is None for each in both):
            found.append(port)
            taken |= both
    return found


def holder_of(host: str, port: int) -> str | None:
    """The program that listens there, or on that port everywhere: "redis-server (process 123)"; None where that can't
    be seen.
    """
    sockets = _listening_sockets(host, port)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) in sockets for link in (folder / "fd").iterdir()):
                return f"{(folder / 'comm').read_text().strip()} (process {folder.name})"
        except OSError:  # another user's process, or one that has just ended
            continue
    return None


def refuses(host: str, port: int) -> bool:
    """Whether nobody listens there yet; asked with little work, since a server may be starting beside us."""
    with socket.socket() as probe:
        probe.setblocking(False)
        return probe.connect_ex((host, port)) == errno.ECONNREFUSED


def _random_address() -> str:
    chance = random.SystemRandom()
    return f"127.{chance.randint(1, 254)}.{chance.randint(1, 254)}.{chance.randint(2, 254)}"


def _obstacle(host: str, port: int) -> OSError | None:
    """Why a server couldn't listen there, None where it could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def _explain(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EACCES:
        return f"port {port}: this user may not listen on it; write a port from 1024 upwards, or use --ports any"
    if error.errno != errno.EADDRINUSE:
        return f"port {port} on {host}: {error.strerror}; --ports any uses ports that are free"
    by = holder_of(host, port)
    only = f" (this system has no loopback address but {ONLY} for it)" if host == ONLY else " on every loopback address"
    return f"port {port} is taken{only}{f' by {by}' if by else ''}; stop that, or use --ports any"


def _listening_sockets(host: str, port: int) -> set[str]:
    """The sockets that listen there, as they show among a process's open files."""
    found = set()
    (here,) = struct.unpack("=I", socket.inet_aton(host))
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            address, _, number = local.partition(":")
            everywhere = set(address) == {"0"}
            if state == _LISTENING and int(number, 16) == port and (everywhere or int(address[-8:], 16) == here):
                found.add(f"socket:[{rest[5]}]")
    return found
