"""What the tasks of a comparison share: the values on their way, and where they report what they see."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.compare.detail import merged
from harness.compare.frame import Frame
from harness.compare.model import MOVING, Finding, Options, Subject, Totals, shown

WINDOW_BYTES = 1 << 18
_MOST_ELEMENTS = 4_000  # in one window of small values
_FEWEST = 16
_GROWTH = 8


@dataclass
class Large:
    """A value that is compared piece by piece; its fields are all that a stored state needs to go on.

    position: index of the next piece; cursor: of the next page of members, of B once `on_b`, or where a stream goes on;
    weight: bytes of an element, 0 unknown; expires_at: as in Found; frames: A's and B's (see `frame`);
    joint: the mark of the element before `position`.
    """

    subject: Subject
    length_a: int
    length_b: int
    expires_at: float | None = None
    weight: int = 0
    position: int = 0
    cursor: str = ""
    joint: str = ""
    on_b: bool = False
    frames: list[Frame] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Found:
    """What was seen of one key. expires_at: the earliest time (seconds, as time.time()) at which the side that keeps it
    longer may drop it, None where a side keeps it for ever. excused: whether that it expired between the two reads
    explains all that was seen, by what it had left at its first look.
    """

    subject: Subject
    findings: list[Finding]
    expires_at: float | None
    excused: bool = False


@dataclass
class Work:
    """What the tasks of one database share. report: where differences go; problem: what could not be looked at;
    note: what limits the answer.
    """

    options: Options
    db: int
    field_ttls: tuple[bool, bool]  # whether each side knows of them
    unreadable: dict[str, str]
    totals: Totals
    report: Callable[[Found], None]
    problem: Callable[[Subject, str], None]
    note: Callable[[str], None]
    many_members: bool = False  # whether both sides know SMISMEMBER
    digest: str = ""  # the command that runs our digest scripts on both sides, "" to read the values themselves
    dumps: bool = False  # whether small values may be compared by DUMP first
    weighs: bool = False  # whether A knows MEMORY USAGE
    at_once: int = 500  # commands in one go
    ahead: int = 1  # pieces of a large value in one go
    strict: bool = False  # settling: everything is asked of both sides at once
    untold_field_ttls: str = ""  # why nobody can say when fields expire, "" where that is known
    gone: int = 0  # keys that neither side had when they were looked at
    large: list[Large] = field(default_factory=list)
    budget: int = 64  # elements in the next window of small values

    def found(self, subject: Subject, findings: Sequence[Finding], expires_at: float | None) -> None:
        if findings:
            soon = expires_at is not None and expires_at <= time.time() + self.options.tolerance_s
            self.report(Found(subject, merged(findings), expires_at, soon and one_side_empty(findings)))

    def moving(self, subject: Subject, expires_at: float | None) -> None:
        """It changed in a way that lets nobody say whether it is equal."""
        self.report(Found(subject, [Finding(MOVING)], expires_at))

    def without_digest(self, refusal: str) -> None:
        """A side does not run scripts after all: the values themselves are read from here on."""
        self.digest = ""
        self.note(f"--digest: a side does not run scripts ({refusal}), so that values themselves were read")

    def unchecked(self, kind: str, key: bytes, reason: str) -> None:
        """Keys of a type that can't be compared: counted, with the first of them by name."""
        name = f"db {self.db}, {kind}"
        count, first, _ = self.totals.unchecked.get(name, (0, shown(key), reason))
        self.totals.unchecked[name] = (count + 1, first, reason)

    def learn(self, elements_asked: int, size: int) -> None:
        """Adapt the windows to what elements turn out to weigh."""
        fits = WINDOW_BYTES * max(elements_asked, 1) // max(size, 1)
        self.budget = max(_FEWEST, min(_MOST_ELEMENTS, fits, self.budget * _GROWTH))


def one_side_empty(findings: Sequence[Finding]) -> bool:
    """Whether all of this would be seen if one side's value were gone."""
    if any(each.kind in ("type", "ttl", "field_ttl", MOVING) for each in findings):
        return False
    return all(not each.found for each in findings) or all(not each.expected for each in findings)
