"""Rows as a table in a terminal: all that commands need which know nothing of scenarios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def table_lines(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """A table's lines, its head from the first row's keys; columns that are empty everywhere are left out."""
    if not rows:
        return []
    from tabulate import tabulate

    columns = [column for column in rows[0] if any(row.get(column) not in ("", None) for row in rows)]
    cells = [[row.get(column, "") for column in columns] for row in rows]
    return tabulate(cells, headers=columns, tablefmt="simple", disable_numparse=True).splitlines()


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """The same as one text."""
    return "\n".join(table_lines(rows))
