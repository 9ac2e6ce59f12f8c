"""What the API answers to a request that it does not carry out."""

from __future__ import annotations


class RefusedError(Exception):
    """status: HTTP status; message: Toxiproxy's own wording, so that clients that read it find what they know."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message
