"""How far a comparison has come, in a file, so that after a kill the same command goes on where it was.

The file is replaced as a whole, and only by states in which nothing is open: what it says is done was compared, and
what was found until then stands in it.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.compare.model import Finding, Subject, Totals
from harness.compare.work import Found, Large
from harness.errors import UsageError

VERSION = 1
SCANNED = "end"  # in place of a cursor: the shard's pages are all begun


@dataclass
class Progress:
    """about: what must be the same to go on (see `resume`). place: phase ("a", "b"), database, shard; cursor of the
    next page; large: values of the page before that are not done; done: no more first looks are needed.
    """

    about: dict[str, Any] = field(default_factory=dict)
    phase: str = "a"
    db: int = 0
    shard: int = 0
    cursor: str = "0"
    begun: bool = False
    done: bool = False
    large: list[Large] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    uncounted: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)

    def begin_shard_anew(self) -> None:
        """Go on at the first page of the shard that was under way: the cursors of a server that hides its run_id may
        be those of another one, behind the same address.
        """
        if self.begun and not self.done and (self.cursor != "0" or self.large):
            self.cursor, self.large = "0", []
            self.notes.append(
                f"--state: a server hides its run_id, so that its cursors may be another's: database {self.db} of "
                f"shard {self.shard} was begun anew, and its keys are counted again"
            )


def save(path: Path, progress: Progress) -> None:
    """Replace the file. Only its owner may read it: it holds values that differ."""
    try:
        _replace(path, progress)
    except OSError as error:
        raise UsageError(f"--state {path}: it can't be written: {error.strerror}") from None


def _replace(path: Path, progress: Progress) -> None:
    data = {"version": VERSION, **vars(progress), "totals": vars(progress.totals)}
    data["large"] = [_large(item) for item in progress.large]
    data["found"] = [_found(each) for each in progress.found]
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def resume(path: Path, about: dict[str, Any]) -> Progress:
    """What the file says; a fresh start where there is none. UsageError where it belongs to another comparison."""
    if not path.exists():
        return Progress(about)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data.pop("version")
        stored = data["about"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"--state {path}: this is no state of a comparison ({error}); name another file") from None
    if version != VERSION:
        raise UsageError(f"--state {path}: its version is {version}, {VERSION} was expected; name another file")
    for name, value in about.items():
        if stored.get(name) != value:
            raise UsageError(
                f"--state {path}: it belongs to another comparison: {name} "
                f"were {stored.get(name)!r}, now {value!r}; name another file, or remove it to begin anew"
            )
    try:
        return _read(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"--state {path}: it is damaged ({error!r}); remove it to begin anew") from None


def _read(data: dict[str, Any]) -> Progress:
    data["large"] = [_read_large(each) for each in data["large"]]
    data["found"] = [_read_found(each) for each in data["found"]]
    unchecked = {name: (count, key, why) for name, (count, key, why) in data["totals"].pop("unchecked").items()}
    data["totals"] = Totals(**data["totals"], unchecked=unchecked)
    return Progress(**data)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _value(value: bytes | int | None) -> Any:
    return {"b": _text(value)} if isinstance(value, bytes) else value


def _read_value(value: Any) -> bytes | int | None:
    return base64.b64decode(value["b"]) if isinstance(value, dict) else value


def _subject(subject: Subject) -> list[Any]:
    return [subject.db, _text(subject.key), subject.kind]


def _read_subject(stored: list[Any]) -> Subject:
    return Subject(stored[0], base64.b64decode(stored[1]), stored[2])


def _large(item: Large) -> dict[str, Any]:
    data = {**vars(item), "subject": _subject(item.subject)}
    return {**data, "findings": _findings(item.findings), "frames": [list(frame) for frame in item.frames]}


def _read_large(stored: dict[str, Any]) -> Large:
    frames = [(int(length), str(digest)) for length, digest in stored.pop("frames")]
    findings = _read_findings(stored.pop("findings"))
    return Large(_read_subject(stored.pop("subject")), frames=frames, findings=findings, **stored)


def _found(each: Found) -> list[Any]:
    return [_subject(each.subject), _findings(each.findings), each.expires_at, each.excused]


def _read_found(stored: list[Any]) -> Found:
    return Found(_read_subject(stored[0]), _read_findings(stored[1]), *stored[2:])


def _findings(findings: list[Finding]) -> list[Any]:
    return [[each.kind, _value(each.at), _value(each.expected), _value(each.found), each.count] for each in findings]


def _read_findings(stored: list[Any]) -> list[Finding]:
    return [Finding(kind, *map(_read_value, rest)) for kind, *rest in stored]  # type: ignore[arg-type]
