"""The JSON Schema of what `harness compare --json` prints: every line is one of two kinds of object."""

from __future__ import annotations

from harness.compare.model import KINDS

_TEXT_OR_NUMBER = {"type": ["string", "integer", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_TEXTS = {"type": "array", "items": {"type": "string"}}

DIFFERENCE: dict[str, object] = {
    "title": "One kind of difference of one key",
    "type": "object",
    "required": ["db", "key", "type", "kind", "expected", "found", "count"],
    "additionalProperties": False,
    "properties": {
        "db": _COUNT,
        "key": {"type": "string", "description": "bytes that are not UTF-8 as \\xNN"},
        "type": {"type": "string"},
        "kind": {"enum": list(KINDS)},
        "index": {"type": "integer", "minimum": 0, "description": "of the first place, in a list or string"},
        "field": {"type": "string", "description": "the first field, member, id or group"},
        "expected": {**_TEXT_OR_NUMBER, "description": "what A has; null for nothing"},
        "found": {**_TEXT_OR_NUMBER, "description": "what B has; null for nothing"},
        "count": {"type": "integer", "minimum": 1, "description": "how many places differ like this"},
    },
}
_MOVING = {
    "type": "object",
    "required": ["db", "key", "type"],
    "additionalProperties": False,
    "properties": {"db": _COUNT, "key": {"type": "string"}, "type": {"type": "string"}},
}
_TOTALS = {
    "type": "object",
    "required": ["keys", "keys_b", "expired", "commands"],
    "additionalProperties": False,
    "properties": {"keys": _COUNT, "keys_b": _COUNT, "expired": _COUNT, "commands": _COUNT},
}
LAST: dict[str, object] = {
    "title": "The last line: the verdict and totals",
    "type": "object",
    "required": [
        *("version", "verdict", "exit_code", "a", "b", "part", "differences", "counts", "moving", "not_checked"),
        *("notes", "totals", "seconds"),
    ],
    "additionalProperties": False,
    "properties": {
        "version": {"const": 1},
        "verdict": {"enum": ["equal", "different", "unknown"]},
        "exit_code": {"enum": [0, 1, 6]},
        "a": {"type": "string"},
        "b": {"type": "string"},
        "part": {"type": ["string", "null"], "description": "which part was looked at; null for all"},
        "differences": _COUNT,
        "counts": {"type": "object", "propertyNames": {"enum": list(KINDS)}, "additionalProperties": _COUNT},
        "moving": {"type": "array", "items": _MOVING},
        "not_checked": _TEXTS,
        "notes": _TEXTS,
        "totals": _TOTALS,
        "seconds": {"type": "number", "minimum": 0},
    },
}
SCHEMA: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A line of harness compare --json",
    "oneOf": [DIFFERENCE, LAST],
}
