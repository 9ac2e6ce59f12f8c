"""A matrix as a JSON object, and back: what --json writes, --baseline reads, and the schema describes.

Log lines occur in many cells, so they stand once, under `lines`, and a cell's evidence is a list of their numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.matrix.cells import Anomaly, Cell, EngineFacts, Expectation, Key, Matrix, Outcome

VERSION = 1
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_OUTCOME = {"enum": [outcome.value for outcome in Outcome]}


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "required": list(properties), "properties": properties, "additionalProperties": False}


SCHEMA: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A compatibility matrix",
    **_object(
        {
            "version": {"const": VERSION},
            "date": _TEXT,
            "command": _TEXT,
            "seconds": {"type": "number"},
            "jobs": {"type": "integer"},
            "notes": _TEXTS,
            "engines": {
                "type": "array",
                "items": _object(
                    {
                        **dict.fromkeys(("name", "family", "version", "origin"), _TEXT),
                        "features": _TEXTS,
                        "lacks": _TEXTS,
                    }
                ),
            },
            "cells": {
                "type": "array",
                "items": _object(
                    {
                        **dict.fromkeys(("primary", "replica", "feature", "sync"), _TEXT),
                        "outcome": _OUTCOME,
                        "expected": _OUTCOME,
                        "also": {"type": "array", "items": _OUTCOME},
                        "reason": _TEXT,
                        "seconds": {"type": "number"},
                        "replay": _TEXT,
                        "rule": _TEXT,
                        "rule_reason": _TEXT,
                        "source": _TEXT,
                        "anomalies": {"type": "array", "items": _object({"kind": _TEXT, "what": _TEXT})},
                        "old_data": {"enum": [True, False, None]},
                        "unmet": {"type": "boolean"},
                        "evidence": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                    }
                ),
            },
            "lines": _TEXTS,
        }
    ),
}


def as_json(matrix: Matrix) -> dict[str, object]:
    """The object; SCHEMA describes it."""
    lines: dict[str, int] = {}
    cells = [_cell(cell, lines) for cell in matrix.cells]
    return {
        "version": VERSION,
        "date": matrix.date,
        "command": matrix.command,
        "seconds": round(matrix.seconds, 3),
        "jobs": matrix.jobs,
        "notes": list(matrix.notes),
        "engines": [
            {
                **{name: getattr(engine, name) for name in ("name", "family", "version", "origin")},
                "features": list(engine.features),
                "lacks": list(engine.lacks),
            }
            for engine in matrix.engines
        ],
        "cells": cells,
        "lines": list(lines),
    }


def _cell(cell: Cell, lines: dict[str, int]) -> dict[str, object]:
    return {
        "primary": cell.key.primary,
        "replica": cell.key.replica,
        "feature": cell.key.feature,
        "sync": cell.key.sync,
        "outcome": cell.outcome.value,
        "expected": cell.expected.outcome.value,
        "also": [outcome.value for outcome in cell.expected.also],
        "reason": cell.reason,
        "seconds": cell.seconds,
        "replay": cell.replay,
        "rule": cell.expected.rule,
        "rule_reason": cell.expected.reason,
        "source": cell.expected.source,
        "anomalies": [{"kind": anomaly.kind, "what": anomaly.what} for anomaly in cell.anomalies],
        "old_data": cell.old_data,
        "unmet": cell.unmet,
        "evidence": [lines.setdefault(line, len(lines)) for line in cell.evidence],
    }


def write(matrix: Matrix, path: Path) -> None:
    path.write_text(json.dumps(as_json(matrix), separators=(",", ":")) + "\n", encoding="utf-8")


def read(path: Path) -> Matrix:
    """UsageError in one line where the file is no matrix, or names a cell twice."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected a file that `harness matrix --json` wrote") from None
    except ValueError as error:
        raise UsageError(f"{path}: no JSON ({error}); expected a file that `harness matrix --json` wrote") from None
    if not isinstance(told, dict) or told.get("version") != VERSION:
        version = told.get("version") if isinstance(told, dict) else type(told).__name__
        raise UsageError(f"{path}: version {version!r}; this harness reads matrices of version {VERSION}")
    try:
        matrix = _matrix(told)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else "a value in it is of another kind"
        raise UsageError(f"{path}: no matrix ({what}); expected a file that `harness matrix --json` wrote") from None
    seen: set[Key] = set()
    for cell in matrix.cells:
        if cell.key in seen:
            raise UsageError(f"{path}: the cell {cell.key} stands there twice; one matrix has each cell once")
        seen.add(cell.key)
    return matrix


def _matrix(told: dict[str, Any]) -> Matrix:
    engines = tuple(
        EngineFacts(
            _text(one["name"]),
            _text(one["family"]),
            _text(one["version"]),
            _text(one["origin"]),
            features=tuple(one["features"]),
            lacks=tuple(one["lacks"]),
        )
        for one in told["engines"]
    )
    lines = told["lines"]
    cells = tuple(_cell_of(one, lines) for one in told["cells"])
    notes = tuple(told["notes"])
    return Matrix(engines, cells, str(told["date"]), str(told["command"]), told["seconds"], told["jobs"], notes)


def _cell_of(one: dict[str, Any], lines: list[str]) -> Cell:
    also = tuple(map(Outcome, one["also"]))
    expected = Expectation(Outcome(one["expected"]), one["rule"], one["rule_reason"], one["source"], also)
    return Cell(
        Key(*(_text(one[name]) for name in ("primary", "replica", "feature", "sync"))),
        Outcome(one["outcome"]),
        expected,
        _text(one["reason"]),
        tuple(Anomaly(each["kind"], each["what"]) for each in one["anomalies"]),
        one["old_data"],
        one["seconds"],
        tuple(lines[number] for number in one["evidence"]),
        _text(one["replay"]),
        bool(one.get("unmet", False)),  # not in the files of before it was told
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
