"""The type of options that are seconds: apart, so that a command that starts nothing need not know how things start."""

from __future__ import annotations

from typing import Any

import click

A_DAY_S = 86_400.0


class Seconds(click.FloatRange):
    """From 0 to `most`, and a number: nan would pass every bound."""

    def __init__(self, most: float = A_DAY_S) -> None:
        super().__init__(0, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if (seconds := float(super().convert(value, param, ctx))) != seconds:
            self.fail(f"{value!r} is not in the range {self._describe_range()}.", param, ctx)
        return seconds
