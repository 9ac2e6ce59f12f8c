"""Addresses as Toxiproxy reads them ("host:port"), with its wording for what is wrong with one."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

BACKLOG: Final = 4096  # connections that may wait to be accepted


class AddressError(Exception):
    """Not an address, a name that nobody knows, or one that cannot be listened on; str() is Toxiproxy's message."""


def split_host_port(address: str) -> tuple[str, int]:
    """("127.0.0.1", 6379), brackets around IPv6 removed; host "" means every address of the machine."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        raise AddressError(f"address {address}: missing port in address")
    if host.startswith("["):
        if not host.endswith("]"):
            raise AddressError(f"address {address}: missing ']' in address")
        host = host[1:-1]
    elif ":" in host:
        raise AddressError(f"address {address}: too many colons in address")
    return host, _port_number(port)


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def resolve(address: str) -> tuple[str, int]:
    """The address with its host as a number (IPv4 where there is a choice), or "" for every address."""
    if not address:
        return "", 0
    host, port = split_host_port(address)
    return await _number_of(host) if host else "", port


def listen_on(host: str, port: int) -> socket.socket:
    """A listening socket on a resolved address; AddressError with the system's reason otherwise."""
    bound = socket.socket(*_family(host))
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not host and bound.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((host, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        reason = os.strerror(error.errno or 0).lower()
        raise AddressError(f"listen tcp {join_host_port(host, port)}: bind: {reason}") from None
    return bound


def bound_address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return join_host_port(host, port)


def _family(host: str) -> tuple[socket.AddressFamily, socket.SocketKind]:
    wants_ipv6 = ":" in host or (not host and socket.has_dualstack_ipv6())
    return socket.AF_INET6 if wants_ipv6 else socket.AF_INET, socket.SOCK_STREAM


def _port_number(port: str) -> int:
    if not port:
        return 0
    if port.isascii() and port.removeprefix("-").isdigit():
        if not 0 <= int(port) <= 65535:
            raise AddressError(f"address {port}: invalid port")
        return int(port)
    try:
        return socket.getservbyname(port, "tcp")
    except (OSError, UnicodeError):
        raise AddressError(f"lookup tcp/{port}: unknown port") from None


async def _number_of(host: str) -> str:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, host))
        except (OSError, ValueError):
            continue  # a name then
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise AddressError(f"lookup {host}: no such host") from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])
