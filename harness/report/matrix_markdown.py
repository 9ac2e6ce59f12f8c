"""A matrix as Markdown, for the summary of a job and for the documents."""

from __future__ import annotations

from collections.abc import Iterator

from harness.matrix.baseline import Changes
from harness.matrix.cells import MEANINGS, Matrix
from harness.matrix.summary import groups, outcome_counts, primaries, replicas, summarize, told
from harness.report.matrix_terminal import changes_lines

_SHOWN = 60


def matrix_markdown(matrix: Matrix, changed: Changes | None = None) -> str:
    return "\n".join(_lines(matrix, changed)) + "\n"


def _lines(matrix: Matrix, changed: Changes | None) -> Iterator[str]:
    alarms = len(matrix.alarms)
    told_of = f"**{alarms} otherwise than the rules say**" if alarms else "each as the rules say"
    yield f"{len(matrix.cells):,} cells: {outcome_counts(matrix.cells)}; {told_of}."
    yield ""
    yield f"`{matrix.command}`, {matrix.date}, {matrix.seconds:.0f} s, {matrix.jobs} jobs"
    yield ""
    yield from _table(matrix)
    yield ""
    there = {cell.outcome for cell in matrix.cells}
    yield from (f"- {_escaped(f'{sign} {o.value}')}: {what}" for o, (sign, what) in MEANINGS.items() if o in there)
    if alarms:
        yield from ("", "### Otherwise than the rules say", "")
        yield from _alarms(matrix)
    if changed is not None:
        yield from ("", "### Since the baseline", "")
        yield from _changed(changed)


def _table(matrix: Matrix) -> Iterator[str]:
    names = replicas(matrix)
    yield f"| primary \\\\ replica | {' | '.join(names)} |"
    yield f"| --- |{' --- |' * len(names)}"
    for primary in primaries(matrix):
        each = [summarize(matrix.by_pair.get((primary, replica), ())) for replica in names]
        cells = [_escaped(summary.text) if summary else "" for summary in each]
        yield f"| {primary} | {' | '.join(cells)} |"


def _alarms(matrix: Matrix) -> Iterator[str]:
    yield from ("| primary | replica | what | outcome | expected | reason |", "| --- | --- | --- | --- | --- | --- |")
    for number, group in enumerate(groups(matrix.alarms)):
        if number == _SHOWN:
            yield f"| … | | {len(matrix.alarms)} cells in all | | | |"
            return
        cell = group.cells[0]
        words = (group.primary, group.replica, group.what, group.outcome, group.expected, told(cell))
        yield f"| {' | '.join(_escaped(str(word)) for word in words)} |"


def _changed(changed: Changes) -> Iterator[str]:
    lines = list(changes_lines(changed))
    if not lines:
        yield "Nothing changed."
    yield from (f"- {_escaped(line)}" for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield f"- and {len(lines) - _SHOWN} more"
    if changed.new:
        yield f"- {len(changed.new)} cells are new"


def _escaped(text: str) -> str:
    """So that what a server said stays text."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{sign}" if sign in "\\|*_`~#[]!+-" else sign for sign in text.replace("\n", " "))
