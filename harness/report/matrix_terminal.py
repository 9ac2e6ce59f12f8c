"""A matrix in a terminal: engines by engines to read at a glance, then the worst cells with their reasons."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from tabulate import tabulate

from harness.matrix.baseline import Changes, kinds
from harness.matrix.cells import MEANINGS, Cell, Matrix, Outcome
from harness.matrix.summary import Group, groups, outcome_counts, primaries, replicas, summarize, told

_SHOWN = 40
_WIDTH = 118
_HARMLESS = (Outcome.OK, Outcome.NOT_APPLICABLE)


def matrix_text(matrix: Matrix, changed: Changes | None = None) -> str:
    """All of it; the alarms come last, where a reader's eye is when the command has ended."""
    parts = [
        pair_table(matrix),
        legend(matrix),
        *_features(matrix),
        *_section("As the rules say", _expected(matrix)),
        *_section("OTHERWISE THAN THE RULES SAY", _alarms(matrix)),
        *(_changes(changed) if changed is not None else ()),
        _last_line(matrix),
    ]
    return "\n\n".join(parts)


def pair_table(matrix: Matrix) -> str:
    """Rows feed columns."""
    names = replicas(matrix)
    rows = []
    for primary in primaries(matrix):
        summaries = [summarize(matrix.by_pair.get((primary, replica), ())) for replica in names]
        rows.append([primary, *(summary.text if summary else "" for summary in summaries)])
    return tabulate(rows, headers=["primary \\ replica", *(name.replace("-", "\n", 1) for name in names)])


def legend(matrix: Matrix) -> str:
    """What the signs that occur mean."""
    there = {cell.outcome for cell in matrix.cells}
    lines = [f"  {sign:2} {outcome.value:9} {what}" for outcome, (sign, what) in MEANINGS.items() if outcome in there]
    if matrix.alarms:
        lines.append("  !  in front: otherwise than the rules say")
    return "\n".join([*lines, "  3/15 means so of 3 cells of 15; the table shows the worst of a pair"])


def _features(matrix: Matrix) -> Iterator[str]:
    """Feature by kind of sync, where there is more than one of both."""
    features = list(dict.fromkeys(cell.key.feature for cell in matrix.cells))
    syncs = list(dict.fromkeys(cell.key.sync for cell in matrix.cells))
    if len(features) < 2:
        return
    rows = []
    for feature in features:
        of_feature = [cell for cell in matrix.cells if cell.key.feature == feature]
        each = (summarize(cell for cell in of_feature if cell.key.sync == sync) for sync in syncs)
        rows.append([feature, *(summary.text if summary else "" for summary in each)])
    yield tabulate(rows, headers=["feature \\ sync", *(sync.replace("_", "\n") for sync in syncs)])


def _expected(matrix: Matrix) -> Iterator[str]:
    """What does not work, and was known not to; the kind of reason once, with the pairs that it is about."""
    known = [cell for cell in matrix.cells if cell.as_expected and cell.outcome not in _HARMLESS]
    by_rule: dict[tuple[Outcome, str], list[Group]] = {}
    for group in groups(known):
        expected = group.cells[0].expected
        by_rule.setdefault((group.outcome, expected.reason), []).append(group)
    for (outcome, reason), alike in by_rule.items():
        pairs = dict.fromkeys(f"{group.primary} -> {group.replica}" for group in alike)
        example = alike[0].cells[0]
        yield f"{outcome.value}: {reason} ({len(pairs)} pairs, {sum(len(group.cells) for group in alike)} cells)"
        yield f"  for example {example.key}: {told(example)}"


def _alarms(matrix: Matrix) -> Iterator[str]:
    for number, group in enumerate(groups(matrix.alarms)):
        if number == _SHOWN:
            yield f"and more; {len(matrix.alarms)} cells in all"
            return
        cell = group.cells[0]
        yield (f"{group.outcome.value} instead of {group.expected}: {group.primary} -> {group.replica}, {group.what}")
        yield f"  {told(cell)}"
        for expected in dict.fromkeys(cell.expected for cell in group.cells):
            yield f"  {expected.outcome.value} expected because {expected.reason} [{expected.source}]"
        yield f"  again: {cell.replay}"


def changes_lines(changed: Changes) -> Iterator[str]:
    """What changed since the baseline, one cell a line."""
    for before, now in changed.changed:
        yield f"{now.key}: {_ended(before, now)} -> {_ended(now, before)}: {told(now)}"
    for cell in changed.missing:
        yield f"{cell.key}: was {cell.outcome.value}, not taken this time"


def _ended(cell: Cell, other: Cell) -> str:
    """How a cell ended, as closely as it takes to tell it from the other one."""
    if cell.outcome is not other.outcome:
        return cell.outcome.value
    if kinds(cell) != kinds(other):
        return f"{cell.outcome.value} ({', '.join(sorted(kinds(cell))) or 'no anomaly'})"
    return f"{cell.outcome.value} (its own data {'kept' if cell.old_data else 'thrown away'})"


def _changes(changed: Changes) -> Iterator[str]:
    lines = list(changes_lines(changed))
    new = f"; {len(changed.new)} cells are new" if changed.new else ""
    if not lines:
        yield f"Nothing changed since the baseline{new}"
        return
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    yield from _section(f"CHANGED SINCE THE BASELINE ({len(lines)} cells{new})", [*lines[:_SHOWN], *more])


def _last_line(matrix: Matrix) -> str:
    alarms = len(matrix.alarms)
    ended = f"{alarms} OTHERWISE than the rules say" if alarms else "each as the rules say"
    notes = "".join(f"\n{note}" for note in matrix.notes)
    return f"{len(matrix.cells):,} cells in {matrix.seconds:.1f} s: {outcome_counts(matrix.cells)}; {ended}{notes}"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    lines = list(lines)
    if lines:
        yield "\n".join([title, *(_wrapped(line) for line in lines)])


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(f"  {line}", _WIDTH, subsequent_indent=indent + "  ", break_long_words=False)
