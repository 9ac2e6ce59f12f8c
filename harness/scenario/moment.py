"""When a fault begins or ends: a share of the values, seconds, or an event."""

from __future__ import annotations

import decimal
import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from harness.scenario.fields import UnexpectedError

EVENTS = ("full_sync", "link_up", "written")
MAX_SECONDS = 86_400.0
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_SHARE = re.compile(rf"({_NUMBER})\s*%")
_SECONDS = re.compile(rf"({_NUMBER})\s*(ms|s)?")


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
            raise _not_a_moment(value)
        if isinstance(value, (int, float)):
            return cls._in_seconds(value, value)
        text = value.strip()
        if match := _SHARE.fullmatch(text):
            return cls._share(float(match[1]), text)
        if match := _SECONDS.fullmatch(text):
            return cls._in_seconds(float(match[1]) / (1000 if match[2] == "ms" else 1), text)
        if text in EVENTS:
            return cls(event=text)
        raise _not_a_moment(value)

    @classmethod
    def _share(cls, percent: float, written: object) -> Moment:
        if percent > 100:
            raise UnexpectedError("a share of the values of at most 100%", written)
        return cls(percent=percent)

    @classmethod
    def _in_seconds(cls, seconds: float, written: object) -> Moment:
        if not 0 <= seconds <= MAX_SECONDS:
            raise UnexpectedError(f"a number of seconds from 0 to {MAX_SECONDS:.0f}", written)
        return cls(seconds=float(seconds))

    def __str__(self) -> str:
        if self.percent is not None:
            return f"{_plain(self.percent)}%"
        if self.seconds is not None:
            return f"{_plain(self.seconds)}s"
        return str(self.event)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        events = "|".join(EVENTS)
        return {
            "anyOf": [
                {"type": "string", "pattern": rf"^({_NUMBER}\s*(%|ms|s)?|{events})$"},
                {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
            ]
        }


def _plain(number: float) -> str:
    """All digits that the number needs, and never an exponent."""
    return f"{decimal.Decimal(repr(number)).normalize():f}"


def _not_a_moment(value: object) -> UnexpectedError:
    return UnexpectedError(f"a share (20%), seconds (1.5s) or an event ({', '.join(EVENTS)})", value)
