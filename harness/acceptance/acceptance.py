"""The acceptance from beginning to end: preflight, canary, comparison, drift; then the verdict and the checklists."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from harness.acceptance.canary import canary
from harness.acceptance.case import Case
from harness.acceptance.facts import facts_of, survey
from harness.acceptance.model import Acceptance, Check, Grade, verdict_of
from harness.acceptance.preflight import preflight
from harness.acceptance.product import Product
from harness.compare.comparison import compare
from harness.compare.model import Options, Outcome
from harness.compare.pace import Pace
from harness.compare.report import verdict_line
from harness.compare.side import Side, look_at, pinger, tell_apart
from harness.endpoint.address import Endpoint
from harness.errors import HarnessError, SetupError
from harness.resp.connection import AccessRefused, Connection
from harness.resp.replication_info import info_fields, parse_replication
from harness.resp.replies import Reply
from harness.waiting import pause

Figures = dict[str, float | int | str]


@dataclass(frozen=True)
class AcceptOptions:
    """drift_s: seconds until the second comparison, 0 for none. measure_s: how long the source's writes are counted."""

    canary: bool = False
    canary_deadline_s: float = 10.0
    product: Product | None = None
    drift_s: float = 120.0
    measure_s: float = 2.0
    comparison: Options = field(default_factory=Options)


def accept(
    source: Endpoint, target: Endpoint, options: AcceptOptions, say: Callable[[str], None] = lambda text: None
) -> Acceptance:
    """Check whether the target can take over. UsageError where both are one server. say: told what is going on."""
    began, figures = time.monotonic(), Figures()
    sides, checks = _reached(source, target, options)
    if doubts := [doubt for side in sides for doubt in side.doubts]:
        checks += [Check("servers", Grade.NOT_POSSIBLE, doubt, "mend that first", required=True) for doubt in doubts]
    elif len(sides) == 2:
        checks += _two_servers(sides[0], sides[1], options)
        checks += _preflight(sides[0], sides[1], options, figures, say)
        checks += _canary(sides[0], sides[1], options, figures, say)
        checks += _compared(source, target, options, figures, say)
    else:
        reason = "an endpoint could not be reached"
        checks += [Check(name, Grade.NOT_POSSIBLE, reason, required=True) for name in ("preflight", "comparison")]
    return Acceptance(
        source=str(source),
        target=str(target),
        checks=tuple(checks),
        figures=figures,
        cutover=_cutover(checks, figures),
        rollback=_rollback(figures),
        seconds=time.monotonic() - began,
    )


def _reached(source: Endpoint, target: Endpoint, options: AcceptOptions) -> tuple[list[Side], list[Check]]:
    sides, checks = [], []
    pace, chosen = Pace(options.comparison.most_commands_per_s), options.comparison
    for name, endpoint in (("source", source), ("target", target)):
        try:
            side = look_at(name, endpoint, chosen.timeout_s, trusted=chosen.trust_replicas, take=pace.take)
        except SetupError as problem:
            checks.append(Check(f"{name} reachable", Grade.FAIL, str(problem), _mend(name, problem), required=True))
        else:
            sides.append(side)
            checks.append(Check(f"{name} reachable", Grade.PASS, f"version {side.version or 'hidden'}", required=True))
    return sides, checks


def _two_servers(source: Side, target: Side, options: AcceptOptions) -> list[Check]:
    """UsageError where both are one. Nothing, where they are surely two."""
    untold = tell_apart(source, target)
    if not untold or options.comparison.different_servers:
        return []
    return [Check("two servers", Grade.NOT_POSSIBLE, untold, "give --different-servers", required=True)]


def _mend(name: str, problem: SetupError) -> str:
    if "the CA file" in str(problem):
        return "give the path of the private CA's certificate, as PEM, with ?ca_file=PATH"
    if "a comparison needs" in str(problem):
        return "give the user the right to these commands, or take another user"
    if "max number of clients" in str(problem):
        return "raise maxclients, or wait until there are fewer"
    if isinstance(problem, AccessRefused) and "certificate" in str(problem):
        return "renew the certificate, or give the private CA that signed it with ?ca_file=PATH"
    if isinstance(problem, AccessRefused):
        return f"check user and password: in the URL, or in HARNESS_ENDPOINT_{name.upper()}_USER and _PASSWORD"
    return "check the address, the port, TLS or not, and what stands between here and there"


def _preflight(
    source: Side, target: Side, options: AcceptOptions, figures: Figures, say: Callable[[str], None]
) -> list[Check]:
    say("preflight")
    facts, other = facts_of(source, source.databases), facts_of(target, source.databases)
    rates = _write_rates(source, options.measure_s)
    pace = Pace(options.comparison.most_commands_per_s)
    with ExitStack() as stack:
        pace.watch([pinger(stack.enter_context(connection)) for connection in source.connect_all()])
        surveyed = survey(source, pace)
    case = Case(facts, other, surveyed, options.product, rates, figures, frozenset(options.comparison.skip_types))
    figures["keys"] = sum(surveyed.types.values())
    return preflight(case)


def _write_rates(side: Side, seconds: float) -> tuple[float | None, ...]:
    """Bytes a second that are written to each shard while we send nothing but the questions; see `_written`."""
    with ExitStack() as stack:
        connections = [
            stack.enter_context(side.connect(number, 0, deciding=True)) for number in range(len(side.shards))
        ]
        began, first = time.monotonic(), [_written(connection) for connection in connections]
        pause(seconds)
        last, took = [_written(connection) for connection in connections], time.monotonic() - began
    pairs = zip(first, last, strict=True)
    return tuple((now - was) / took if was is not None and now is not None else None for was, now in pairs)


def _written(connection: Connection) -> int | None:
    """Bytes that were written so far: the primary's replication offset. A primary that never had a replica counts none,
    and then what its clients sent but for us, which is at least as much. None where both are hidden.
    """
    replication, statistics = (connection.command("INFO", section) for section in ("replication", "stats"))
    sent = info_fields(_text(statistics)).get("total_net_input_bytes", "")
    return _offset(_text(replication)) or (int(sent) - connection.bytes_sent if sent.isdigit() else None)


def _text(reply: Reply) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""


def _offset(text: str) -> int:
    try:
        return parse_replication(text).offset
    except HarnessError:
        return 0


def _canary(
    source: Side, target: Side, options: AcceptOptions, figures: Figures, say: Callable[[str], None]
) -> list[Check]:
    if not options.canary:
        return [Check("canary", Grade.NOT_POSSIBLE, "nothing may be written without --canary")]
    say("canary")
    result = canary(source, target, options.canary_deadline_s)
    figures.update(result.figures)
    return list(result.checks)


def _compared(
    source: Endpoint, target: Endpoint, options: AcceptOptions, figures: Figures, say: Callable[[str], None]
) -> list[Check]:
    say("comparison")
    chosen = replace(options.comparison, replicas=False)  # a decision is not made on a replica's word
    outcome = compare(source, target, chosen)
    figures["comparison s"] = round(outcome.seconds, 1)
    figures["keys compared"] = outcome.totals.keys
    checks = [_check_of("comparison", outcome, required=True)]
    if not options.drift_s:
        return [*checks, Check("drift", Grade.NOT_POSSIBLE, "no second look was asked for")]
    say(f"drift: a second look in {options.drift_s:g} s")
    pause(options.drift_s)
    return [*checks, _check_of("drift", compare(source, target, chosen), required=True)]


def _check_of(name: str, outcome: Outcome, *, required: bool) -> Check:
    found = verdict_line(outcome).splitlines()[0]
    if outcome.verdict == "equal" and (part := outcome.options.part):
        todo = "nothing is known of the rest: compare all of it, or decide to do without"
        return Check(name, Grade.WARN, f"{found} ({part})" if part not in found else found, todo, required)
    if outcome.verdict == "equal":
        return Check(name, Grade.PASS, found, required=required)
    if outcome.verdict == "unknown":
        reasons = [*outcome.not_checked, *([f"{len(outcome.moving)} keys never held still"] if outcome.moving else [])]
        return Check(name, Grade.NOT_POSSIBLE, f"{found}: {'; '.join(reasons[:5])}", required=required)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.counts.items()))
    first = outcome.differences[0].as_json()
    where = f"of {first['key']} in db {first['db']}" if first["key"] else f"db {first['db']}"
    text = f"{found}: {kinds}; first: {first['kind']} {where}"
    return Check(
        name, Grade.FAIL, text, "`harness compare` lists them all; mend the target, then run this again", required
    )


def _cutover(checks: list[Check], figures: Figures) -> tuple[str, ...]:
    if verdict_of(checks) != "go":
        return ("Do not cut over before every fail is mended and every required check has an answer.",)
    warnings = [check.name for check in checks if check.grade is Grade.WARN]
    wait = "wait until the target has caught up"
    if "lag p99 ms" in figures:
        wait = f"lag p99 was {figures['lag p99 ms']} ms: wait ten times that before the next step"
    return (
        *([f"Decide on the warnings: {', '.join(warnings)}."] if warnings else []),
        "Announce the window, and keep a way to talk to everybody who writes.",
        f"Stop all writers of the source, or make it refuse writes; {wait}.",
        f"Compare again: it took {figures.get('comparison s', '?')} s for {figures.get('keys compared', '?')} keys.",
        "Detach the target from the source, and make it the primary.",
        "Point readers, then writers, at the target; watch errors, latency and evictions.",
    )


def _rollback(figures: Figures) -> tuple[str, ...]:
    survived = figures.get("cut survived s")
    window = f" within {survived} s of its last contact" if survived is not None else ""
    return (
        "Keep the source untouched, with its data, until the target has carried a full day's load.",
        "Before writers use the target: pointing clients back at the source is enough.",
        f"A target that is detached can resume following the source{window} without a full sync.",
        "After writers used the target: compare with the sides exchanged, and bring back what the source lacks.",
    )
