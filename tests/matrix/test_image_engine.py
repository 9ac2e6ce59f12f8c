"""An engine that is only to be had as a container image, as a process among the matrix's warm servers."""

from __future__ import annotations

import errno
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from harness.cli import run_command_line
from harness.errors import SetupError
from harness.runtime.image_program import program_of
from harness.runtime.labels import OWNER
from tests.support.docker import NOTHING, docker_client, engine_image, image_with_volume, inventory, volumes, volumes_of

pytestmark = pytest.mark.container


@pytest.mark.parametrize("broken", [False, True])
def test_unpacking_leaves_neither_container_nor_volume(
    broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    labels: dict[str, str] = {}
    left: set[str] = set()
    export = Container.export

    def watched(container: Any) -> Any:
        labels.update(container.labels)
        left.update(volumes_of(container))
        if broken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return export(container)

    monkeypatch.setattr(Container, "export", watched)
    with docker_client() as client, image_with_volume(client) as image:
        with pytest.raises(SetupError, match="No space left on device") if broken else nullcontext():
            program_of(client, image)
        assert inventory(client, f"{OWNER}={labels[OWNER]}") == NOTHING
        assert len(left) == 1
        assert not left & set(volumes(client))


def test_an_image_of_a_users_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    with docker_client() as client:
        image = engine_image(client)
        program = program_of(client, image)
        assert str(program).startswith(str(tmp_path))
        assert program_of(client, image) == program
    file = tmp_path / "engines.yaml"
    file.write_text(f'engines:\n  mine: {{image: "{image.reference}"}}\n')
    given = ("--engines-file", str(file), "--pair", "mine:mine", "--features", "list,scripts", "--sync", "full_disk")
    assert run_command_line(["matrix", *given]) == 0
    assert "2 ok; each as the rules say" in capsys.readouterr().out
