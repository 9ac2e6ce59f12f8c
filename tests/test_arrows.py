"""Imports point downward. What is pure stays pure, and what must not know of something can't."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "harness"

# Modules that may touch the outside world: sockets, clocks, processes, servers, containers.
IMPURE = {
    "asyncio",
    "docker",
    "redis",
    "requests",
    "select",
    "socket",
    "ssl",
    "subprocess",
    "testcontainers",
    "threading",
    "time",
}

PURE = (
    "topology.py",
    "history.py",
    "kinds.py",
    "values.py",
    "scores.py",
    "replication.py",
    "replication_log.py",
    "endpoint/allowed.py",
    "scenario",
    "checker",
    "fault/toxic.py",
    "fault/schedule.py",
    "resp/encode.py",
    "compare/detail.py",
    "compare/model.py",
    "acceptance/model.py",
    "acceptance/feeding.py",
    "engine/differences.py",
    "matrix/cells.py",
    "matrix/features",
    "resp/replies.py",
    "plan.py",
)

# folder or file -> what it must never import, directly
FORBIDDEN = {
    "checker": "runtime endpoint resp fault workload report",
    "scenario": "runtime resp fault workload report engine",
    "runtime": "workload report checker.judge checker.list_order",
    "fault": "workload report checker.judge checker.list_order",
    "report": "runtime fault workload endpoint",
    "resp": "runtime workload report fault scenario",
    "compare": "runtime fault workload scenario checker acceptance",
    "acceptance": "fault workload scenario",
    "engine": "runtime scenario report matrix",
    "matrix": "report commands workload fault",
}
# Only the runner's own side of the house may know everything.
KNOW_ALL = {
    "__init__.py",
    "__main__.py",
    "api.py",
    "bench",
    "cli.py",
    "commands",
    "cycle.py",
    "observation.py",
    "plan_run.py",
    "property_run.py",
    "pytest_plugin.py",
    "runner.py",
    "stage.py",
    "up.py",
}


def modules(place: str) -> list[Path]:
    path = PACKAGE / place
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports when it runs; what stands under TYPE_CHECKING does not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("place", PURE)
def test_pure_modules_touch_nothing_outside(place: str) -> None:
    names = {(path.name, name) for path in modules(place) for name in imports(path)}
    found = {f"{file} imports {name}" for file, name in names if name.split(".")[0] in IMPURE}
    assert not found


@pytest.mark.parametrize("place", FORBIDDEN)
def test_imports_point_downward(place: str) -> None:
    found = {
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules(place)
        for name in imports(path)
        if name.startswith(tuple(f"harness.{forbidden}" for forbidden in FORBIDDEN[place].split()))
    }
    assert not found


def test_only_the_top_knows_the_runner() -> None:
    found = {
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in KNOW_ALL
        for name in imports(path)
        if name in ("harness.runner", "harness.stage", "harness.cycle", "harness.cli")
    }
    assert not found


def test_the_wire_words_for_roles_stand_in_one_place() -> None:
    allowed = {"resp/replication_info.py", "replication_log.py", "scenario/directives.py"}
    found = {
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in PACKAGE.rglob("*.py")
        if str(path.relative_to(PACKAGE)) not in allowed
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if "slave" in line.lower() or "master_" in line.lower()
    }
    assert not found
