"""This repository's own defaults for pytest. The plugin registers itself; it is not registered here again."""

from __future__ import annotations

import re

import pytest

pytest_plugins = ["pytester"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked slow runs when it is asked for: by `-m slow`, or by naming its file."""
    if re.search(r"\bslow\b", config.option.markexpr):
        return
    named = {argument.partition("::")[0] for argument in config.args}
    slow = [item for item in items if item.get_closest_marker("slow") and not _is_named(item, named)]
    if slow:
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


def _is_named(item: pytest.Item, named: set[str]) -> bool:
    return any((item.config.invocation_params.dir / name).resolve() == item.path for name in named)
