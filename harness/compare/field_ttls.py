"""Times to live as two sides tell them, of keys and of the fields of hashes."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from harness.compare.exchange import Answer, Ask, Lane, Mode
from harness.compare.model import Finding, Subject
from harness.compare.work import Work
from harness.resp.replies import ErrorReply, Reply

FOREVER = -1
UNKNOWN = -2  # there is no such key or field


def apart(ttl_a: int, ttl_b: int, slack_ms: float) -> bool:
    if ttl_a < 0 or ttl_b < 0:
        other = max(ttl_a, ttl_b)
        return FOREVER in (ttl_a, ttl_b) or other > slack_ms  # -2: it expired between TYPE and PTTL
    return abs(ttl_a - ttl_b) > slack_ms


def shown_ttl(ttl_ms: int) -> int | None:
    return ttl_ms if ttl_ms >= 0 else None


def field_ttls(
    work: Work, lane: Lane, subject: Subject, fields: Sequence[bytes]
) -> Generator[Ask, Answer, list[Finding]]:
    """Compare when fields expire. A side that knows nothing of it keeps them for ever."""
    if not fields:
        return []
    words: tuple[str | bytes | int, ...] = ("HPTTL", subject.key, "FIELDS", len(fields), *fields)
    asked = [side.pack(*words) if knows else b"" for side, knows in zip((lane.a, lane.b), work.field_ttls, strict=True)]
    answer = yield Ask(Mode.REPLIES, asked[0], asked[1], 1, len(fields), "times")
    if refused_here(work, subject, (answer.a or [])[:1] + (answer.b or [])[:1]):
        return []
    slack_ms = (answer.took_s + work.options.tolerance_s) * 1000
    found: list[Finding] = []
    for name, a, b in zip(fields, _numbers(answer.a, fields), _numbers(answer.b, fields), strict=True):
        if UNKNOWN not in (a, b) and a != b and apart(a, b, slack_ms):
            found.append(Finding("field_ttl", name, shown_ttl(a), shown_ttl(b)))
    return found


def _numbers(replies: list[Reply] | None, fields: Sequence[bytes]) -> list[int]:
    reply = replies[0] if replies else None
    numbers = [each for each in reply if isinstance(each, int)] if isinstance(reply, list) else []
    return numbers if len(numbers) == len(fields) else [FOREVER] * len(fields)


def refused_here(work: Work, subject: Subject, replies: Sequence[Reply]) -> bool:
    """Whether one of these is an error, which then is a problem; a key that went away meanwhile is none."""
    errors = [reply.text for reply in replies if isinstance(reply, ErrorReply) and "no such key" not in reply.text]
    if errors:
        work.problem(subject, errors[0])
    return bool(errors)
