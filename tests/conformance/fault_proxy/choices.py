"""Which fault proxies the conformance suite runs over, and the reason where one of them is not to be had."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

from tests.support.docker import must_be_tested

Add = Callable[..., str]  # add(kind, attributes, back=False, toxicity=1.0) -> the toxic's name

REAL = os.environ.get("HARNESS_TOXIPROXY_SERVER") or shutil.which("toxiproxy-server")


def choice(kind: str) -> str:
    """What `open_fault_proxy` is to be given for it; skips the test where there is no toxiproxy-server."""
    if kind == "embedded":
        return kind
    if REAL is None:
        reason = "no toxiproxy-server on PATH, and HARNESS_TOXIPROXY_SERVER is not set"
        if must_be_tested():
            pytest.fail(f"{reason}; this suite must run over the real one too")
        pytest.skip(reason)
    return REAL
