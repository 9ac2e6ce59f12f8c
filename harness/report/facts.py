"""What a report says of a run beyond scenario, evidence and verdict: where it ran, with what, how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FaultProxyFacts:
    """Which fault proxy stood on the links. kind: "toxiproxy" or "embedded"; where: an address or a program's path."""

    kind: str
    version: str
    where: str = ""


@dataclass(frozen=True)
class Counts:
    """Elements by the outcome of their commands: answered with success, surely refused, and neither. redirected: those
    that were answered with MOVED, ASK or TRYAGAIN, each time that they were, by the answer.
    """

    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0
    redirected: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        answers = sorted({*self.redirected, *other.redirected})
        return Counts(
            self.acknowledged + other.acknowledged,
            self.failed + other.failed,
            self.unknown + other.unknown,
            {each: self.redirected.get(each, 0) + other.redirected.get(each, 0) for each in answers},
        )


@dataclass(frozen=True)
class Draws:
    """The property's draws by their verdicts. smallest: the smallest failing draw, in words; intermittent: a failure
    that did not come again when it was repeated."""

    examples: int = 0
    valid: int = 0
    invalid: int = 0
    unknown: int = 0
    smallest: str | None = None
    intermittent: bool = False


@dataclass(frozen=True)
class RunFacts:
    """One run, as its report names it. engines, origins, profiles and addresses are by node, seconds by step.

    engines: "valkey-9.1.2"; origins: where the program came from; profiles: only those that differ from oss, as
    reports say them ("simulated redis-enterprise"); seconds: start, write, converge, verify, total; counts: None
    where the ledgers of the evidence are to be counted; replay: the command that runs the same again.
    """

    run_id: str
    runtime: str
    part: str = "written"
    seed: int | None = None
    engines: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    fault_proxy: FaultProxyFacts | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    counts: Counts | None = None
    draws: Draws | None = None
    run_dir: str | None = None
    replay: str | None = None
