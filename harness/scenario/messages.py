"""What pydantic finds wrong, said in sentences of our own: the value, what is allowed, and the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.scenario.fields import HIDDEN, UnexpectedError, shown
from harness.scenario.model import ALTERNATIVES
from harness.scenario.scalars import Filled, Path
from harness.scenario.source import Source

_SECRET_KEYS = frozenset({"password"})


class Explainer:
    """Turns one model's validation errors into mistakes of a source. filled: what references were put into."""

    def __init__(self, model: type[BaseModel], source: Source, filled: Mapping[Path, Filled]) -> None:
        self._model, self._source, self._filled = model, source, filled

    def add(self, error: ValidationError) -> list[Path]:
        """Note every error; returns where they are."""
        found = [(_path(item["loc"], self._source.data), item) for item in error.errors(include_url=False)]
        for path, item in found:
            if item["type"] == "too_short" and any(_inside(other, path) for other, _ in found):
                continue  # pydantic counts the entries that are right
            if path in self._filled and self._filled[path].failed:
                continue
            self._note(path, item)
        return [path for path, _ in found]

    def _note(self, path: Path, item: Any) -> None:
        key = item["type"] == "extra_forbidden" or item["loc"][-1:] == ("[key]",)
        self._source.add(path, self._sentence(path, item), key=key)

    def _sentence(self, path: Path, item: Any) -> str:
        kind, value, context = item["type"], item["input"], item.get("ctx", {})
        if kind == "value_error":
            return self._own_sentence(path, context["error"])
        if kind == "missing":
            about = self._about(path)
            return f"this key is missing{f': {about}' if about else ''}"
        if kind == "extra_forbidden":
            return unknown_key(str(path[-1]), sorted(known_keys(self._model, path[:-1])))
        if kind in ("literal_error", "enum"):
            return self._not_one_of(path, value)
        if kind in ("too_short", "too_long"):
            return _wrong_length(kind, context)
        return UnexpectedError(_EXPECTED.get(kind, "another value"), value).sentence(self._shown(path, value))

    def _own_sentence(self, path: Path, error: Exception) -> str:
        if isinstance(error, UnexpectedError):
            return error.sentence(self._shown(path, error.value))
        return str(error)

    def _not_one_of(self, path: Path, value: object) -> str:
        allowed = _choices(self._model, path)
        near = nearest(value, allowed) if isinstance(value, str) else None
        expected = f"one of {', '.join(allowed)}" if len(allowed) > 1 else allowed[0]
        hint = f"; did you mean {near!r}?" if near else ""
        return UnexpectedError(expected, value, hint).sentence(self._shown(path, value))

    def _about(self, path: Path) -> str:
        schemas = list(_schemas_at(self._model, path))
        return str(schemas[0].get("description", "")) if schemas else ""

    def _shown(self, path: Path, value: object) -> str:
        if _SECRET_KEYS.intersection(map(str, path)):
            value = HIDDEN
        filled = self._filled.get(path)
        if filled is None or not filled.variables:
            return shown(value)
        names = ", ".join(f"${{{name}}}" for name in filled.variables)
        return f"{shown(HIDDEN if filled.secret else value)} (from {names})"


_MARKS = frozenset({*ALTERNATIVES, "[key]"})
_EXPECTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "string_type": "text",
}


def _path(location: Sequence[str | int], data: object) -> Path:
    """The place in the file: without the names of the models' alternatives, and without pydantic's mark of a key."""
    path: list[str | int] = []
    for part in location:
        is_there = isinstance(data, dict) and part in data
        if part in _MARKS and not is_there:
            continue
        path.append(part)
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            data = data[part]
    return tuple(path)


def _inside(path: Path, outer: Path) -> bool:
    return len(path) > len(outer) and path[: len(outer)] == outer


def _wrong_length(kind: str, context: Mapping[str, Any]) -> str:
    if kind == "too_short":
        return "at least one entry is needed; leave the key out where nothing is meant"
    return f"at most {context['max_length']} entries are allowed, not {context['actual_length']}"


def unknown_key(key: str, known: Sequence[str]) -> str:
    """The sentence about a key that nothing is called."""
    if near := nearest(key, known):
        return f"unknown key; did you mean {near!r}?"
    return f"unknown key; known here are {', '.join(known)}" if known else "unknown key"


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that looks most like this one, None where none does."""
    return next(iter(difflib.get_close_matches(word[:100], known, n=1)), None)


def known_keys(model: type[BaseModel], path: Path) -> set[str]:
    """The keys that a mapping at this path can have."""
    return {key for schema in _schemas_at(model, path) for key in schema.get("properties", {})}


def types_at(model: type[BaseModel], path: Path) -> set[str]:
    """JSON Schema's names of the types that a value at this path can have."""
    return {str(schema["type"]) for schema in _schemas_at(model, path) if "type" in schema}


def _choices(model: type[BaseModel], path: Path) -> list[str]:
    found: list[str] = []
    for schema in _schemas_at(model, path):
        found += [str(choice) for choice in schema.get("enum", [])]
        found += [str(schema["const"])] if "const" in schema else []
    return found


def _schemas_at(model: type[BaseModel], path: Path) -> Iterator[dict[str, Any]]:
    """Every alternative that the model's JSON Schema has for a value at this path."""
    root = _json_schema(model)
    found = list(_alternatives(root, root))
    for part in path:
        below = [inner for schema in found for inner in _below(schema, part)]
        found = [alternative for schema in below for alternative in _alternatives(schema, root)]
    yield from found


@cache
def _json_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _alternatives(schema: dict[str, Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema itself, or what its references and alternatives lead to; the description comes along."""
    branches = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
    if "$ref" in schema:
        branches.append(root["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    if not branches:
        yield schema
    about = {"description": schema["description"]} if "description" in schema else {}
    for branch in branches:
        for alternative in _alternatives(branch, root):
            yield alternative | about


def _below(schema: dict[str, Any], part: str | int) -> Iterator[dict[str, Any]]:
    if isinstance(part, int):
        if isinstance(schema.get("items"), dict):
            yield schema["items"]
        return
    properties = schema.get("properties", {})
    if part in properties:
        yield properties[part]
    elif isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]
    yield from schema.get("patternProperties", {}).values()
