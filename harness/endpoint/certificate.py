"""A throw-away certificate authority, and one server certificate of it, for simulated endpoints that speak TLS.

Made by the `openssl` program: Python's standard library can use certificates, but makes none.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SetupError

_DAYS = "7"
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Certificate:
    """server: PEM file with the key and certificate of the endpoint; authority: PEM file for its clients."""

    server: Path
    authority: Path


def make_certificate(folder: Path, hosts: tuple[str, ...]) -> Certificate:
    """Make both files in this folder, for these names and addresses. SetupError where the machine can't.

    The authority's key is removed at once: nobody can sign anything else with it.
    """
    program = shutil.which("openssl")
    if program is None:
        raise SetupError("a simulated endpoint with TLS needs the program openssl, and there is none on PATH")
    key, authority, own_key = folder / "authority.key", folder / "authority.pem", folder / "server.key"
    request, certificate, server = folder / "server.csr", folder / "server.crt", folder / "server.pem"
    extensions = folder / "server.ext"
    extensions.write_text(f"subjectAltName={','.join(map(_name, hosts))}\nextendedKeyUsage=serverAuth\n")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    subject = ("-subj", "/CN=throw-away authority of replication-harness")
    ca_extensions = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    try:
        to_authority = ("-keyout", key, "-out", authority, "-days", _DAYS)
        _openssl(program, "req", "-x509", *new_key, *to_authority, *subject, *ca_extensions)
        _openssl(program, "req", "-new", *new_key, "-keyout", own_key, "-out", request, "-subj", f"/CN={hosts[0]}")
        signed = ("-in", request, "-CA", authority, "-CAkey", key, "-CAcreateserial", "-extfile", extensions)
        _openssl(program, "x509", "-req", *signed, "-out", certificate, "-days", _DAYS)
        with os.fdopen(os.open(server, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(own_key.read_text() + certificate.read_text())
    finally:
        for leftover in (key, own_key, request, certificate, extensions, folder / "authority.srl"):
            leftover.unlink(missing_ok=True)
    return Certificate(server, authority)


def _name(host: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        return f"DNS:{host}"


def _openssl(program: str, *arguments: str | Path) -> None:
    before = os.umask(0o077)
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    finally:
        os.umask(before)
    if done.returncode:
        raise SetupError(f"openssl can't make a certificate: {done.stderr.strip()[-500:]}")
