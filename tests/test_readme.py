"""The README keeps its promises that can be checked without running anything."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from harness.exit_codes import exit_code_table
from harness.scenario.loader import load

ROOT = Path(__file__).parent.parent


def test_the_exit_codes_are_the_codes_in_use() -> None:
    assert exit_code_table() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_scenario_loads(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    file = tmp_path / "example.yaml"
    file.write_text(blocks[0], encoding="utf-8")
    assert load(file).scenario.title == yaml.safe_load(blocks[0])["title"]


def test_every_document_that_is_linked_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
