"""When a fault begins or ends: a share of the values, seconds, or an event."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

EVENTS = ("full_sync", "link_up", "written")
MAX_SECONDS = 86_400.0
_SHARE = re.compile(r"^(\d+(?:\.\d+)?)\s*%$")
_SECONDS = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s)$")


@dataclass(frozen=True)
class Moment:
    """Exactly one of: percent (0..100) of the values, seconds, or the name of an event."""

    percent: float | None = None
    seconds: float | None = None
    event: str | None = None

    @classmethod
    def parse(cls, value: object) -> Moment:
        """Read ``20%``, ``1.5s``, ``300ms``, a plain number of seconds, or an event's name; ValueError otherwise."""
        if isinstance(value, Moment):
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError(_allowed(value))
        if isinstance(value, (int, float)):
            return cls._in_seconds(float(value), value)
        text = value.strip()
        if match := _SHARE.match(text):
            percent = float(match[1])
            if percent > 100:
                raise ValueError(f"a share of the values is at most 100%, not {text}")
            return cls(percent=percent)
        if match := _SECONDS.match(text):
            return cls._in_seconds(float(match[1]) / (1000 if match[2] == "ms" else 1), text)
        if text in EVENTS:
            return cls(event=text)
        raise ValueError(_allowed(value))

    @classmethod
    def _in_seconds(cls, seconds: float, written: object) -> Moment:
        if not 0 <= seconds <= MAX_SECONDS:
            raise ValueError(f"seconds lie between 0 and {MAX_SECONDS:.0f}, not {written}")
        return cls(seconds=seconds)

    def __str__(self) -> str:
        if self.percent is not None:
            return f"{self.percent:g}%"
        if self.seconds is not None:
            return f"{self.seconds:g}s"
        return str(self.event)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        events = "|".join(EVENTS)
        return {
            "anyOf": [
                {"type": "string", "pattern": rf"^(\d+(\.\d+)?\s*(%|ms|s)|{events})$"},
                {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
            ]
        }


def _allowed(value: object) -> str:
    return f"expected a share (20%), seconds (1.5s) or an event ({', '.join(EVENTS)}), not {value!r}"
