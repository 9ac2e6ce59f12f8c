"""An engine that is only to be had as a container image, as a process among the matrix's warm servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import run_command_line
from harness.runtime.image_program import program_of
from tests.support.docker import docker_client, engine_image

pytestmark = pytest.mark.container


def test_an_image_of_a_users_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with docker_client() as client:
        image = engine_image(client)
        before = {each.id for each in client.containers.list(all=True)}
        monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
        program = program_of(client, image)
        assert str(program).startswith(str(tmp_path))
        assert program_of(client, image) == program
        assert not [
            each
            for each in client.containers.list(all=True)
            if each.id not in before and "unpack" in each.labels.values()
        ]
    file = tmp_path / "engines.yaml"
    file.write_text(f'engines:\n  mine: {{image: "{image.reference}"}}\n')
    given = ("--engines-file", str(file), "--pair", "mine:mine", "--features", "list,scripts", "--sync", "full_disk")
    assert run_command_line(["matrix", *given]) == 0
    assert "2 ok; each as the rules say" in capsys.readouterr().out
