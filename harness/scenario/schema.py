"""The JSON Schema of scenario files, for editors and for other programs that write them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from harness.scenario.model import Scenario
from harness.scenario.plan_model import Plan

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "Reference"
_TYPED = ("integer", "number", "boolean")


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12. Where a number, a boolean or a choice is expected, a text with ${VAR} is fine too."""
    return _schema_of(Scenario, "replication-harness scenario")


def plan_schema() -> dict[str, Any]:
    """The same of plan files."""
    return _schema_of(Plan, "replication-harness plan")


def _schema_of(model: type[BaseModel], title: str) -> dict[str, Any]:
    generated = model.model_json_schema()
    definitions = {name: _with_references(definition) for name, definition in generated.pop("$defs").items()}
    definitions[_REFERENCE] = {
        "type": "string",
        "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
        "description": "a value from the environment: ${NAME}, or ${NAME:-default}",
    }
    body: dict[str, Any] = _with_references(generated)
    return {"$schema": DIALECT, **body, "title": title, "$defs": definitions}


def _with_references(node: Any) -> Any:
    """The schema with a reference to the environment allowed in each place of a value that is not free text."""
    if isinstance(node, list):
        return [_with_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    if _is_value(node):
        about = {key: node[key] for key in ("description", "default", "title") if key in node}
        bare = {key: value for key, value in node.items() if key not in about}
        return {**about, "anyOf": [bare, {"$ref": f"#/$defs/{_REFERENCE}"}]}
    return {
        key: value if key in ("default", "propertyNames") else _with_references(value) for key, value in node.items()
    }


def _is_value(node: dict[str, Any]) -> bool:
    constrained = "enum" in node or "const" in node or "pattern" in node
    return node.get("type") in _TYPED or (node.get("type") == "string" and constrained)
