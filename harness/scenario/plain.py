"""A scenario as plain data and as YAML text, such that the loader reads the same scenario again."""

from __future__ import annotations

from typing import Any

import yaml

from harness.scenario.environment import password_references
from harness.scenario.model import Scenario
from harness.scenario.scalars import escaped, typed

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def plain(scenario: Scenario) -> dict[str, Any]:
    """Everything that the scenario says, with defaults; of a password only a reference to the environment."""
    data: dict[str, Any] = _escape(scenario.model_dump(mode="json", exclude_none=True, by_alias=True))
    nodes = scenario.topology.nodes
    references = password_references({name: node.password for name, node in nodes.items() if node.password})
    for name, node in data["topology"].get("nodes", {}).items():
        node.pop("password", None)
        if name in references:
            node["password"] = references[name]
    return data


def _escape(value: Any) -> Any:
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, list):
        return [_escape(item) for item in value]
    if isinstance(value, dict):
        return {key: _escape(item) for key, item in value.items() if item not in ([], {})}
    return value


def as_yaml(data: dict[str, Any]) -> str:
    """The data of `plain` as the text of a scenario file."""
    text: str = yaml.dump(
        data, Dumper=_ScenarioDumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110
    )
    return text


class _ScenarioDumper(_Dumper):  # type: ignore[misc]
    """Quotes every text that our own reader would take for something else; PyYAML goes by YAML 1.1."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _quoted_where_needed(dumper: Any, text: str) -> Any:
    style = None if typed(text) is text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_ScenarioDumper.add_representer(str, _quoted_where_needed)
