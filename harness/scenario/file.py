"""What every kind of file of ours has in common on its way from data to typed values: kind, version, environment,
the model, and for each mistake a sentence with its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.errors import Mistake
from harness.scenario.environment import Environment
from harness.scenario.fields import UnexpectedError
from harness.scenario.messages import Explainer, nearest
from harness.scenario.model import VERSION
from harness.scenario.overrides import Override, apply
from harness.scenario.scalars import Filled
from harness.scenario.scalars import Path as Place
from harness.scenario.source import Source

# kind: what is done with such a file
KINDS: Mapping[str, str] = {"scenario": "harness run", "plan": "harness accept"}
MAX_MISTAKES = 100  # shown of one file


@dataclass
class File:
    """One file on its way through the steps; whatever is wrong is added to the source's mistakes."""

    path: Path
    source: Source
    environment: Environment

    def begun(self, kind: str, options: Sequence[Override]) -> bool:
        """Apply the options; whether this is a file of this kind and of a version that can be read."""
        if self.source.mistakes and self.source.data is None:
            return False
        for option in options:
            apply(self.source, option)
        data = self.source.data
        if not isinstance(data, dict):
            self.source.add((), str(UnexpectedError("a mapping that begins with version: 1", data)))
            return False
        return self._is_of(kind, data) and self._version_is_known(data)

    def _is_of(self, kind: str, data: dict[str, Any]) -> bool:
        written = data.get("kind", "scenario")
        if written == kind:
            return True
        if not isinstance(written, str) or written not in KINDS:
            near = nearest(written, list(KINDS)) if isinstance(written, str) else None
            hint = f"; did you mean {near!r}?" if near else ""
            self.source.add(("kind",), str(UnexpectedError(" or ".join(KINDS), written, hint)))
        else:
            self.source.add(("kind",), f"expected a {kind}, not a {written}; `{KINDS[written]}` takes such files")
        return False

    def _version_is_known(self, data: dict[str, Any]) -> bool:
        version = data.setdefault("version", None)
        if type(version) is int and version == VERSION:
            return True
        if version is None:
            self.source.add(("version",), f"this key is missing; write version: {VERSION}")
            data["version"] = VERSION
            return True
        newer = type(version) is int and version > VERSION
        hint = "; this file is for a newer replication-harness" if newer else ""
        self.source.add(("version",), str(UnexpectedError(str(VERSION), version, hint)))
        return False

    def validated(
        self, model: type[BaseModel], filled: Mapping[Place, Filled], standing_in: Mapping[str, Any]
    ) -> tuple[Any, set[str]]:
        """The typed values, and the names of those sections that are wrong (something stands in for them)."""
        data: Any = self.source.data
        try:
            return model.model_validate(data), set()
        except ValidationError as error:
            wrong = {str(path[0]) for path in Explainer(model, self.source, filled).add(error)}
        right = {name: value for name, value in data.items() if name in model.model_fields and name not in wrong}
        return model.model_validate({**standing_in, **right}), wrong


def shortened(source: Source) -> list[Mistake]:
    """The file's mistakes from its top to its end, the first hundred of them."""
    mistakes = sorted(source.mistakes, key=_place)
    rest = len(mistakes) - MAX_MISTAKES
    more = [Mistake(source.file, "", f"and {rest} more mistakes")] if rest > 0 else []
    return mistakes[:MAX_MISTAKES] + more


def _place(mistake: Mistake) -> tuple[int, int]:
    """Line and column; what comes from an option is first."""
    match = re.search(r":([0-9]+):([0-9]+)$", mistake.where)
    return (int(match[1]), int(match[2])) if match else (0, 0)
