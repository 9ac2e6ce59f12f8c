"""All eight engines against each other: the table that was measured by hand. Fetches from Debian's archive."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.cli import run_command_line
from tests.engine.archive import require_archive
from tests.matrix.measured import ENGINES, FEEDS, FIELD_TTL_REFUSED

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    require_archive()
    folder = tmp_path_factory.mktemp("matrix")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", os.environ.get("HARNESS_MATRIX_CACHE", str(folder / "cache")))
        assert run_command_line(["engines", "fetch", "--all"]) == 0
        file = folder / "m.json"
        chosen = ("--engines", ",".join(ENGINES), "--features", "list,hash,sorted_set,stream,ttl,hash_field_ttl")
        assert run_command_line(["matrix", *chosen, "--json", str(file)]) == 0
    found: list[dict[str, object]] = json.loads(Path(file).read_text())["cells"]
    return found


def outcomes(cells: list[dict[str, object]], primary: str, replica: str, *features: str) -> set[object]:
    """What was tried between two engines."""
    return {
        cell["outcome"]
        for cell in cells
        if (cell["primary"], cell["replica"]) == (primary, replica) and cell["feature"] in features
    } - {"n/a"}


def test_the_measured_table(cells: list[dict[str, object]]) -> None:
    small = ("list", "hash", "sorted_set", "stream", "ttl")
    for primary in ENGINES:
        for replica, fed in zip(ENGINES, FEEDS[primary], strict=True):
            assert outcomes(cells, primary, replica, *small) == {"ok" if fed else "refused"}, (primary, replica)


def test_the_two_facts_about_fields_that_expire(cells: list[dict[str, object]]) -> None:
    fed = {name for name in ENGINES if outcomes(cells, "valkey-9.1.2", name, "hash_field_ttl") == {"ok"}}
    assert fed == set(ENGINES) - FIELD_TTL_REFUSED
    assert "crashed" in outcomes(cells, "redis-8.0.6", "redict-7.3.6", "hash_field_ttl")
    assert any("Unknown RDB encoding type" in str(cell["reason"]) for cell in cells if cell["outcome"] == "crashed")
