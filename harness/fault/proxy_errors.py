"""What can go wrong between the harness and a fault proxy; apart from the client, which takes long to load."""

from __future__ import annotations

from harness.errors import SetupError


class ProxyRefusedError(SetupError):
    """The fault proxy did not do what it was asked to. status: HTTP status; reason: its own words."""

    def __init__(self, server: str, request: str, status: int, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(f"the fault proxy at {server} refused {request}: {reason} (HTTP {status})")


class ProxyUnreachableError(SetupError):
    """The fault proxy gave no answer. gone: nothing listens at its address any more, so its proxies are gone too."""

    def __init__(self, server: str, request: str, reason: str, *, gone: bool) -> None:
        self.gone = gone
        super().__init__(f"the fault proxy at {server} did not answer {request}: {reason}; is it running?")
