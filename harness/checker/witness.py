"""Adds to an anomaly's sentence whether the primary's own list differs there, once that has been read as well."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.checker.evidence import KeyState, Reading
from harness.checker.show import shown
from harness.checker.verdict import Anomaly, Kind

if TYPE_CHECKING:
    from harness.checker.list_order import Findings

_MISSES = {Kind.MISSING_KEY, Kind.TRUNCATED, Kind.STALE, Kind.LOST, Kind.WRONG_VALUE}
_HAS_MORE = {Kind.DUPLICATED, Kind.PHANTOM}


def with_primary(findings: Findings, primary: Reading) -> Findings:
    """Tell "a holds it, b does not" from "a lost it as well", for the first element of each anomaly."""
    return replace(findings, anomalies=tuple(_told(anomaly, primary) for anomaly in findings.anomalies))


def _told(anomaly: Anomaly, primary: Reading) -> Anomaly:
    first, a, b = anomaly.first, primary.node, anomaly.node
    if a == b or primary.state is KeyState.UNREADABLE:
        return anomaly
    if anomaly.kind in _MISSES and first.expected is not None:
        held = times(primary, first.expected) > 0
        told = f"{a} holds {first.expected}, {b} does not" if held else _lacks(anomaly, primary)
    elif anomaly.kind in _HAS_MORE and first.found is not None:
        more = times(primary, first.found) > (anomaly.kind is Kind.DUPLICATED)
        told = f"{a} has it too" if more else f"{a} does not have it"
    else:
        return anomaly
    return replace(anomaly, message=f"{anomaly.message} ({told})")


def _lacks(anomaly: Anomaly, primary: Reading) -> str:
    """Where the value itself is another one, nothing needs to be gone."""
    found = anomaly.first.found
    if anomaly.kind is Kind.WRONG_VALUE and found is not None and times(primary, found) > 0:
        return f"{primary.node} holds {found}, too"
    return f"{primary.node} lost it as well"


def times(reading: Reading, text: str) -> int:
    """How often a list holds the element that is shown as this text."""
    if reading.state is not KeyState.LIST:
        return 0
    value = int(text) if text.isdecimal() and text.isascii() and text == str(int(text)) else None
    count = 0
    for run in reading.runs():
        if run.raw is not None:
            count += shown(run.raw) == text
        elif value is not None:
            count += run.first <= value < run.first + run.count
    return count
