"""An acceptance as a person reads it: terminal, Markdown, and one HTML file that needs no network."""

from __future__ import annotations

import html
import textwrap

from harness.acceptance.model import Acceptance, Check, Grade
from harness.report.rows import table

_MARKS = {Grade.PASS: "ok", Grade.WARN: "warn", Grade.FAIL: "FAIL", Grade.NOT_POSSIBLE: "-"}
_WIDTH = 90  # characters of a cell in a terminal


def terminal_text(report: Acceptance) -> str:
    rows = [
        {
            "": _MARKS[check.grade],
            "check": check.name,
            "found": _wrapped(check.found),
            "what to do": _wrapped(check.todo),
        }
        for check in report.checks
    ]
    parts = [_headline(report), table(rows), _steps("Cutover", report.cutover), _steps("Rollback", report.rollback)]
    return "\n\n".join(parts)


def markdown(report: Acceptance) -> str:
    lines = [f"# {_verdict(report)}", "", f"Source `{report.source}`, target `{report.target}`.", ""]
    lines += ["| grade | check | found | what to do |", "| --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(map(_cell, _row(check)))} |" for check in report.checks]
    for title, steps in (("Cutover", report.cutover), ("Rollback", report.rollback)):
        lines += ["", f"## {title}", "", *(f"- [ ] {_cell(step)}" for step in steps)]
    if report.figures:
        lines += ["", "## Figures", "", "| figure | value |", "| --- | --- |"]
        lines += [f"| {_cell(name)} | {_cell(str(value))} |" for name, value in report.figures.items()]
    return "\n".join(lines) + "\n"


def html_page(report: Acceptance) -> str:
    rows = "".join(
        f'<tr class="{check.grade.name.lower()}">'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in _row(check))
        + "</tr>"
        for check in report.checks
    )
    figures = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in report.figures.items()
    )
    lists = _html_steps("Cutover", report.cutover) + _html_steps("Rollback", report.rollback)
    where = f"Source {html.escape(report.source)}<br>Target {html.escape(report.target)}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Acceptance</title>'
        f'<style>{_STYLE}</style></head><body class="{report.verdict}"><h1>{html.escape(_verdict(report))}</h1>'
        f"<p>{where}</p><table><thead><tr><th>grade</th><th>check</th><th>found</th><th>what to do</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{lists}"
        f"{f'<h2>Figures</h2><table><tbody>{figures}</tbody></table>' if figures else ''}</body></html>\n"
    )


_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222;"
    "overflow-wrap:anywhere}"
    "h1{border-left:.5rem solid #888;padding-left:.7rem}.go h1{border-color:#2a7d3b}.no-go h1{border-color:#b3261e}"
    ".unknown h1{border-color:#b58900}table{border-collapse:collapse;margin:1rem 0;width:100%}"
    "th,td{border:1px solid #ccc;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "ul{list-style:none;padding:0}tr.fail td:first-child{background:#f7c6c2;color:#222}"
    "tr.warn td:first-child{background:#f5e3b0;color:#222}tr.pass td:first-child{background:#cfe8d3;color:#222}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}th,td{border-color:#555}}"
)


def _verdict(report: Acceptance) -> str:
    fails, warnings = len(report.of_grade(Grade.FAIL)), len(report.of_grade(Grade.WARN))
    open_ones = [check.name for check in report.of_grade(Grade.NOT_POSSIBLE) if check.required]
    detail = {
        "go": f"{warnings} warning{'' if warnings == 1 else 's'}" if warnings else "no warnings",
        "no-go": f"{fails} fail{'' if fails == 1 else 's'}",
        "unknown": f"no answer to {', '.join(open_ones)}",
    }[report.verdict]
    parts = [check.name for check in report.of_grade(Grade.WARN) if check.found.startswith("EQUAL IN PART")]
    part = f"; {' and '.join(parts)} of a part only" if parts else ""
    return f"{report.verdict.upper()}: {detail}{part}"


def _headline(report: Acceptance) -> str:
    return f"{_verdict(report)}\nsource {report.source}\ntarget {report.target}"


def _row(check: Check) -> tuple[str, str, str, str]:
    return check.grade.value, check.name + (" (required)" if check.required else ""), check.found, check.todo


def _steps(title: str, steps: tuple[str, ...]) -> str:
    return "\n".join([title, *(f"  [ ] {step}" for step in steps)])


def _html_steps(title: str, steps: tuple[str, ...]) -> str:
    items = "".join(f"<li><label><input type=checkbox> {html.escape(step)}</label></li>" for step in steps)
    return f"<h2>{title}</h2><ul>{items}</ul>"


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH // 2))


def _cell(text: str) -> str:
    """Markdown takes a pipe for a border, and a tag for a tag."""
    return html.escape(text, quote=False).replace("|", "\\|").replace("\n", " ")
