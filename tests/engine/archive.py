"""Whether Debian's archive can be had on this machine; CI must have it, elsewhere its tests are skipped."""

from __future__ import annotations

import os
import shutil
import socket
from functools import lru_cache
from urllib.parse import urlsplit

import pytest

from harness.engine.apt_root import KEYRING, find_archive
from harness.errors import SetupError

needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None or not KEYRING.exists(), reason="this is no Debian")


@lru_cache(maxsize=1)
def _why_not() -> str:
    try:
        parts = urlsplit(find_archive().mirror)
        if parts.hostname is not None:
            socket.create_connection((parts.hostname, parts.port or 80), timeout=5).close()
    except (SetupError, OSError) as error:
        return f"Debian's archive can't be had here: {error}"
    return ""


def require_archive() -> None:
    """Skip the test where there is no archive; under CI it fails."""
    if reason := _why_not():
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
