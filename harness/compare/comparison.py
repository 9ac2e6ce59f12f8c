"""The comparison from beginning to end: both endpoints, all keys, again what differed; then the outcome."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.compare.first_look import UNREADABLE, FirstLook
from harness.compare.model import KINDS, Difference, Options, Outcome, Subject, Totals
from harness.compare.pace import Pace
from harness.compare.rounds import Candidate, Rounds
from harness.compare.side import Side, look_at, pinger, unreadable_types
from harness.compare.state import Progress, resume, save
from harness.compare.work import Found, Work
from harness.endpoint import digest_script
from harness.endpoint.address import Endpoint
from harness.errors import UsageError
from harness.resp.connection import Connection

_MOST_NAMED = 100  # keys that could not be read


def compare(a: Endpoint, b: Endpoint, options: Options, *, state: Path | None = None) -> Outcome:
    """Compare two endpoints, only reading. SetupError where one can't be reached; UsageError where both are one."""
    began = time.monotonic()
    sides = look_at("A", a, options.timeout_s), look_at("B", b, options.timeout_s)
    refuse_one_server(*sides)
    if options.replicas:
        sides[0].prefer_replicas(frozenset({sides[1].run_id}))
        sides[1].prefer_replicas(frozenset({sides[0].run_id}))
    about = _about(sides, options) if state else {}
    progress = resume(state, about) if state else Progress(about)
    with ExitStack() as stack:
        pings = [pinger(stack.enter_context(side.connect(0, 0))) for side in sides if options.most_commands_per_s]
        pace = Pace(options.most_commands_per_s, pings)
        stored = (lambda: save(state, progress)) if state else _nothing
        candidates, notes = _looked(sides, options, pace, progress, stored)
    progress.totals.commands += pace.commands
    if pace.slowed:
        notes.append(f"an endpoint answered more slowly than at first: the rate was lowered {pace.slowed} times")
    if state is not None:
        state.unlink(missing_ok=True)
    return _outcome(sides, options, progress, candidates, notes, time.monotonic() - began)


def refuse_one_server(a: Side, b: Side) -> None:
    """UsageError where both are the same server: whatever it holds, that would be equal."""
    shards = {shard.primary.address for shard in a.shards} & {shard.primary.address for shard in b.shards}
    if (a.run_id and a.run_id == b.run_id) or shards:
        raise UsageError(f"{a.name} ({a.endpoint}) and {b.name} ({b.endpoint}) are one and the same server; give two")


def _nothing() -> None:
    return None


def _about(sides: tuple[Side, Side], options: Options) -> dict[str, object]:
    """A stored cursor is good for the same servers and the same question only."""
    servers = {f"servers of {side.name}": [list(each) for each in side.readers()] for side in sides}
    return {**servers, **options.defining}


def _looked(
    sides: tuple[Side, Side], options: Options, pace: Pace, progress: Progress, stored: Callable[[], None]
) -> tuple[list[Candidate], list[str]]:
    a, b = sides
    unreadable = unreadable_types(a, b)
    digest, notes = _digest(sides, options) if options.digest else ("", [])

    def make_work(db: int, report: Callable[[Found], None], problem: Callable[[Subject, str], None]) -> Work:
        return Work(
            options,
            db,
            ("HPTTL" not in a.refused, "HPTTL" not in b.refused),
            unreadable,
            Totals(),
            report,
            problem,
            many_members=not {"SMISMEMBER"} & (a.refused | b.refused),
            digest=digest,
            weighs="MEMORY USAGE" not in a.refused,
        )

    def make_counted(db: int, report: Callable[[Found], None], problem: Callable[[Subject, str], None]) -> Work:
        work = make_work(db, report, problem)
        work.totals = progress.totals
        return work

    rounds = Rounds(sides, options, pace, make_work)
    FirstLook(sides, options, pace, progress, make_counted, stored, rounds.still_differ).run(_databases(sides, options))
    return rounds.run(progress.found), notes


def _databases(sides: tuple[Side, Side], options: Options) -> list[int]:
    if options.databases is not None:
        return sorted(options.databases)
    return sorted(sides[0].databases | sides[1].databases)


def _digest(sides: tuple[Side, Side], options: Options) -> tuple[str, list[str]]:
    """The command that runs a digest script on both sides; "" and a note where there is none."""
    for command in ("EVAL_RO", "EVAL"):
        if all(_runs_scripts(side, command) for side in sides):
            return command, []
    return "", ["--digest: a side does not run scripts, so that the values themselves were read"]


def _runs_scripts(side: Side, command: str) -> bool:
    with side.connect(0, 0) as connection:
        return isinstance(_probe(connection, command), bytes)


def _probe(connection: Connection, command: str) -> object:
    reply = connection.command(command, digest_script.STRING, 1, "harness:probe", 0, 1)
    moved = str(reply).startswith("MOVED")  # a cluster's other shard has that key; the command itself is fine
    return b"" if moved else reply


def _outcome(
    sides: tuple[Side, Side],
    options: Options,
    progress: Progress,
    candidates: Sequence[Candidate],
    notes: list[str],
    seconds: float,
) -> Outcome:
    differences, moving, not_checked = [], [], list(progress.problems)
    for candidate in candidates:
        subject = candidate.first.subject
        real = [finding for finding in candidate.stands if finding.kind != UNREADABLE]
        differences += [Difference(subject, finding) for finding in real]
        problems = [finding for finding in candidate.stands if finding.kind == UNREADABLE]
        not_checked += [f"{_name(subject)}: {_text(finding.expected)}" for finding in problems]
        if not candidate.stands:
            moving.append(subject)
    selected = options.keys is not None or options.databases is not None or options.sample < 1
    if selected and not progress.totals.keys + progress.totals.keys_b:
        not_checked.append("neither side has a key of those that were asked for")
    counts = Counter(difference.finding.kind for difference in differences)
    unseen = sum(progress.uncounted.values())
    if unseen:
        not_checked.append(f"{unseen} more differences of the first look were not looked at again")
    return Outcome(
        differences=tuple(sorted(differences, key=_rank)),
        counts=dict(counts),
        moving=tuple(moving),
        not_checked=tuple(not_checked[:_MOST_NAMED]),
        notes=(*sides[0].notes, *sides[1].notes, *notes, *_limits(options)),
        totals=progress.totals,
        seconds=seconds,
        endpoints=(str(sides[0].endpoint), str(sides[1].endpoint)),
        options=options,
    )


def _limits(options: Options) -> list[str]:
    """What the user left out."""
    limits = []
    if options.keys is not None:
        limits.append(f"only keys that match {options.keys}")
    if options.databases is not None:
        limits.append(f"only databases {', '.join(map(str, options.databases))}")
    if options.sample < 1:
        limits.append(f"a sample of {options.sample:.4g} of the keys")
    if options.rounds == 1:
        limits.append("one look only: a difference may have been a write on its way")
    return limits


def _rank(difference: Difference) -> tuple[int, bytes, int]:
    """The order of reports: by database and key, and the kinds of one key as in the table of kinds."""
    return difference.subject.db, difference.subject.key, list(KINDS).index(difference.finding.kind)


def _name(subject: Subject) -> str:
    return f"db {subject.db}, {subject.key.decode('utf-8', 'backslashreplace')}"


def _text(value: bytes | int | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
