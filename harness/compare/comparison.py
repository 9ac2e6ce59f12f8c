"""The comparison from beginning to end: both endpoints, all keys, again what differed; then the outcome."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.compare.first_look import FirstLook
from harness.compare.model import KINDS, UNREADABLE, Difference, Options, Outcome, Subject, Totals
from harness.compare.pace import Pace
from harness.compare.probes import unreadable_types
from harness.compare.replicas import prefer_replicas
from harness.compare.rounds import Candidate, Rounds
from harness.compare.side import Side, look_at, pinger, tell_apart
from harness.compare.state import Progress, resume, save
from harness.compare.work import Found, Work
from harness.endpoint import digest_script
from harness.endpoint.address import Endpoint
from harness.resp.connection import Connection

_MOST_NAMED = 100  # keys that could not be read


def compare(a: Endpoint, b: Endpoint, options: Options, *, state: Path | None = None) -> Outcome:
    """Compare two endpoints, only reading. SetupError where one can't be reached; UsageError where both are one."""
    began, pace = time.monotonic(), Pace(options.most_commands_per_s)
    sides = (_side("A", a, options, pace), _side("B", b, options, pace))
    untold = tell_apart(*sides)
    doubts = [*sides[0].doubts, *sides[1].doubts]
    if doubts:
        return _outcome(sides, options, Progress(problems=doubts), [], time.monotonic() - began)
    if untold and not options.different_servers:
        doubts.append(untold)
    if options.databases is None:
        doubts += [f"{side.name} hides which databases hold keys; name them with --db" for side in sides if side.unseen]
    if options.replicas:
        prefer_replicas(sides[0], sides[1].run_ids)
        prefer_replicas(sides[1], sides[0].run_ids)
    about = _about(sides, options) if state else {}
    progress = resume(state, about) if state else Progress(about)
    if not all(run_id for side in sides for _, run_id in (side.readers() if state else ())):
        progress.begin_shard_anew()
    with ExitStack() as stack:
        watched = [each for side in sides for each in side.connect_all()] if options.most_commands_per_s else []
        pace.watch([pinger(stack.enter_context(connection)) for connection in watched])
        stored = (lambda: save(state, progress)) if state else _nothing
        candidates = _looked(sides, options, pace, progress, stored)
    progress.totals.commands += pace.commands
    if pace.slowed:
        progress.notes.append(
            f"an endpoint answered more slowly than at first: times that the rate was lowered: {pace.slowed}"
        )
    progress.problems += [*doubts, *_moved_slots(sides, pace)]
    if state is not None:
        state.unlink(missing_ok=True)
    return _outcome(sides, options, progress, candidates, time.monotonic() - began)


def _side(name: str, endpoint: Endpoint, options: Options, pace: Pace) -> Side:
    return look_at(name, endpoint, options.timeout_s, trusted=options.trust_replicas, take=pace.take)


def _moved_slots(sides: tuple[Side, Side], pace: Pace) -> list[str]:
    """A key whose slot moves from a shard that is not scanned yet to one that is, is never seen."""
    return [
        f"{side.name}, a cluster: its slots moved to other servers meanwhile, so that keys may not have been seen"
        for side in sides
        if side.layout_now(pace.take) != side.layout_before()
    ]


def _nothing() -> None:
    return None


def _about(sides: tuple[Side, Side], options: Options) -> dict[str, object]:
    """A stored cursor is good for the same servers and the same question only."""
    servers: dict[str, object] = {
        f"servers of {side.name}": [[side.endpoint.user, *each] for each in side.readers()] for side in sides
    }
    return {**servers, **options.defining}


def _looked(
    sides: tuple[Side, Side], options: Options, pace: Pace, progress: Progress, stored: Callable[[], None]
) -> list[Candidate]:
    a, b = sides
    unreadable = unreadable_types({a.name: a.refused, b.name: b.refused})
    untold = "; ".join(side.untold_field_ttls for side in sides if side.untold_field_ttls)
    digest, dumps = _digest(sides, progress.notes) if options.digest else ("", False)

    def note(text: str) -> None:
        if text not in progress.notes:
            progress.notes.append(text)

    def make_work(db: int, report: Callable[[Found], None], problem: Callable[[Subject, str], None]) -> Work:
        return Work(
            options,
            db,
            (not untold and "HPTTL" not in a.refused, not untold and "HPTTL" not in b.refused),
            unreadable,
            Totals(),
            report,
            problem,
            note,
            many_members=not {"SMISMEMBER"} & (a.refused | b.refused),
            digest=digest,
            dumps=dumps,
            weighs="MEMORY USAGE" not in a.refused,
            at_once=min(500, pace.page),
            ahead=2 * pace.in_flight,
            untold_field_ttls=untold,
        )

    def make_counted(db: int, report: Callable[[Found], None], problem: Callable[[Subject, str], None]) -> Work:
        work = make_work(db, report, problem)
        work.totals = progress.totals
        return work

    rounds = Rounds(sides, options, pace, make_work, progress.totals)
    FirstLook(sides, options, pace, progress, make_counted, stored, rounds.still_differ).run(_databases(sides, options))
    return rounds.run(progress.found)


def _databases(sides: tuple[Side, Side], options: Options) -> list[int]:
    if options.databases is not None:
        return sorted(options.databases)
    return sorted(sides[0].databases | sides[1].databases)


def _digest(sides: tuple[Side, Side], notes: list[str]) -> tuple[str, bool]:
    """The command that runs a digest script on both sides, "" for none; and whether small values may be compared by
    DUMP first, because both are the same version.
    """
    versions = {side.identity.version for side in sides}
    dumps = len(versions) == 1 and "" not in versions and not any("DUMP" in side.refused for side in sides)
    for command in ("EVAL_RO", "EVAL"):
        if all(_runs_scripts(side, command) for side in sides):
            return command, dumps
    notes.append("--digest: a side does not run scripts, so that values themselves were read")
    return "", dumps


def _runs_scripts(side: Side, command: str) -> bool:
    with side.connect(0, 0) as connection:
        return isinstance(_probe(connection, command), bytes)


def _probe(connection: Connection, command: str) -> object:
    reply = connection.command(command, digest_script.STRING, 1, "harness:probe", 0, 1)
    moved = str(reply).startswith("MOVED")  # a cluster's other shard has that key; the command itself is fine
    return b"" if moved else reply


def _outcome(
    sides: tuple[Side, Side], options: Options, progress: Progress, candidates: Sequence[Candidate], seconds: float
) -> Outcome:
    differences, moving, not_checked = [], [], [*progress.problems, *_unchecked(progress.totals)]
    for candidate in candidates:
        subject = candidate.first.subject
        real = [finding for finding in candidate.stands if finding.kind != UNREADABLE]
        differences += [Difference(subject, finding) for finding in real]
        problems = [finding for finding in candidate.stands if finding.kind == UNREADABLE]
        not_checked += [f"{_name(subject)}: {_text(finding.expected)}" for finding in problems]
        if not candidate.stands:
            moving.append(subject)
    if not progress.problems and not progress.totals.keys + progress.totals.keys_b:
        not_checked.append(f"neither side has a key{' of those that were asked for' if options.part else ''}")
    counts = Counter(difference.finding.kind for difference in differences)
    unseen = sum(progress.uncounted.values())
    if unseen:
        not_checked.append(f"{unseen} more differences of the first look were not looked at again")
    once = ["one look only: a difference may have been a write on its way"] if options.rounds == 1 else []
    return Outcome(
        differences=tuple(sorted(differences, key=_rank)),
        counts=dict(counts),
        moving=tuple(moving),
        not_checked=tuple(_first(not_checked)),
        notes=(*sides[0].notes, *sides[1].notes, *progress.notes, *once),
        totals=progress.totals,
        seconds=seconds,
        endpoints=(str(sides[0].endpoint), str(sides[1].endpoint)),
        options=options,
    )


def _first(reasons: Sequence[str]) -> list[str]:
    """Those that are named, and how many are not."""
    more = len(reasons) - _MOST_NAMED
    return [*reasons[:_MOST_NAMED], *([f"and {more} more, which are not named"] if more > 0 else [])]


def _unchecked(totals: Totals) -> list[str]:
    """By database and type, the keys whose values were not compared."""
    return [
        f"{place}: {count} key{'s' if count > 1 else ''}, the first is {key}: {why}"
        for place, (count, key, why) in totals.unchecked.items()
    ]


def _rank(difference: Difference) -> tuple[int, bytes, int]:
    """The order of reports: by database and key, and the kinds of one key as in the table of kinds."""
    return difference.subject.db, difference.subject.key, list(KINDS).index(difference.finding.kind)


def _name(subject: Subject) -> str:
    return f"db {subject.db}, {subject.key.decode('utf-8', 'backslashreplace')}"


def _text(value: bytes | int | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
