"""Reports as a person reads them in a terminal: one table for one run, one line a scenario in a folder run.

Everything is drawn from the object of `harness run --json` (`report/summary.py`), so that tables and JSON can't differ.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.checker.verdict import DEFINITIONS, Kind
from harness.report.rows import table_lines
from harness.report.summary import Report

WIDEST = 160
_OURS, _IMAGE = "own process", "image "  # how origins of fault proxies and servers begin
_STEPS = ("start", "write", "converge", "verify", "judge", "total")


def run_text(report: Report) -> str:
    """The full report of one run: what, verdict, tables of nodes, faults and anomalies, and how to run it again."""
    parts = [
        [report["title"], _subtitle(report)],
        [verdict_text(report)],
        _reasons(report),
        _anomalies(report),
        table_lines(_nodes(report)),
        table_lines(_faults(report)),
        table_lines(_syncs(report)),
        _wrapped("note", report["notes"]),
        _details(report),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def anomaly_text(report: Report) -> str:
    """What a failed test shows: verdict, reasons, anomalies with their definitions, and the replay command."""
    parts = [[verdict_text(report)], _reasons(report), _anomalies(report), table_lines(_faults(report)), _again(report)]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def verdict_text(report: Report) -> str:
    """One line: "INVALID, not as expected: lost 3 of numbers:list on b"."""
    if report["skipped"]:
        return f"SKIPPED: {report['skipped']}"
    if report["error"]:
        return f"FAILED: {report['error']}"
    expectation = "as expected" if report["as_expected"] else "not as expected"
    if report["as_expected"] and not report["anomalies"]:
        return f"{report['verdict'].upper()}, {expectation}"
    why = [
        *(f"{_kind(anomaly)} {_count(anomaly)} of {_place(anomaly)}" for anomaly in report["anomalies"]),
        *report["unmet"],
        *(report["doubts"] if report["verdict"] == "unknown" else ()),
    ]
    reason = f": {_shorten('; '.join(why), 300)}" if why else ""
    return f"{report['verdict'].upper()}, {expectation}{reason}"


def line_text(report: Report) -> str:
    """One scenario of a folder run in one line."""
    seconds = report["seconds"].get("total")
    took = "" if seconds is None else f"{seconds:.2f} s"
    return f"{_mark(report):<4} {_name(report):<50} {took:>8}  {_shorten(verdict_text(report), 200)}"


def summary_table(reports: Sequence[Report]) -> str:
    """All scenarios of a folder run, and the sum."""
    rows = [
        {
            "": _mark(report),
            "scenario": _name(report),
            "verdict": report["verdict"] or ("skipped" if report["skipped"] else "failed"),
            "as expected": _yes(report["as_expected"]),
            "acknowledged": _figure(report["acknowledged"]),
            "unknown": _figure(report["unknown"]),
            "anomalies": ", ".join(sorted({anomaly["kind"] for anomaly in report["anomalies"]})),
            "max lag": _milliseconds(_worst_lag(report)),
            "seconds": _seconds(report["seconds"].get("total")),
        }
        for report in reports
    ]
    return "\n".join([*table_lines(rows), "", _sum(reports)])


def _name(report: Report) -> str:
    """The scenario, and its part where that is not the written one."""
    return str(report["scenario"]) if report["part"] == "written" else f"{report['scenario']}::{report['part']}"


def _sum(reports: Sequence[Report]) -> str:
    marks = [_mark(report) for report in reports]
    names = {"ok": "as expected", "BAD": "not as expected", "?": "unknown", "skip": "skipped", "ERR": "failed"}
    counted = [f"{marks.count(mark)} {name}" for mark, name in names.items() if mark in marks]
    return f"{len(reports)} scenario{'' if len(reports) == 1 else 's'}: {', '.join(counted) or 'none'}"


def _mark(report: Report) -> str:
    """ok, BAD, ? (unknown), skip, ERR: by what the exit code would be."""
    if report["skipped"]:
        return "skip"
    return {0: "ok", 1: "BAD", 6: "?"}.get(report["exit_code"], "ERR")


def _subtitle(report: Report) -> str:
    proxy = report["fault_proxy"]
    facts = [
        report["scenario"],
        report["part"],
        f"runtime {report['runtime']}" if report["runtime"] else "",
        _proxy(proxy) if proxy else "no fault proxy",
        f"seed {report['seed']}" if report["seed"] is not None else "",
    ]
    return " · ".join(fact for fact in facts if fact)


def _proxy(proxy: Mapping[str, Any]) -> str:
    where = _origin(proxy["where"])
    return f"fault proxy {proxy['kind']} {proxy['version']}" + ("" if where == _OURS else f" ({where})")


def _origin(origin: str) -> str:
    """Of an image as much of its digest as tells it apart."""
    reference, at, digest = _clean(origin).partition("@sha256:")
    return f"{reference}{at}{digest[:12]}"


def _reasons(report: Report) -> list[str]:
    return [
        *_wrapped("not met", report["unmet"]),
        *_wrapped("unknown because", report["doubts"]),
        *_wrapped("not checked", report["not_checked"]),
        *_wrapped("not applied", report["not_applied"]),
    ]


def _anomalies(report: Report) -> list[str]:
    """The table of anomalies, and below it what each kind means."""
    rows = [
        {
            "anomaly": anomaly["kind"],
            "node": anomaly["node"],
            "db": anomaly["db"],
            "key": _shorten(anomaly["key"], 40),
            "count": _count(anomaly),
            "first at": "" if anomaly["first"]["index"] is None else _figure(anomaly["first"]["index"]),
            "expected": _shown(anomaly["first"]["expected"]),
            "found": _shown(anomaly["first"]["found"]),
        }
        for anomaly in report["anomalies"]
    ]
    if not rows:
        return []
    kinds = dict.fromkeys(anomaly["kind"] for anomaly in report["anomalies"])
    messages = _wrapped("", [anomaly["message"] for anomaly in report["anomalies"]])
    meanings = [line for kind in kinds for line in _hanging(f"{kind}: ", DEFINITIONS[Kind(kind)])]
    return [*table_lines(rows), *messages, *meanings]


def _nodes(report: Report) -> list[dict[str, object]]:
    names = dict.fromkeys([*report["engines"], *report["read"]])
    images = any(_image(report, name) for name in names)
    return [
        {
            "node": name,
            "engine": _engine(report, name),
            **({"image": _image(report, name)} if images else {}),
            "address": report["addresses"].get(name, ""),
            "read": _figure(report["read"].get(name)),
            "newest first": " ".join(_shorten(value, 40) for value in report["newest_first"].get(name, ())),
            "converged": _converged(report["converged"].get(name)),
            "max lag": _milliseconds(report["lag"].get(name, {}).get("max_ms")),
        }
        for name in names
    ]


def _engine(report: Report, node: str) -> str:
    engine, profile = report["engines"].get(node, ""), report["profiles"].get(node)
    return f"{engine} ({profile})" if profile else engine


def _image(report: Report, node: str) -> str:
    """What a container runs; "" for a process."""
    origin = report["origins"].get(node, "")
    return _origin(origin.removeprefix(_IMAGE)) if origin.startswith(_IMAGE) else ""


def _converged(convergence: Mapping[str, Any] | None) -> str:
    if convergence is None:
        return ""
    if not convergence["reached"]:
        return f"no: {_shorten(convergence['last_seen'], 60)}"
    return _seconds(convergence["seconds"]) + " s"


def _faults(report: Report) -> list[dict[str, object]]:
    return [
        {
            "fault": fault["fault"],
            "link": fault["link"],
            "at": fault["at"],
            "until": fault["until"],
            "from": _seconds(fault["applied_s"]),
            "to": _seconds(fault["healed_s"]),
            "values": _figure(fault["values"]),
            "bytes": _figure(fault["bytes"]),
            "met": "yes" if fault["met"] else f"no: {fault['why_not']}" if fault["why_not"] else "no",
        }
        for fault in report["faults"]
    ]


def _syncs(report: Report) -> list[dict[str, object]]:
    return [
        {"link": link, "full syncs": counts["full"], "partial syncs": counts["partial"]}
        for link, counts in report["sync"].items()
    ]


def _details(report: Report) -> list[str]:
    rows = [
        *(("workload", _workload(workload)) for workload in _listed(report["workload"])),
        ("commands", _outcomes(report)),
        *(("newest first", _merged(nodes, values)) for nodes, values in report["newest_first"].items() if "," in nodes),
        ("shards", _shards(report["shards"])),
        ("draws", _draws(report["draws"])),
        ("seconds", _durations(report["seconds"])),
    ]
    return _labelled(rows) + _again(report)


def _again(report: Report) -> list[str]:
    rows = (("run directory", report["run_dir"]), ("replay", report["replay"]))
    return _labelled(rows)


def _labelled(rows: Iterable[tuple[str, str | None]]) -> list[str]:
    return [f"{name:<15}{text}" for name, text in rows if text]


def _workload(workload: Mapping[str, Any]) -> str:
    batch = workload["batch"]
    sizes = f"{len(batch['sizes'])} sizes" if "sizes" in batch else _figure(batch["size"])
    db = f" in db {workload['db']}" if workload["db"] else ""
    what = f"{workload['kind']}, {_figure(workload['values'])} values"
    return f"{what} to {workload['key']}{db}, {batch['shape']} of {sizes}"


def _outcomes(report: Report) -> str:
    if report["verdict"] is None:
        return ""
    counted = [f"{_figure(report[outcome])} {outcome}" for outcome in ("acknowledged", "failed", "unknown")]
    redirected = [f"{_figure(count)} answered with {answer}" for answer, count in report.get("redirected", {}).items()]
    return ", ".join([*counted, *redirected])


def _merged(nodes: str, values: Sequence[str]) -> str:
    """The newest elements of keys that were read from several nodes."""
    return f"{' '.join(_shorten(value, 40) for value in values)} (merged from {nodes})"


def _shards(shards: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{name}: {_figure(shard['elements'])} in {_figure(shard['keys'])} {'key' if shard['keys'] == 1 else 'keys'}"
        for name, shard in shards.items()
    )


def _draws(draws: Mapping[str, Any] | None) -> str:
    if draws is None:
        return ""
    text = f"{draws['examples']}: {draws['valid']} valid, {draws['invalid']} invalid, {draws['unknown']} unknown"
    smallest = f"; smallest failing: {draws['smallest']}" if draws["smallest"] else ""
    return text + smallest + (" (intermittent)" if draws["intermittent"] else "")


def _durations(seconds: Mapping[str, float | None]) -> str:
    known = [step for step in _STEPS if seconds.get(step) is not None]
    return ", ".join(f"{step} {_seconds(seconds[step])}" for step in known)


def _worst_lag(report: Report) -> float | None:
    return max((lag["max_ms"] for lag in report["lag"].values() if lag["max_ms"] is not None), default=None)


def _kind(anomaly: Mapping[str, Any]) -> str:
    return str(anomaly["kind"])


def _count(anomaly: Mapping[str, Any]) -> str:
    return ("at least " if anomaly["at_least"] else "") + _figure(anomaly["count"])


def _place(anomaly: Mapping[str, Any]) -> str:
    return f"{_shorten(anomaly['key'], 60)} on {anomaly['node']}"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _shown(value: str | None) -> str:
    return "nothing" if value is None else _shorten(value, 40)


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "NO"


def _figure(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f} ms"


def _clean(text: str) -> str:
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)


def _shorten(text: str, length: int) -> str:
    """At most so many characters, and none that moves the cursor or colours what follows."""
    clean = _clean(text)
    return clean if len(clean) <= length else clean[: length - 1] + "…"


def _wrapped(label: str, sentences: Iterable[str]) -> list[str]:
    prefix = f"{label}: " if label else "- "
    return [line for sentence in sentences for line in _hanging(prefix, sentence)]


def _hanging(prefix: str, sentence: str) -> list[str]:
    text = prefix + _clean(sentence)
    return textwrap.wrap(text, _width(), subsequent_indent="  ", break_long_words=False) or [prefix]


def _width() -> int:
    return min(WIDEST, max(60, shutil.get_terminal_size((120, 24)).columns))
