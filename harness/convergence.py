"""Waits until every judged node has processed what its root primary held after the last write and the last heal.

Measured, never slept for, and never "until it looks right", which would hide damage that heals. Offsets decide where
they mean something; where an endpoint hides them, a canary written after the last value does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from harness.checker.evidence import Convergence, Target
from harness.checker.offsets import reached
from harness.endpoint.view import AskElsewhereError, NodeView, Sample
from harness.kinds import KeyRef
from harness.replication import ReplicationInfo
from harness.resp.connection import CannotConnect, ConnectionLost
from harness.runtime.readiness import WaitedTooLongError, wait_until

GIVE_UP_S = 60.0
LOOK_AROUND_S = 1.0  # how often it is asked whether waiting is in vain
T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long is waited. since: time.monotonic() of the later of last acknowledgement and last heal.

    hopeless: asked now and then for the reason why a node can never get there, None while it can.
    """

    since: float
    give_up_s: float = GIVE_UP_S
    hopeless: Callable[[str], str | None] = lambda node: None


def give_up_after(converges_within_s: float | None, give_up_s: float | None) -> float:
    """Seconds until waiting is given up: as written, never less than three times what the scenario expects."""
    return max(GIVE_UP_S if give_up_s is None else give_up_s, 3 * (converges_within_s or 0.0))


def ask(view: NodeView, question: Callable[[NodeView], T]) -> T:
    """A node may have closed a quiet connection, or have been restarted: then a new connection asks again."""
    try:
        return question(view)
    except ConnectionLost:
        view.close()
        return question(view)


def digits_up_to(last: int) -> int:
    """Decimal digits that the numbers 1..last have together: what they add to an offset at the very least."""
    total, width, low = 0, 1, 1
    while low <= last:
        total += width * (min(last, low * 10 - 1) - low + 1)
        width, low = width + 1, low * 10
    return total


def take_target(
    root: NodeView, streams: Mapping[str, KeyRef], before: Sample, acknowledged: int, *, one_by_one: bool = False
) -> Target:
    """Ask the root primary, in one transaction, what it holds. before: its state when writing began. one_by_one: a
    transaction a key, as a cluster wants it, whose last one tells the offset; nothing is written any more.
    """
    if one_by_one:
        lengths_told = tuple(_length(root, key) for key in streams.values())
        sample = replace(ask(root, NodeView.sample), lengths=lengths_told)
    else:
        sample = ask(root, lambda view: view.sample(tuple(streams.values())))
    lengths = {name: length or 0 for name, length in zip(streams, sample.lengths, strict=True)}
    grown = sample.replication.offset - before.replication.offset
    moved_on = sample.replication.replication_id != before.replication.replication_id
    return Target(
        replication_id=sample.replication.replication_id,
        offset=sample.replication.offset,
        lengths=lengths,
        offset_counts=moved_on or grown >= digits_up_to(acknowledged),
    )


def _length(root: NodeView, key: KeyRef) -> int | None:
    """Of one key, in elements: none where its slot is on its way, and it has gone already or was never here."""
    try:
        return ask(root, partial(NodeView.sample, keys=(key,))).lengths[0]
    except AskElsewhereError:
        return 0


def await_offsets(
    nodes: Mapping[str, NodeView], ask_target: Callable[[], Target], patience: Patience
) -> tuple[Target, tuple[Convergence, ...]]:
    """Wait for every node. If the target's replication id changes, it is asked again and all are waited for anew."""
    target = ask_target()
    while True:
        wait = _Wait(target, patience, ask_target)
        convergences = tuple(wait.for_node(node, view) for node, view in nodes.items())
        again = ask_target()
        if again.replication_id == target.replication_id:
            return target, convergences
        target = again


class _Wait:
    """For one target, as long as its primary stands by it."""

    def __init__(self, target: Target, patience: Patience, ask_target: Callable[[], Target]) -> None:
        self._target, self._patience, self._ask_target = target, patience, ask_target
        self._seen = ""
        self._looked_around = time.monotonic()

    def for_node(self, node: str, view: NodeView) -> Convergence:
        since = self._patience.since
        left = since + self._patience.give_up_s - time.monotonic()
        try:
            wait_until(
                lambda: self._reached(node, view),
                deadline_s=max(left, 0.0),
                what=f"{node} to converge",
                describe=lambda: self._seen,
            )
        except WaitedTooLongError as error:
            return Convergence(node, False, None, error.last_seen)
        return Convergence(node, True, max(0.0, time.monotonic() - since), self._seen)

    def _reached(self, node: str, view: NodeView) -> bool:
        info: ReplicationInfo | None = None
        try:
            info = ask(view, lambda view: view.replication())
        except (CannotConnect, ConnectionLost) as error:
            self._seen = str(error)
        else:
            self._seen = _shown(info, self._target)
            if reached(self._target, info):
                return True
        if time.monotonic() - self._looked_around > LOOK_AROUND_S:
            self._look_around(node, cut_off=info is None or not info.link_up)
            self._looked_around = time.monotonic()
        return False

    def _look_around(self, node: str, *, cut_off: bool) -> None:
        """End the wait where it is in vain."""
        reason = self._patience.hopeless(node) if cut_off else None
        if reason is None and self._ask_target().replication_id != self._target.replication_id:
            reason = "its primary is on another history now"
        if reason is not None:
            raise WaitedTooLongError(f"{node} to converge", 0.0, f"{self._seen}: {reason}")


def _shown(info: ReplicationInfo, target: Target) -> str:
    link = {True: "up", False: "down", None: "none"}[info.link_up]
    return f"offset {info.processed_offset} of {target.offset}, link {link}"
