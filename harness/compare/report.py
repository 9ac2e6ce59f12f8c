"""A comparison as a person reads it: in a terminal, and in one HTML file that needs no network."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from harness.compare.model import KINDS, Outcome, shown
from harness.report.rows import table

FIRST = 20
_CELL = 60  # characters of a value in a terminal
_MOST_IN_PAGE = 10_000


def terminal_text(outcome: Outcome) -> str:
    """The verdict; counts by kind; the first differences; what could not be settled or checked."""
    parts = [
        verdict_line(outcome),
        table(_counts(outcome)) if outcome.counts else "",
        _first_differences(outcome),
        _listed("moving", [f"db {each.db}, {shown(each.key)}" for each in outcome.moving]),
        _listed("not checked", outcome.not_checked),
        _listed("note", outcome.notes),
        totals_line(outcome),
    ]
    return "\n\n".join(part for part in parts if part)


def verdict_line(outcome: Outcome) -> str:
    """ "DIFFERENT: 3 differences in 2 keys"."""
    keys = len({(each.subject.db, each.subject.key) for each in outcome.differences})
    found = sum(outcome.counts.values())
    part = outcome.options.part
    detail = {
        "equal": f"of what was looked at ({part}), B holds what A holds, and nothing else"
        if part
        else "B holds what A holds, and nothing else",
        "different": f"{_number(found, 'difference')} in {_number(keys, 'key')}",
        "unknown": "no difference stands, and not everything could be settled or checked",
    }[outcome.verdict]
    word = f"{outcome.verdict.upper()}{' IN PART' if part else ''}"
    return f"{word}: {detail}\nA {outcome.endpoints[0]}\nB {outcome.endpoints[1]}"


def totals_line(outcome: Outcome) -> str:
    totals = outcome.totals
    expired = f", {totals.expired} expired between the two reads" if totals.expired else ""
    return (
        f"{_number(totals.keys, 'key')} compared, {totals.keys_b} of B looked up on A{expired}; "
        f"{totals.commands} commands a side, {outcome.seconds:.1f} s"
    )


def html_page(outcome: Outcome) -> str:
    """One file, with its style in it."""
    rows = [_row(each.as_json(), 1000) for each in outcome.differences[:_MOST_IN_PAGE]]
    more = len(outcome.differences) - len(rows)
    lists = "".join(
        f"<h2>{name}</h2><ul>{''.join(f'<li>{html.escape(str(text))}</li>' for text in texts)}</ul>"
        for name, texts in (
            ("Moving", [f"db {each.db}, {shown(each.key)}" for each in outcome.moving]),
            ("Not checked", outcome.not_checked),
            ("Notes", outcome.notes),
        )
        if texts
    )
    head, *where = verdict_line(outcome).splitlines()
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Comparison</title>'
        f'<style>{_STYLE}</style></head><body class="{outcome.verdict}"><h1>{html.escape(head)}</h1>'
        f"<p>{'<br>'.join(map(html.escape, where))}</p><p>{html.escape(totals_line(outcome))}</p>"
        f"{_html_table(_counts(outcome))}{_html_table(rows)}{f'<p>and {more} more</p>' if more > 0 else ''}{lists}"
        "</body></html>\n"
    )


_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222;"
    "overflow-wrap:anywhere}"
    "h1{border-left:.5rem solid #888;padding-left:.7rem}.equal h1{border-color:#2a7d3b}"
    ".different h1{border-color:#b3261e}.unknown h1{border-color:#b58900}"
    "table{border-collapse:collapse;margin:1rem 0;width:100%}"
    "th,td{border:1px solid #ccc;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{background:#f2f2f2}@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}"
    "th{background:#333}th,td{border-color:#555}}"
)


def _counts(outcome: Outcome) -> list[Mapping[str, object]]:
    most = sorted(outcome.counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"kind": kind, "keys": count, "which means": KINDS[kind]} for kind, count in most]


def _first_differences(outcome: Outcome) -> str:
    rows = [_row(each.as_json(), _CELL) for each in outcome.differences[:FIRST]]
    if not rows:
        return ""
    more = len(outcome.differences) - len(rows)
    return table(rows) + (f"\nand {more} more; --json and --html list them" if more else "")


def _row(found: Mapping[str, object], width: int) -> dict[str, object]:
    place = found.get("index", found.get("field"))
    return {
        "db": found["db"],
        "key": _cut(found["key"], width),
        "type": found["type"],
        "kind": found["kind"],
        "index or field": "" if place is None else _cut(place, width),
        "expected": _cut(found["expected"], width),
        "found": _cut(found["found"], width),
        "places": found["count"],
    }


def _cut(value: object, width: int) -> str:
    if value is None:
        return "nothing"
    text = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in str(value))
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _listed(name: str, texts: Sequence[str]) -> str:
    lines = [f"{name}: {_cut(text, 300)}" for text in texts[:FIRST]]
    more = len(texts) - len(lines)
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])


def _html_table(rows: Sequence[Mapping[str, object]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row.values()) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
