"""A user's own `engines.yaml`: programs by name, as --engine-path gives them, kept in a file.

engines:
  mine: {path: /opt/redis/bin/redis-server}
  redis-7.2.5: {image: "redis:7.2.5"}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.engine.catalogue import is_name
from harness.engine.references import checked_reference
from harness.errors import UsageError

FILE = "engines.yaml"
_FORM = "expected `NAME: {path: PROGRAM}` or `NAME: {image: REFERENCE}`"


@dataclass(frozen=True)
class OwnEngines:
    """By name: programs, and container images' references."""

    paths: Mapping[str, Path]
    images: Mapping[str, str]


def read_own_engines(path: Path) -> OwnEngines:
    """UsageError names the file, the line or entry, and what was expected. Paths are relative to the file."""
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}; expected a list of engines") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where}: no YAML: {getattr(error, 'problem', error)}") from None
    entries = told.get("engines") if isinstance(told, dict) else None
    if not isinstance(entries, dict) or set(told) != {"engines"}:
        raise UsageError(f"{path}: expected one key, `engines`, with entries below it; {_FORM}")
    paths, images = {}, {}
    for name, entry in entries.items():
        if not isinstance(name, str) or not is_name(name):
            raise UsageError(f"{path}: {name!r} is no engine name; expected one like redis-7.0.15")
        if not isinstance(entry, dict) or [type(value) for value in entry.values()] != [str]:
            raise UsageError(f"{path}: {name}: {entry!r}; {_FORM}")
        if "path" in entry:
            paths[name] = path.parent / Path(entry["path"]).expanduser()
        elif "image" in entry:
            images[name] = checked_reference(entry["image"], f"{path}: {name}")
        else:
            raise UsageError(f"{path}: {name}: unknown key {next(iter(entry))!r}; {_FORM}")
    return OwnEngines(paths, images)
