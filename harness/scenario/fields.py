"""Types of single values: whole numbers, decimals and text, each with bounds and with its own sentence when wrong.

They stand apart from the models because pydantic's lax mode would take `true` for 1 and "12" for 12, and because an
error here says the whole range, not only the bound that was crossed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from harness.scenario.scalars import is_unicode, typed


class Hidden:
    """Stands for a value that is not to be shown."""


HIDDEN = Hidden()


class UnexpectedError(ValueError):
    """A value that is not what was expected; kept apart, so that whoever shows the error can hide a secret value."""

    def __init__(self, expected: str, value: object, hint: str = "") -> None:
        self.expected, self.value, self.hint = expected, value, hint
        super().__init__(self.sentence(shown(value)))

    def sentence(self, value: str) -> str:
        """The message, with the value as given."""
        return f"expected {self.expected}, not {value}{self.hint}"


@dataclass(frozen=True)
class Whole:
    """A whole number from low to high, both included; 1e6 is one, true and "12" are not. high None: no bound."""

    low: int = 0
    high: int | None = None

    def read(self, value: object) -> int:
        number = value
        if isinstance(value, float) and value.is_integer():
            number = int(value)
        if isinstance(number, bool) or not isinstance(number, int):
            raise UnexpectedError(str(self), value)
        if number < self.low or (self.high is not None and number > self.high):
            raise UnexpectedError(str(self), value)
        return number

    def __str__(self) -> str:
        return f"a whole number from {self.low} " + ("upwards" if self.high is None else f"to {self.high}")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = core_schema.int_schema(ge=self.low, le=self.high)
        return core_schema.no_info_before_validator_function(self.read, inner)


@dataclass(frozen=True)
class Decimal:
    """A finite number above 0 (from 0 where zero is allowed) and at most high."""

    high: float
    zero: bool = False

    def read(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UnexpectedError(str(self), value)
        if not (0 <= value <= self.high and (value > 0 or self.zero)):
            raise UnexpectedError(str(self), value)
        return float(value)

    def __str__(self) -> str:
        return f"a number {'from' if self.zero else 'above'} 0, at most {self.high:g}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        low, above = (0.0, None) if self.zero else (None, 0.0)
        inner = core_schema.float_schema(ge=low, gt=above, le=self.high, allow_inf_nan=False)
        return core_schema.no_info_before_validator_function(self.read, inner)


@dataclass(frozen=True)
class Text:
    """Text of one line (several where lines is set) without control characters, not empty unless empty is set.

    pattern: what the whole text must match; words: the same for a reader, "a node's name (letters, digits, …)".
    secret: no message shows the value.
    """

    longest: int
    words: str = "text"
    pattern: str | None = None
    empty: bool = False
    lines: bool = False
    secret: bool = False

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            hint = "; put it in quotes" if isinstance(value, (bool, int, float)) else ""
            raise UnexpectedError(self.words, HIDDEN if self.secret else value, hint)
        if problem := self._problem(value):
            raise ValueError(problem)
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise UnexpectedError(self.words, value)
        return value

    def _problem(self, value: str) -> str | None:
        if not value and not self.empty:
            return f"expected {self.words}, not an empty text"
        if len(value) > self.longest:
            return f"at most {self.longest} characters are allowed here, not {len(value)}"
        if character := control_character(value, allowed="\n\t" if self.lines else ""):
            return f"{character} is not allowed here"
        return None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        pattern = f"^{self.pattern}$" if self.pattern else None
        inner = core_schema.str_schema(min_length=0 if self.empty else 1, max_length=self.longest, pattern=pattern)
        return core_schema.no_info_before_validator_function(self.read, inner)


def control_character(text: str, allowed: str = "") -> str | None:
    """The first character that can't stand in a name, key, directive or password, in words; None where all can."""
    if not is_unicode(text):
        return "half of a surrogate pair"
    for character in text:
        if unicodedata.category(character) == "Cc" and character not in allowed:
            name = {"\n": "a newline", "\r": "a carriage return", "\t": "a tab", "\0": "a NUL"}.get(character)
            return name or f"the control character U+{ord(character):04X}"
    return None


def shown(value: object) -> str:
    """A value as a message shows it: scalars (long ones shortened), of lists and mappings only that they are."""
    if value is None or isinstance(value, Hidden):
        return "nothing" if value is None else "<hidden>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _shown_float(value)
    if isinstance(value, int):
        return _shortened(str(value))
    if isinstance(value, str):
        quoted = repr(_shortened(value))
        return f"the text {quoted} (numbers go without quotes)" if _is_number(value) else quoted
    return "a list" if isinstance(value, (list, tuple)) else "a mapping"


def _shown_float(value: float) -> str:
    if math.isfinite(value):
        return f"{value:g}"
    return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"


def _is_number(text: str) -> bool:
    return isinstance(typed(text), (int, float)) and not isinstance(typed(text), bool)


def _shortened(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
