"""The lag curve of a run on disk: a JSON line a sample, seconds since sampling began, node, lag in ms, offset."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Self

VERSION = 1


class LagWriter:
    """Appends samples to a file as they come."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1 << 16)
        self._file.write(json.dumps({"version": VERSION, "kind": "lag"}) + "\n")

    def add(self, seconds: float, node: str, lag_ms: float, offset: int) -> None:
        self._file.write(f"[{seconds:.4f}, {json.dumps(node)}, {lag_ms:.2f}, {offset}]\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
