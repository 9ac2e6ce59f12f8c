"""The later rounds: what differed is looked at again, until it is equal, stands, or time is up and it is moving."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from harness.compare.detail import merged
from harness.compare.first_look import MakeWork
from harness.compare.lanes import Lanes
from harness.compare.large import large
from harness.compare.model import MOVING, UNREADABLE, Finding, Options, Subject, Totals
from harness.compare.pace import Pace
from harness.compare.pages import page
from harness.compare.settle import Settler
from harness.compare.side import Side
from harness.compare.work import Found
from harness.resp.encode import Keys
from harness.waiting import pause

_FIXED = frozenset({"missing_database", "extra_database"})


@dataclass
class Candidate:
    """A key that differed. last: what the last look saw; stands: what two looks in a row saw."""

    first: Found
    last: list[Finding]
    stands: list[Finding] = field(default_factory=list)
    settled: bool = False
    final: bool = False  # no further look can change it


def _candidates(found: Sequence[Found]) -> list[Candidate]:
    """One for each key, whatever was found of it, and however often a scan brought it."""
    of_key: dict[tuple[int, bytes], Found] = {}
    for each in found:
        at = (each.subject.db, each.subject.key)
        before = of_key.get(at)
        of_key[at] = _together(before, each) if before else each
    return [Candidate(each, each.findings) for each in of_key.values()]


def _together(one: Found, other: Found) -> Found:
    return replace(one, findings=merged([*one.findings, *other.findings]), excused=one.excused and other.excused)


@dataclass
class Rounds:
    """Looks at primaries, one key at a time."""

    sides: tuple[Side, Side]
    options: Options
    pace: Pace
    make_work: MakeWork
    totals: Totals
    clock: Callable[[], float] = time.monotonic

    def run(self, found: Sequence[Found]) -> list[Candidate]:
        """Those that did not turn out to be equal."""
        open_ones = _candidates(found)
        if self.options.rounds <= 1:
            for candidate in open_ones:
                candidate.stands = _standing(candidate.last)
            return open_ones
        end, number, looked_at = self.clock() + self.options.deadline_s, 1, self.clock()
        while not self._enough(open_ones, number) and self.clock() < end:
            self._pause(looked_at)
            looked_at, number = self.clock(), number + 1
            self._look(open_ones)
            open_ones = [candidate for candidate in open_ones if not candidate.settled]
        return open_ones

    def still_differ(self, found: Sequence[Found]) -> list[Found]:
        """One look at once, at keys that may have expired when their round comes."""
        candidates = _candidates(found)
        self._look(candidates)
        return [candidate.first for candidate in candidates if not candidate.settled]

    def _enough(self, candidates: Sequence[Candidate], number: int) -> bool:
        if all(candidate.final for candidate in candidates):
            return True
        return number >= self.options.rounds and all(each.stands or each.final for each in candidates)

    def _pause(self, since: float) -> None:
        pause(since + self.options.pause_s - self.clock())

    def _look(self, candidates: Sequence[Candidate]) -> None:
        with ExitStack() as stack:
            lanes: dict[int, Lanes] = {}
            for candidate in candidates:
                db = candidate.first.subject.db
                if candidate.final or self._is_fixed(candidate):
                    continue
                if db not in lanes:
                    lanes[db] = stack.enter_context(Lanes(*self.sides, db, deciding=True))
                self._look_at(candidate, lanes[db])

    def _is_fixed(self, candidate: Candidate) -> bool:
        if candidate.last and candidate.last[0].kind in _FIXED:
            candidate.stands, candidate.final = candidate.last, True
        return candidate.final

    def _look_at(self, candidate: Candidate, lanes: Lanes) -> None:
        subject, now = candidate.first.subject, list[Finding]()

        def problem(subject: Subject, text: str) -> None:
            now.append(Finding(UNREADABLE, None, text.encode()))

        work = self.make_work(subject.db, lambda found: now.extend(found.findings), problem)
        work.strict, work.digest = True, ""
        settler = Settler(self.pace, lanes.for_key(subject.key))
        settler.run(page(work, settler.lane, Keys([subject.key])))
        moved = settler.moved
        for item in work.large:
            settler.run(large(work, settler.lane, item))
            moved = moved or settler.moved
        if (work.gone and candidate.first.expires_at is not None) or work.totals.expired:
            self._gone(candidate)
        elif not now and not moved:
            candidate.settled = True
        else:
            before = {finding.signature for finding in candidate.last}
            candidate.stands = merged(_standing([finding for finding in now if finding.signature in before]))
            candidate.last = now

    def _gone(self, candidate: Candidate) -> None:
        """It expired since the first look, and the first finding stands, unless expiry explained all of that."""
        if candidate.first.excused:
            candidate.settled = True
            self.totals.expired += 1
        else:
            candidate.stands, candidate.final = _standing(candidate.first.findings), True


def _standing(findings: Sequence[Finding]) -> list[Finding]:
    """Those that can stand: that a value did not hold still proves nothing."""
    return [finding for finding in findings if finding.kind != MOVING]
