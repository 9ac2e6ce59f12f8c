"""One small scenario that is right, and how tests get at what is wrong with a changed one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from harness.errors import ScenarioError
from harness.scenario.loader import LoadedScenario, load

GOOD = """\
version: 1
title: One replica
topology:
  nodes:
    a: {port: 6379}
    b: {replica_of: a}
workload: {key: "numbers:list", values: 100}
"""

Load = Callable[..., LoadedScenario]
Mistakes = Callable[..., list[str]]


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Loads a text or bytes as the file "s.yaml"."""

    def load_it(
        text: str | bytes, overrides: Sequence[str] = (), environ: Mapping[str, str] = {}, **how: bool
    ) -> LoadedScenario:
        path = tmp_path / "s.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(path, overrides, environ, **how)

    return load_it


@pytest.fixture
def mistakes(load_text: Load, tmp_path: Path) -> Mistakes:
    """The lines of the error that a text leads to, with the file called "s.yaml"; [] where it is right."""

    def mistakes_of(text: str | bytes, overrides: Sequence[str] = (), environ: Mapping[str, str] = {}) -> list[str]:
        try:
            load_text(text, overrides, environ)
        except ScenarioError as error:
            return str(error).replace(f"{tmp_path}/", "").split("\n")
        return []

    return mistakes_of
