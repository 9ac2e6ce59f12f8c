"""The ratios of a benchmark as a bar chart, in SVG: a bar a measure, its range, and its goal as a line."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from harness.bench.rows import Row

WIDTH, LABELS, BAR, GAP, TOP = 960, 400, 18, 14, 56
_FURTHEST = 1.5  # goals are drawn at 1; what is further out than this many goals is cut


def chart_svg(rows: Sequence[Row], machine: str) -> str:
    """Each bar is its median as a share of its goal, so that measures of different units stand side by side."""
    drawn = [(row, row.goal) for row in rows if row.goal]
    height = TOP + len(drawn) * (BAR + GAP) + 30
    bars = "".join(_bar(row, aim, TOP + index * (BAR + GAP)) for index, (row, aim) in enumerate(drawn))
    goal, bottom = _x(1.0), height - 26
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12" role="img">\n'
        f"<title>harness bench</title>\n"
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n'
        f'<text x="12" y="20" font-size="15">harness bench: each median beside its goal</text>\n'
        f'<text x="12" y="38" fill="#666">{escape(machine)}</text>\n'
        f"{bars}"
        f'<line x1="{goal:.1f}" y1="{TOP - 8}" x2="{goal:.1f}" y2="{bottom}" stroke="#222" stroke-dasharray="4 3"/>\n'
        f'<text x="{goal:.1f}" y="{height - 10}" text-anchor="middle">goal</text>\n'
        "</svg>\n"
    )


def _bar(row: Row, aim: float, top: int) -> str:
    end, middle = _x(row.median / aim), top + BAR / 2
    low, high = (_x(value / aim) for value in (min(row.values), max(row.values)))
    colour = "#3a7d44" if row.met else "#b3402e"
    width = end - LABELS
    unit = "" if row.unit == "x" else f" {row.unit}"
    sign = "≤" if row.at_most else "≥"
    text = f"{row.median:.3g}{unit} (goal {sign} {aim:g}{unit})"
    return (
        f'<text x="12" y="{middle + 4:.1f}">{escape(row.measure)}</text>\n'
        f'<rect x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{colour}" fill-opacity="0.75"/>\n'
        f'<line x1="{low:.1f}" y1="{middle:.1f}" x2="{high:.1f}" y2="{middle:.1f}" stroke="#222"/>\n'
        f'<text x="{max(end, high) + 6:.1f}" y="{middle + 4:.1f}">{escape(text)}</text>\n'
    )


def _x(goals: float) -> float:
    """Where so many goals are, from the left."""
    return LABELS + min(goals, _FURTHEST) / _FURTHEST * (WIDTH - LABELS - 190)
