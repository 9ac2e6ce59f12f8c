"""Which figures each toxic takes, as one table: the checks and the documentation both read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ToxicFigures:
    """needed and optional: the keys of a fault that belong to this toxic; effect: one line for the documentation."""

    effect: str
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return self.needed + self.optional


TOXICS: Mapping[str, ToxicFigures] = {
    "latency": ToxicFigures(
        "every byte arrives later; jitter adds or takes away a random part", ("latency_ms",), ("jitter_ms",)
    ),
    "bandwidth": ToxicFigures(
        "bytes pass no faster than this; 0 stalls the link without losing anything", ("kb_per_s",)
    ),
    "slicer": ToxicFigures("bytes arrive in small slices", ("average_bytes",), ("variation_bytes", "delay_us")),
    "slow_close": ToxicFigures("a closed connection ends later", ("delay_ms",)),
    "timeout": ToxicFigures("bytes vanish and the connection closes after this; 0: it never closes", ("timeout_ms",)),
    "reset_peer": ToxicFigures("connections are reset after this, new ones as well", ("timeout_ms",)),
    "limit_data": ToxicFigures("each connection closes after this many bytes", ("limit_bytes",)),
    "loss": ToxicFigures(
        "packets vanish and are sent again, on replication links in containers only", ("loss_percent",)
    ),
    "cut": ToxicFigures("the link is down, both ways, and new connections are refused"),
}
FIGURES: tuple[str, ...] = tuple(dict.fromkeys(figure for toxic in TOXICS.values() for figure in toxic.all))
