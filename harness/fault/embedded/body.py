"""Request and answer bodies, read and written by the rules (and with the words) of the server that clients know.

Toxiproxy is written in Go: keys match in any case, unknown keys are ignored, `null` leaves the default, what follows
the first value is not looked at, and a number with a fraction is no integer.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, Final

from .refused import RefusedError

_LARGEST_INTEGER: Final = 2**63 - 1
_LARGEST_FLOAT32: Final = (2 - 2**-23) * 2.0**127
_ESCAPES: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_COMPLAINTS: Final = {  # Python's words for a syntax error -> Go's
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}


class _Decimal(float):
    """A number written with a fraction or an exponent, as it was written."""

    text: str

    def __new__(cls, text: str) -> _Decimal:
        made = super().__new__(cls, text)
        made.text = text
        return made


def decode(raw: bytes) -> Any:
    """The first JSON value of a body; RefusedError (400) where there is none."""
    text = raw.decode("utf-8", "replace").lstrip(" \t\r\n")
    try:
        return _DECODER.raw_decode(text)[0]
    except json.JSONDecodeError as error:
        raise _bad(_syntax_error(text, error)) from None
    except RecursionError:
        raise _bad("exceeded max depth") from None


def fields(value: Any, types: Mapping[str, str], owner: str, whole: str = "") -> dict[str, Any]:
    """The known fields that are there and not null. types: field -> Go type; owner: Go's name for the object;
    whole: the Go type that a value which is no object fails to be, if it may be the whole body.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad(f"json: cannot unmarshal {_kind(value)} into Go value of type {whole or owner}")
    found = {}
    for key, entry in value.items():
        name = key.lower()
        if name in types and entry is not None:
            found[name] = _typed(entry, types[name], f"{owner}.{name}")
    return found


def elements(value: Any, whole: str) -> list[Any]:
    """A list, or nothing for null."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise _bad(f"json: cannot unmarshal {_kind(value)} into Go value of type {whole}")
    return value


def wrong_type(value: Any, field: str, wanted: str) -> RefusedError:
    return _bad(f"json: cannot unmarshal {_kind(value)} into Go struct field {field} of type {wanted}")


def encode(value: Any) -> bytes:
    """Compact, and with the characters escaped that Go escapes."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text.encode("utf-8", "replace")


def single_precision(value: float) -> float | int:
    """The number as a 32-bit float would show it: 0.123456789 -> 0.12345679, 1.0 -> 1."""
    kept = _as_float32(value)
    candidates = (float(f"{kept:.{digits}g}") for digits in range(1, 10))
    shortest = next(shown for shown in candidates if _as_float32(shown) == kept)
    return int(shortest) if shortest.is_integer() else shortest


def _as_float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _typed(entry: Any, wanted: str, field: str) -> Any:
    if wanted == "object":
        return entry  # looked at when it is known what it must hold
    if wanted == "string" and isinstance(entry, str):
        return entry
    if wanted == "bool" and isinstance(entry, bool):
        return entry
    if isinstance(entry, (int, float)) and not isinstance(entry, bool):
        return _number(entry, wanted, field)
    raise wrong_type(entry, field, wanted)


def _number(entry: float, wanted: str, field: str) -> float:
    if wanted.startswith("int") and isinstance(entry, int) and -_LARGEST_INTEGER - 1 <= entry <= _LARGEST_INTEGER:
        return entry
    if wanted == "float32" and abs(entry) <= _LARGEST_FLOAT32:
        return float(entry)
    if wanted in ("string", "bool"):
        raise wrong_type(entry, field, wanted)
    shown = entry.text if isinstance(entry, _Decimal) else str(entry)
    raise _bad(f"json: cannot unmarshal number {shown} into Go struct field {field} of type {wanted}")


def _kind(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool"}
    return names.get(type(value), "number")


def _syntax_error(text: str, error: json.JSONDecodeError) -> str:
    if not text:
        return "EOF"
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    found = text[error.pos]
    if error.msg.startswith("Illegal trailing comma"):
        found = "}"
    shown = {"'": "'\\''", '"': "'\"'"}.get(found, f"'{found}'")
    return f"invalid character {shown} {_COMPLAINTS.get(error.msg, 'looking for beginning of value')}"


def _bad(message: str) -> RefusedError:
    return RefusedError(400, f"bad request body: {message}")


def _no_constant(name: str) -> Any:
    """NaN and Infinity, which Python takes for JSON."""
    raise _bad(f"invalid character '{name[0]}' looking for beginning of value")


_DECODER: Final = json.JSONDecoder(parse_float=_Decimal, parse_constant=_no_constant)
