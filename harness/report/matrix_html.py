"""A matrix as one self-contained page: engines by engines, filters, and what stands behind every cell.

The page holds the cells as rows of numbers and every text once, and draws itself from that; nothing is loaded from
anywhere, and whatever a server said is only ever set as text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from harness.matrix.cells import MEANINGS, Cell, Matrix, Outcome
from harness.matrix.summary import outcome_counts, primaries, replicas, told

_PAGE = Path(__file__).with_name("matrix.html")


def matrix_html(matrix: Matrix) -> str:
    data = json.dumps(_data(matrix), separators=(",", ":"), ensure_ascii=False)
    for sign, escape in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):  # no text can end the script
        data = data.replace(sign, escape)
    return _PAGE.read_text(encoding="utf-8").replace("@DATA@", data)


class _Numbers:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    @property
    def texts(self) -> list[str]:
        return list(self._numbers)


def _data(matrix: Matrix) -> dict[str, object]:
    texts, replays, rules = _Numbers(), _Numbers(), _Numbers()
    names = (primaries(matrix), replicas(matrix))
    features = list(dict.fromkeys(cell.key.feature for cell in matrix.cells))
    syncs = list(dict.fromkeys(cell.key.sync for cell in matrix.cells))
    index = [{name: number for number, name in enumerate(each)} for each in (*names, features, syncs)]
    by_rule: dict[str, dict[str, str]] = {}

    def row(cell: Cell) -> list[object]:
        key = cell.key
        by_rule.setdefault(cell.expected.rule, {"reason": cell.expected.reason, "source": cell.expected.source})
        return [
            *(
                where[name]
                for where, name in zip(index, (key.primary, key.replica, key.feature, key.sync), strict=True)
            ),
            *(_number(cell.outcome), _number(cell.expected.outcome), int(not cell.as_expected)),
            *(texts(told(cell)), rules(cell.expected.rule), round(cell.seconds * 1000)),
            [texts(line) for line in cell.evidence],
            [texts(f"{anomaly.kind}: {anomaly.what}") for anomaly in cell.anomalies],
            replays(_template(cell)),
        ]

    cells = [row(cell) for cell in matrix.cells]
    alarms = len(matrix.alarms)
    ended = f"{alarms} otherwise than the rules say" if alarms else "each as the rules say"
    about = f"{len(cells):,} cells: {outcome_counts(matrix.cells)}; {ended}. {matrix.command}, {matrix.date}, "
    return {
        "about": f"{about}{matrix.seconds:.0f} s, {matrix.jobs} jobs.",
        "primaries": names[0],
        "replicas": names[1],
        "features": features,
        "syncs": syncs,
        "outcomes": [{"name": o.value, "sign": sign, "meaning": what} for o, (sign, what) in MEANINGS.items()],
        "legend": sorted({_number(cell.outcome) for cell in matrix.cells}),
        "rules": [by_rule[name] for name in rules.texts],
        "cells": cells,
        "texts": texts.texts,
        "replays": replays.texts,
    }


_number: Callable[[Outcome], int] = list(Outcome).index


def _template(cell: Cell) -> str:
    """The command without what differs from cell to cell."""
    key = cell.key
    return (
        cell.replay.replace(f"--pair {key.primary}:{key.replica}", "--pair %P:%R")
        .replace(f"--features {key.feature}", "--features %F")
        .replace(f"--sync {key.sync}", "--sync %S")
    )
