"""The first look at everything: A's keys against B, then B's keys that A may lack; in slices that can be resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

from harness.compare.exchange import Ask, Exchange, Lane, Mode, Steps
from harness.compare.lanes import Lanes
from harness.compare.large import large
from harness.compare.model import UNREADABLE, Finding, Options, Subject
from harness.compare.pace import Pace
from harness.compare.pages import page
from harness.compare.side import Side
from harness.compare.state import SCANNED, Progress
from harness.compare.work import Found, Large, Work
from harness.resp.connection import AccessRefused
from harness.resp.encode import KEY, Keys

SLICE_S = 0.2  # after which nothing is left open, and the state can be stored
MOST_LARGE = 100  # large values that wait
MOST_FOUND = 10_000  # keys that are looked at again; what differs beyond them is counted
_FINEST = 10_000  # of a sample

MakeWork = Callable[[int, Callable[[Found], None], Callable[[Subject, str], None]], Work]


@dataclass
class FirstLook:
    """Fills `progress`. stored: called when nothing is open and SLICE_S have passed; soon: looks again at once at keys
    that expire, and returns those that still differ.
    """

    sides: tuple[Side, Side]
    options: Options
    pace: Pace
    progress: Progress
    make_work: MakeWork
    stored: Callable[[], None]
    soon: Callable[[Sequence[Found]], list[Found]]

    def run(self, databases: Sequence[int]) -> None:
        """Every database of every shard, from where `progress` stands."""
        self._exchange = Exchange(self.pace)
        for phase, side in zip("ab", self.sides, strict=True):
            for db in databases:
                for shard in range(len(side.shards)):
                    if self._is_before(phase, db, shard, databases):
                        continue
                    self._stand_at(phase, db, shard)
                    self._shard(side)
        self.progress.done = True
        self.stored()

    def _is_before(self, phase: str, db: int, shard: int, databases: Sequence[int]) -> bool:
        """Whether this was done before the state that we go on from."""
        at = self.progress
        if at.done:
            return True
        if not at.begun or at.db not in databases:
            return False
        return (phase, databases.index(db), shard) < (at.phase, databases.index(at.db), at.shard)

    def _stand_at(self, phase: str, db: int, shard: int) -> None:
        at = self.progress
        if not at.begun or (at.phase, at.db, at.shard) != (phase, db, shard):
            at.phase, at.db, at.shard, at.cursor, at.large, at.begun = phase, db, shard, "0", [], True

    def _shard(self, side: Side) -> None:
        at = self.progress
        self._sudden: list[Found] = []
        work = self.make_work(at.db, self._report, self._problem)
        try:
            with Lanes(*self.sides, at.db) as lanes:
                lanes.for_key(b"")  # is there such a database at all?
                self._larges(work, lanes)
                left = at.cursor != SCANNED
                pages = lanes.scan(side, at.shard, at.cursor, self.options.keys, self.pace) if left else iter(())
                while self._slice(work, lanes, pages):
                    self.stored()
        except AccessRefused as refusal:
            self._no_database(refusal)

    def _slice(self, work: Work, lanes: Lanes, pages: Iterator[tuple[str, Keys]]) -> bool:
        """A moment's pages and their large values, to the end; False when there are no more."""
        at, until, more = self.progress, time.monotonic() + SLICE_S, True
        work.large = at.large
        step = page if at.phase == "a" else self._lacking

        def tasks() -> Iterator[tuple[Lane, Steps]]:
            nonlocal more
            while time.monotonic() < until and len(work.large) < MOST_LARGE:
                found = next(pages, None)
                if found is None:
                    more = False
                    return
                at.cursor, keys = (SCANNED if found[0] == "0" else found[0]), found[1]
                for lane, group in lanes.sorted(self._sampled(keys)) if keys else ():
                    if group:
                        yield lane, step(work, lane, group)

        self._exchange.run(tasks())
        self._look_soon()
        self._larges(work, lanes)
        return more and at.cursor != SCANNED

    def _larges(self, work: Work, lanes: Lanes) -> None:
        """The values that were too large for a page. What is done of one is in its position, so they can be stored."""
        waiting = self.progress.large
        stored_at = time.monotonic()

        def store() -> None:
            nonlocal stored_at
            if time.monotonic() - stored_at > SLICE_S and not self._sudden:  # what waits for its look is not stored
                self.stored()
                stored_at = time.monotonic()

        def tasks() -> Iterator[tuple[Lane, Steps]]:
            for item in list(waiting):
                lane = lanes.for_key(item.subject.key)
                yield lane, self._until_done(work, lane, item)

        self._exchange.run(tasks(), store)
        self._look_soon()

    def _look_soon(self) -> None:
        if self._sudden:
            sudden, self._sudden = self._sudden, []
            for each in self.soon(sudden):
                self._keep(each)

    def _until_done(self, work: Work, lane: Lane, item: Large) -> Steps:
        yield from large(work, lane, item)
        self.progress.large.remove(item)

    def _lacking(self, work: Work, lane: Lane, keys: Keys) -> Steps:
        """Of these keys of B, look at those that A does not have."""
        answer = yield Ask(Mode.LINES, lane.a.pack_each(keys, ("EXISTS", KEY)), b"", len(keys))
        self.progress.totals.keys_b += len(keys)
        if answer.lines_a == b":1\r\n" * len(keys):
            return
        lines = answer.lines_a.split(b"\r\n")[:-1]
        absent = [key for key, line in zip(keys, lines, strict=True) if line != b":1"]
        work.totals.keys -= sum(line.startswith(b"-") for line in lines)  # refused, and not new
        yield from page(work, lane, Keys(absent))

    def _sampled(self, keys: Keys) -> Keys:
        if self.options.sample >= 1:
            return keys
        share = round(self.options.sample * _FINEST)
        return Keys([key for key in keys if crc32(key) % _FINEST < share])

    def _report(self, found: Found) -> None:
        if self.options.rounds == 1 and found.excused:
            self.progress.totals.expired += 1
        elif found.expires_at is not None and self.options.rounds > 1:
            self._sudden.append(found)
        else:
            self._keep(found)

    def _keep(self, found: Found) -> None:
        at = self.progress
        if len(at.found) < MOST_FOUND:
            at.found.append(found)
            return
        for finding in found.findings:
            at.uncounted[finding.kind] = at.uncounted.get(finding.kind, 0) + 1

    def _problem(self, subject: Subject, text: str) -> None:
        if not subject.key:
            if text not in self.progress.problems:
                self.progress.problems.append(text)
            return
        self._keep(Found(subject, [Finding(UNREADABLE, None, text.encode())], None))

    def _refuses(self, side: Side) -> bool:
        try:
            side.connect(0, self.progress.db).close()
        except AccessRefused:
            return True
        return False

    def _no_database(self, refusal: AccessRefused) -> None:
        """One side has no such database. It matters only where the other has keys there."""
        at = self.progress
        holder = self.sides[0] if at.phase == "a" else self.sides[1]
        if at.db not in holder.databases:
            return
        if self._refuses(holder):  # it names a database that it does not let us look into
            if at.phase == "a" or at.db not in self.sides[0].databases:
                self._problem(
                    Subject(at.db, b"", ""), f"{holder.name} names database {at.db}, and refuses it: {refusal}"
                )
            return
        kind = "missing_database" if at.phase == "a" else "extra_database"
        text = str(refusal).encode()
        finding = Finding(kind, None, None, text) if at.phase == "a" else Finding(kind, None, text, None)
        self._keep(Found(Subject(at.db, b"", "database"), [finding], None))
