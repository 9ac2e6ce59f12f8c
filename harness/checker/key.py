"""Judges one key on one node, by the judgement that its type calls for."""

from __future__ import annotations

from harness.checker.evidence import KeyState, Reading, Stream
from harness.checker.expected import ExpectedOrder, UnusableLedgerError, expected_order
from harness.checker.list_order import Circumstances, Findings, Judgement
from harness.checker.members import MemberJudgement
from harness.checker.witness import with_primary


def check_key(
    stream: Stream, reading: Reading, *, target_length: int | None, caught_up: bool, primary: Reading | None = None
) -> Findings:
    """Hold a reading against its stream's ledger. primary: the primary's own reading, to tell whether it differs."""
    try:
        order = expected_order(stream)
    except UnusableLedgerError as error:
        return Findings(doubts=(f"{stream.name}: {error}",))
    findings = check_order(stream, order, reading, Circumstances(target_length, caught_up))
    return with_primary(findings, primary) if primary is not None else findings


def check_order(stream: Stream, order: ExpectedOrder, reading: Reading, known: Circumstances) -> Findings:
    """The same, with a ledger already read."""
    if reading.state is KeyState.UNREADABLE:
        reason = reading.error or "no reason given"
        return Findings(doubts=(f"{stream.name} on {reading.node} could not be read: {reason}",), must=order.must)
    kind = Judgement if stream.data_type.ordered else MemberJudgement
    return kind(stream, order, reading, known).findings()
