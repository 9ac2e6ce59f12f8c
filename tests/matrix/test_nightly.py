"""The nightly jobs: files that can be read, and commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.commands import engines, matrix

ROOT = Path(__file__).parents[2]
FILES = (".github/workflows/nightly.yml", ".gitlab/nightly.gitlab-ci.yml")


@pytest.mark.parametrize("name", FILES)
def test_the_job_calls_what_there_is(name: str) -> None:
    text = (ROOT / name).read_text()
    assert yaml.safe_load(text)
    known = {option for parameter in matrix.command.params for option in parameter.opts}
    called = re.search(r"harness matrix (.*?)\n *(?:- (?!-)|after_script|$)", text.replace("\\\n", " "), re.DOTALL)
    assert called
    used = set(re.findall(r"--[a-z-]+", called[1])) | {"--baseline"}
    assert used <= known
    assert {"--json", "--html", "--markdown", "--junit"} <= used
    assert "harness engines fetch --all --refresh" in text
    assert {"--all", "--refresh"} <= {option for parameter in engines.fetch_command.params for option in parameter.opts}


def test_the_same_by_hand() -> None:
    text = (ROOT / "tox.ini").read_text()
    assert "[testenv:matrix]" in text
    assert "harness matrix --features all --sync all" in text
