"""The certificates of simulated endpoints: checked by the library that uses them, made without any program."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from harness.endpoint.certificate import Certificate, make_certificate


def shake_hands(made: Certificate, name: str, authority: Path) -> str | None:
    """The protocol that both sides agree on, over a pair of sockets."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.server)
    client = ssl.create_default_context(cafile=authority)
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    theirs.settimeout(30)

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as one:
                one.recv(1)
        except (OSError, ssl.SSLError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname=name) as one:
            one.sendall(b"x")
            return one.version()
    finally:
        thread.join()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_clients_accept_it_for_its_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    made = make_certificate(tmp_path, ("127.0.0.1", "localhost", "127.0.0.1"))
    assert shake_hands(made, name, made.authority) == "TLSv1.3"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["authority.pem", "server.pem"]
    assert stat.S_IMODE(made.server.stat().st_mode) == 0o600
    assert b"PRIVATE KEY" not in made.authority.read_bytes()


def test_they_refuse_another_name_and_another_authority(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    made, other = make_certificate(first, ("127.0.0.1",)), make_certificate(second, ("127.0.0.1",))
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        shake_hands(made, "127.0.0.2", made.authority)
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        shake_hands(made, "127.0.0.1", other.authority)
