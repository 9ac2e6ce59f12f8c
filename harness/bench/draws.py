"""How many draws of a property are made a second on a warm pair, judgement and Hypothesis included."""

from __future__ import annotations

from harness.bench.pair import run_property
from harness.bench.rows import Row
from harness.bench.setting import Setting

GOAL, DRAWS = 300.0, 1000


def property_draws(setting: Setting) -> list[Row]:
    """Draws of up to 50 values, each in a list of its own."""
    rates = []
    for _ in range(setting.rounds):
        report = run_property(DRAWS, setting.options.engines)
        rates.append(report["draws"]["examples"] / report["seconds"]["draw"])
    return [Row("property draws of up to 50 values on a warm pair", GOAL, tuple(rates), at_most=False, unit="/s")]
