"""The run directory: the evidence of one run, written before it is judged, so that it can be judged again.

    runs/<scenario>/<UTC time>-<run id>/
        run.json        version, run id, scenario, when it began
        scenario.yaml   as resolved; references to the environment stay references
        ledger/         what was sent and how each command ended, a file a stream
        readings/       what each node sent when it was read, as runs of consecutive values
        evidence.json   everything else that a verdict rests on       facts.json  where and with what it ran
        faults.jsonl    each fault as it really happened              lag.jsonl   lag samples
        info/ logs/     INFO before and after, server logs
        verdict.json    report.json    replay.sh

No secret is ever written on purpose; logs and INFO, whose text is the servers', pass through `hide` all the same.
"""

from __future__ import annotations

import json
import os
import re
import secrets as random
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from harness.checker.evidence import Evidence, Reading, Stream
from harness.checker.verdict import Verdict
from harness.errors import UsageError
from harness.history import Acknowledged, Entry, Ledger, read_ledger
from harness.report.facts import RunFacts
from harness.report.readings import read_runs, write_runs

VERSION = 1
HIDDEN = "<hidden>"
_T = TypeVar("_T")


class RunDirectory:
    """One run's directory. Names of nodes and streams become file names; `secrets` never reach a file through it."""

    def __init__(self, path: Path, run_id: str, secrets: Collection[str] = (), name: str = "") -> None:
        self.path = path
        self.run_id = run_id
        self.name = name  # the scenario's
        self._above: tuple[Path, ...] = ()  # folders that go with it when nothing else is in them, the innermost first
        spellings = {spelling for secret in secrets if secret for spelling in (secret, quote(secret, safe=""))}
        longest_first = sorted(spellings, key=len, reverse=True)
        self._secret = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    @classmethod
    def create(cls, out: Path, scenario: str, run_id: str, secrets: Collection[str] = ()) -> RunDirectory:
        """Make a new directory, readable by its owner only, under out/<scenario>. scenario: its name, "a/b" nests."""
        parent = out.joinpath(*(quote(part, safe=" ") for part in scenario.split("/") if part not in ("", ".", "..")))
        above = _between(parent, out)[: -1 if out.exists() else None]
        path = _make_unique(parent, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{quote(run_id, safe='')}")
        directory = cls(path, run_id, secrets, scenario)
        directory._above = above
        directory._begin()
        return directory

    @classmethod
    def open(cls, path: Path, out: Path | None = None) -> RunDirectory:
        """A directory that an earlier run left; UsageError where it is none, or of a version that can't be read.

        out: where run directories go, if `discard` shall remove what else it leaves empty there.
        """
        if not (path / "run.json").is_file():
            raise UsageError(f"{path} is no run directory (it has no run.json); a report names its own as run_dir")
        began = cls(path, "")._load_json("run.json")
        directory = cls(path, str(began.get("run_id", "")), name=str(began.get("scenario", "")))
        directory._above = _between(path.parent, out)[:-1] if out else ()
        return directory

    def part(self, name: str) -> RunDirectory:
        """A run directory inside this one, as for a property's failed draw ("draws/17")."""
        path = self.path.joinpath(*name.split("/"))
        path.mkdir(parents=True, mode=0o700)
        inner = RunDirectory(path, self.run_id, name=self.name)
        inner._secret = self._secret
        inner._begin()
        return inner

    # Where the run itself writes.

    def ledger(self, stream: str) -> Path:
        return self.path / "ledger" / f"{_file_name(stream)}.jsonl"

    def readings(self, node: str, stream: str) -> Path:
        return self.path / "readings" / f"{_file_name(stream)}@{_file_name(node)}.jsonl"

    @property
    def lag(self) -> Path:
        return self.path / "lag.jsonl"

    @property
    def scenario(self) -> Path:
        return self.path / "scenario.yaml"

    @property
    def reproduce(self) -> Path:
        """The scenario file that shows a property's smallest failing draw."""
        return self.path / "reproduce.yaml"

    # What is saved through it.

    def save_scenario(self, text: str) -> None:
        """The scenario as resolved, with references to the environment unresolved."""
        self.scenario.write_text(text, encoding="utf-8")

    def save_info(self, node: str, when: str, text: str) -> None:
        """A node's INFO; when: "before" or "after"."""
        self._save_text(Path("info") / f"{_file_name(node)}.{when}.txt", text)

    def save_log(self, node: str, text: str) -> None:
        self._save_text(Path("logs") / f"{_file_name(node)}.log", text)

    def save_facts(self, facts: RunFacts) -> None:
        self._save_json("facts.json", {"facts": _plain(facts)})

    def save_evidence(self, evidence: Evidence) -> None:
        """Everything but the callables, which become files here where they are none yet."""
        for stream in evidence.streams:
            if not self.ledger(stream.name).exists():
                _write_ledger(self.ledger(stream.name), stream.entries())
        for reading in evidence.readings:
            if not self.readings(reading.node, reading.stream).exists():
                write_runs(self.readings(reading.node, reading.stream), reading.runs())
        self._save_lines("faults.jsonl", (_plain(fault) for fault in evidence.faults))
        self._save_json("evidence.json", {"evidence": _plain(evidence)})

    def save_verdict(self, verdict: Verdict) -> None:
        self._save_json("verdict.json", {"verdict": _plain(verdict)})

    def save_report(self, report: Mapping[str, object]) -> None:
        """The object of `harness run --json`, which carries its own version."""
        _write_json(self.path / "report.json", report)

    def save_replay(self, command: str) -> None:
        """A file that runs the same again from wherever it lies, `sh replay.sh`; command: as the report gave it."""
        text = f'#!/bin/sh\n# {command}\nexec harness replay "$(dirname -- "$0")" "$@"\n'
        (self.path / "replay.sh").write_text(text, encoding="utf-8")

    # What an earlier run left.

    def load_evidence(self) -> Evidence:
        """The whole evidence; ledgers and readings are read from their files whenever they are asked for."""
        stored = self._load("evidence.json", "evidence")
        for stream in stored.get("streams", ()):
            stream["entries"] = partial(_reading_back, read_ledger, self.ledger(str(stream.get("name"))))
        for reading in stored.get("readings", ()):
            path = self.readings(str(reading.get("node")), str(reading.get("stream")))
            reading["runs"] = partial(_reading_back, read_runs, path)
        return self._typed(Evidence, stored, "evidence.json")

    def load_facts(self) -> RunFacts:
        return self._typed(RunFacts, self._load("facts.json", "facts"), "facts.json")

    def load_verdict(self) -> Verdict:
        return self._typed(Verdict, self._load("verdict.json", "verdict"), "verdict.json")

    def load_report(self) -> Mapping[str, object]:
        return self._load_json("report.json")

    def discard(self) -> None:
        """Remove it, and the folders above it that nobody else uses; `out` only if this run made it."""
        shutil.rmtree(self.path)
        for folder in self._above:
            try:
                folder.rmdir()
            except OSError:  # another run's directory is in it, or another run removed it first
                return

    def hide(self, text: str) -> str:
        """The text with every known secret replaced."""
        return self._secret.sub(HIDDEN, text) if self._secret else text

    def _begin(self) -> None:
        for folder in ("ledger", "readings", "info", "logs"):
            (self.path / folder).mkdir()
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._save_json("run.json", {"run_id": self.run_id, "scenario": self.name, "began": began})

    def _save_text(self, name: Path, text: str) -> None:
        (self.path / name).write_text(self.hide(text), encoding="utf-8", errors="backslashreplace")

    def _save_json(self, name: str, content: Mapping[str, object]) -> None:
        _write_json(self.path / name, {"version": VERSION, **content})

    def _save_lines(self, name: str, lines: Iterable[object]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in ({"version": VERSION, "kind": "faults"}, *lines))
        (self.path / name).write_text(text, encoding="utf-8")

    def _load_json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(f"{path} is not there: the run ended before it was written") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} can't be read: {error}") from None
        version = content.get("version") if isinstance(content, dict) else None
        if version != VERSION:
            raise UsageError(
                f"{path} has version {version!r}, and this harness reads version {VERSION}; "
                "use the harness that wrote it"
            )
        return dict(content)

    def _load(self, name: str, key: str) -> dict[str, Any]:
        content = self._load_json(name).get(key)
        if not isinstance(content, dict):
            raise UsageError(f"{self.path / name} holds no {key}")
        return content

    def _typed(self, kind: type[_T], content: dict[str, Any], name: str) -> _T:
        try:
            return TypeAdapter(kind).validate_python(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UsageError(f"{self.path / name} is damaged at {where}: {first['msg']}") from None


def _between(inner: Path, out: Path) -> tuple[Path, ...]:
    """The folders from inner up to out, both included."""
    return tuple(folder for folder in (inner, *inner.parents) if folder == out or out in folder.parents)


def _make_unique(parent: Path, name: str) -> Path:
    """A new folder under parent, made together with its parents; a name that is taken gets a suffix.

    Another run may remove an empty parent between the two steps, which is why they are tried again together.
    """
    path = parent / name
    for _ in range(100):
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
        except FileNotFoundError:
            continue
        except FileExistsError:
            if path.exists():
                path = parent / f"{name}-{random.token_hex(2)}"
                continue
            raise UsageError(f"{parent} can't hold run directories: it is, or lies under, a file") from None
        except OSError as error:
            reason = f"{error.strerror}; choose another place with --out"
            raise UsageError(f"no run directory can be made under {parent}: {reason}") from None
        return path
    raise UsageError(
        f"no run directory can be made under {parent}: what is made there is gone at once, or its file system takes no "
        "folders; choose another place with --out"
    )


def _reading_back(read: Callable[[Path], Iterator[_T]], path: Path) -> Iterator[_T]:
    """What an earlier run stored; a file that is damaged or gone is the fault of whoever gave the directory."""
    try:
        yield from read(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"the run directory is damaged: {error}") from None


def _file_name(name: str) -> str:
    """A name as one path component; two names never share one."""
    return quote(name, safe="").replace("@", "%40")


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    """Whole or not at all: a run that is killed while it writes leaves no half file under this name.

    A line a key: indenting all of it is done in Python and not in C, and would be felt in a run of 30 ms.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    unfinished.write_text(f"{{{lines}}}\n", encoding="utf-8")
    os.replace(unfinished, path)


def _write_ledger(path: Path, entries: Iterable[Entry]) -> None:
    with Ledger(path) as ledger:
        for entry in entries:
            if isinstance(entry, Acknowledged):
                ledger.acknowledge(entry.connection, entry.first, entry.last, entry.command)
            else:
                ledger.add(entry)


_LAZY: dict[type, str] = {Stream: "entries", Reading: "runs"}


def _plain(value: Any) -> Any:
    """A value of our dataclasses as JSON has it; callables are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        lazy = _LAZY.get(type(value))
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value) if field.name != lazy}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, set, frozenset)):
        return [_plain(item) for item in value]
    return value
