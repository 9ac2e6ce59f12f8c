"""Tests run over the engines that are installed; those in a user's cache would make the same tests take much longer."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest

if "HARNESS_CACHE" not in os.environ:
    os.environ["HARNESS_CACHE"] = tempfile.mkdtemp(prefix="harness-tests-cache-")
    atexit.register(shutil.rmtree, os.environ["HARNESS_CACHE"], ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "container: needs a Docker daemon")
    config.addinivalue_line("markers", "alone: holds a bound on time, so that it runs with no other test beside it")
