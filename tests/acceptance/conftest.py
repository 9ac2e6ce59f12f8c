from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.endpoint.address import Endpoint
from tests.support.scripted import Client, ScriptedServer

EXPIRED = Path(__file__).parent / "certificates" / "expired.pem"


@pytest.fixture
def expired() -> Iterator[Endpoint]:
    """An endpoint whose certificate is trusted but for its date."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(EXPIRED)

    def serve(client: Client) -> None:
        try:
            context.wrap_socket(client.socket.dup(), server_side=True).close()
        except (ssl.SSLError, OSError):
            return  # a client that does not trust us

    with ScriptedServer(serve) as server:
        yield Endpoint("127.0.0.1", server.endpoint.port, tls=True, ca_file=str(EXPIRED))
