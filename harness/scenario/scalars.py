"""What a plain scalar means, and what `${VAR}` stands for. Pure text in, plain values out.

The rules are YAML 1.2's core schema, so that `on`, `no`, `1:30` and `2024-01-01` are text and only what looks like a
number is one; the environment's text is typed by the same rules once it is put in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]
Path = tuple[str | int, ...]

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_MAX_DIGITS = 400  # a longer number is beyond every limit, and Python's own conversion refuses it at 4300

_REFERENCE = re.compile(r"\$(?:(\$)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:[^}$]|\$(?!\{))*))?\}|(\{))")
_SECRET = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|AUTH", re.IGNORECASE)


def typed(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text in _NAN:
        return math.nan
    if match := _INFINITE.fullmatch(text):
        return -math.inf if match[1] == "-" else math.inf
    return _number(text)


def _number(text: str) -> Scalar:
    if _FLOAT.fullmatch(text):
        return int(text) if _INTEGER.fullmatch(text) and len(text) <= _MAX_DIGITS else float(text)
    if _BASED.fullmatch(text):
        return int(text, 0) if len(text) <= _MAX_DIGITS else math.inf
    return text


@dataclass(frozen=True)
class Filled:
    """A text after its references were replaced. variables: those it named, in order; none where it only had `$$`.

    failed: it could not be replaced, and that is already noted as a mistake.
    """

    text: str
    variables: tuple[str, ...] = ()
    failed: bool = False

    @property
    def secret(self) -> bool:
        """Whether a variable's name says that its value must not be shown."""
        return any(_SECRET.search(name) for name in self.variables)


class BadReferenceError(ValueError):
    """A reference that can't be replaced; str() is the sentence for the user, and never holds a value."""


def fill(text: str, environ: Mapping[str, str], otherwise: Callable[[str], str | None] = lambda _: None) -> Filled:
    """Replace ``${VAR}``, ``${VAR:-default}`` and ``$$`` in text; any other dollar sign stands for itself.

    As in a shell, a default also serves for a variable that is set but empty. otherwise: asked for the value of a
    variable that is not set and has no default; where it gives None, BadReferenceError names the variable.
    """
    variables: list[str] = []

    def value(match: re.Match[str]) -> str:
        dollar, name, default, malformed = match.groups()
        if dollar:
            return "$"
        if malformed:
            raise BadReferenceError(
                "a reference is written ${NAME} or ${NAME:-default}; a dollar sign before { is written $$"
            )
        variables.append(name)
        return _look_up(name, default, environ, otherwise)

    return Filled(_REFERENCE.sub(value, text), tuple(variables))


def _look_up(name: str, default: str | None, environ: Mapping[str, str], otherwise: Callable[[str], str | None]) -> str:
    found = environ.get(name)
    if default is not None:
        found = found or default.replace("$$", "$")
    elif found is None:
        found = otherwise(name)
    if found is None:
        raise BadReferenceError(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
    if not is_unicode(found):
        raise BadReferenceError(f"the environment variable {name} is not valid UTF-8")
    return found


def is_unicode(text: str) -> bool:
    """Whether the text can be encoded: no half of a surrogate pair stands alone in it."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def sole_variable(text: str) -> str | None:
    """The variable's name where the text is one reference and nothing else."""
    match = _REFERENCE.fullmatch(text)
    return match[2] if match else None


def escaped(text: str) -> str:
    """The text as it must be written so that `fill` gives it back unchanged."""
    return text.replace("$", "$$")
