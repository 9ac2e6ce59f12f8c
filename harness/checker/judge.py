"""From a run's evidence to its verdict. It sees values only, so that a stored run can be judged again.

Nothing here may turn a question that could not be answered into "valid": what is missing, contradictory or crashes
becomes a doubt, and a doubt makes the verdict unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from harness.checker.evidence import Convergence, Evidence, MisplacedKey, OtherKey, Reading, Shrink, Stream, Target
from harness.checker.expectations import Docket, check_expectations, fits, in_words
from harness.checker.expected import ExpectedOrder, UnusableLedgerError, expected_order
from harness.checker.key import check_order
from harness.checker.list_order import Circumstances, Findings
from harness.checker.losses import Loss, losses, without
from harness.checker.losses import anomaly as anomaly_of
from harness.checker.shared import own_length, own_part, producers, shortfall
from harness.checker.show import elements
from harness.checker.told import contradiction, may_be_late
from harness.checker.verdict import Anomaly, First, Kind, Outcome, Verdict
from harness.checker.witness import with_primary
from harness.scenario.model import Expect


def judge(
    evidence: Evidence, expect: Expect, *, strict_capabilities: bool = False, faults_must_meet: bool = True
) -> Verdict:
    """strict_capabilities: what the runtime can't measure or disturb is an expectation not met. faults_must_meet: a
    fault that met nothing leaves a doubt; of a property's draws one alone must have met it.
    """
    docket = Docket(doubts=list(evidence.doubts), not_checked=list(evidence.not_checked), notes=list(evidence.notes))
    trial = _Trial(evidence, expect, docket)
    trial.faults_must_meet = faults_must_meet
    for step in (trial.judge_lists, trial.judge_keys, trial.judge_faults, trial.judge_expectations):
        try:
            step()
        except Exception as error:  # noqa: BLE001 - a checker that crashes gives unknown, never valid
            docket.doubts.append(f"the checker failed: {type(error).__name__}: {error}")
    return _verdict(docket, evidence, expect, strict_capabilities)


def _verdict(docket: Docket, evidence: Evidence, expect: Expect, strict: bool) -> Verdict:
    expected = set(expect.anomalies or ())
    beyond = {Kind.LOST} if expect.lost is not None else set()  # a budget says which losses are expected
    unexpected = tuple(
        anomaly
        for anomaly in docket.anomalies
        if not anomaly.budgeted and (anomaly.kind not in expected or anomaly.kind in beyond)
    )
    for kind in sorted(expected - {anomaly.kind for anomaly in docket.anomalies}):
        if kind in beyond and evidence.not_applied and not any(fault.loses for fault in evidence.faults):
            docket.notes.append("nothing could be lost, since no fault was applied that loses anything")
        elif kind in beyond:
            docket.doubts.append("nothing was lost in a failover, so that its budget proves nothing")
        elif docket.doubts:
            docket.doubts.append(f"{kind} was expected, and did not occur in what could be judged")
        else:
            docket.unmet.append(f"anomalies: {kind} was expected, and did not occur")
    if strict:
        docket.unmet += [f"not checked: {text}" for text in docket.not_checked]
        docket.unmet += [f"not applied: {text}" for text in evidence.not_applied]
    outcome = Outcome.INVALID if docket.anomalies else Outcome.UNKNOWN if docket.doubts else Outcome.VALID
    return Verdict(
        outcome=outcome,
        as_expected=not (unexpected or docket.unmet or docket.doubts),
        anomalies=tuple(docket.anomalies),
        unexpected=unexpected,
        unmet=tuple(dict.fromkeys(docket.unmet)),
        doubts=tuple(dict.fromkeys(docket.doubts)),
        not_checked=tuple(docket.not_checked),
        not_applied=evidence.not_applied,
        notes=tuple(dict.fromkeys(docket.notes)),
    )


class _Trial:
    """One evidence, held against the rules step by step."""

    def __init__(self, evidence: Evidence, expect: Expect, docket: Docket) -> None:
        self.evidence, self.expect, self.docket = evidence, expect, docket
        self.nodes = [node for node in evidence.nodes if expect.nodes is None or node in expect.nodes]
        self.faults_must_meet = True
        self.orders: dict[str, ExpectedOrder] = {}
        self.losses = self._losses()
        if self.losses:
            self.evidence = evidence = replace(evidence, streams=tuple(map(self._surviving, evidence.streams)))
        self.producers = producers(evidence.streams)

    def _losses(self) -> dict[str, Loss]:
        try:
            return losses(self.evidence)
        except Exception as error:  # noqa: BLE001 - a checker that crashes gives unknown, never valid
            self.docket.doubts.append(f"what a failover cost can't be told: {type(error).__name__}: {error}")
            return {}

    def _surviving(self, stream: Stream) -> Stream:
        loss = self.losses.get(stream.name)
        return stream if loss is None else without(stream, loss)

    # lists

    def judge_lists(self) -> None:
        self.docket.doubts += self._vacuous()
        found: dict[tuple[str, str], Findings] = {}
        self.docket.anomalies += self._lost()
        for stream in self.evidence.streams:
            self._read_ledger(stream)
        for stream in self.evidence.streams:
            found.update({(node, stream.name): findings for node, findings in self._stream(stream)})
        for node in self.nodes:
            for stream in self.evidence.streams:
                if findings := found.get((node, stream.name)):
                    self.docket.anomalies += findings.anomalies
                    self.docket.doubts += findings.doubts
                    self.docket.notes += findings.notes
            self.docket.anomalies += self._short(node, found)
            self._judge_convergence(node)
        self._judge_told_lengths()

    def _judge_told_lengths(self) -> None:
        """What a node told of a key's length and what it sent of it are equal, whatever else is wrong there."""
        for reading in self.evidence.readings:
            together = self.producers.get(reading.stream)
            if not reading.beyond or not together or reading.node not in self.nodes:
                continue
            text = contradiction(reading, together[0])
            if reading.beyond > 0 and self._was_behind(reading.node):
                self.docket.notes.append(f"{text}; it had not caught up, so that more may have come meanwhile")
            elif may_be_late(reading, together, self.orders):
                self.docket.notes.append(f"{text}; commands that broke unfenced may have been executed meanwhile")
            else:
                self.docket.doubts.append(text)

    def _lost(self) -> Iterator[Anomaly]:
        """What a failover cost, once for each key, on the primary that its shard has now."""
        budget_s = self.expect.lost.within_s if self.expect.lost is not None else None
        for stream in self.evidence.streams:
            if (loss := self.losses.get(stream.name)) is not None:
                roots = [root for root, target in self.evidence.targets.items() if stream.reading in target.lengths]
                yield anomaly_of(stream, loss, roots[0], budget_s)

    def _short(self, node: str, found: Mapping[tuple[str, str], Findings]) -> Iterator[Anomaly]:
        """Keys of several producers, none of which misses anything, that are shorter than the primary's."""
        for name, together in self.producers.items():
            clean = all(not found[node, each.name].anomalies for each in together if (node, each.name) in found)
            reading = next((each for each in self.evidence.readings if (each.node, each.stream) == (node, name)), None)
            target = self._target(together[0]) if len(together) > 1 and clean else None
            if target is not None and reading is not None:
                caught_up = self._caught_up(node, target)
                if short := shortfall(reading, together[0], target.lengths[name], caught_up):
                    yield short

    def _vacuous(self) -> Iterator[str]:
        """Evidence in which nothing was looked at proves nothing."""
        if not self.nodes:
            yield "no node was judged"
        if not self.evidence.streams:
            yield "nothing was written, so nothing was judged"
        for node in self.expect.nodes or ():
            if node not in self.evidence.nodes:
                yield f"{node} should be judged, and was not looked at"
        places: dict[tuple[int, str], str] = {}
        for stream in self.evidence.streams:
            other = places.setdefault((stream.db, stream.key), stream.reading)
            if other != stream.reading:
                yield f"{other} and {stream.reading} were both written to {stream.key} in db {stream.db}"

    def _read_ledger(self, stream: Stream) -> None:
        try:
            self.orders[stream.name] = expected_order(stream)
        except UnusableLedgerError as error:
            self.docket.doubts.append(f"{stream.name}: {error}")
        except Exception as error:  # noqa: BLE001 - a checker that crashes gives unknown, never valid
            self.docket.doubts.append(f"{stream.name}: its ledger can't be read: {type(error).__name__}: {error}")

    def _stream(self, stream: Stream) -> Iterator[tuple[str, Findings]]:
        order = self.orders.get(stream.name)
        if order is None:
            return
        self._judge_acknowledgements(stream, order)
        nodes = [node for node in self.nodes if stream.nodes is None or node in stream.nodes]
        readings = [reading for node in nodes if (reading := self._reading(node, stream)) is not None]
        if not nodes and (self.nodes or self.expect.nodes is None):
            left_out = ": expect.nodes leaves out all that hold it" if self.expect.nodes is not None else ""
            self.docket.doubts.append(f"{stream.reading} was judged on no node{left_out}")
        known = {reading.node: self._circumstances(reading.node, stream) for reading in readings}
        first = {each.node: self._findings(stream, order, each, known[each.node]) for each in readings}
        self.docket.doubts += [f"{stream.name}: {text}" for text in _differing(first)]
        held = _most_held(first)
        for reading in readings:
            node, findings = reading.node, first[reading.node]
            if any(held.get(connection, 0) > own for connection, own in findings.held.items()):
                findings = self._findings(stream, order, reading, replace(known[node], held_elsewhere=held))
            yield node, self._beside_primary(findings, stream)

    def _findings(self, stream: Stream, order: ExpectedOrder, reading: Reading, known: Circumstances) -> Findings:
        try:
            return check_order(stream, order, reading, known)
        except Exception as error:  # noqa: BLE001 - a checker that crashes gives unknown, never valid
            text = f"{stream.name} on {reading.node} could not be judged: {type(error).__name__}: {error}"
            return Findings(doubts=(text,))

    def _beside_primary(self, findings: Findings, stream: Stream) -> Findings:
        """Where the primary was read as well, tell whether it differs."""
        for reading in self.evidence.readings:
            if reading.stream == stream.reading and reading.node not in self.nodes:
                return with_primary(findings, reading)
        return findings

    def _reading(self, node: str, stream: Stream) -> Reading | None:
        found = [each for each in self.evidence.readings if each.node == node and each.stream == stream.reading]
        if len(found) != 1:
            self.docket.doubts.append(f"{stream.reading} was read {len(found)} times from {node}, not once")
            return None
        return own_part(found[0], stream, self.producers[stream.reading])

    def _circumstances(self, node: str, stream: Stream) -> Circumstances:
        target = self._target(stream)
        if target is None:
            return Circumstances(None, caught_up=False)
        together = self.producers[stream.reading]
        length = own_length(target.lengths[stream.reading], stream, together, self.orders)
        return Circumstances(length, self._caught_up(node, target))

    def _caught_up(self, node: str, target: Target) -> bool:
        convergence = self._convergence(node)
        reached = convergence is not None and convergence.reached and not _means_nothing(convergence, target)
        return reached or node in self.evidence.targets

    def _target(self, stream: Stream) -> Target | None:
        found = [target for target in self.evidence.targets.values() if stream.reading in target.lengths]
        if len(found) != 1:
            text = f"{stream.reading}: {len(found)} primaries told what they held at the end, not one"
            self.docket.doubts.append(text)
        return found[0] if len(found) == 1 else None

    def _judge_acknowledgements(self, stream: Stream, order: ExpectedOrder) -> None:
        if stream.must_acknowledge and (order.refused or order.unanswered):
            self.docket.unmet.append(
                f"{stream.name}: no fault is in the writer's way, so all {stream.values} elements must be "
                f"acknowledged; {order.refused} were refused and {order.unanswered} got no answer, "
                f"the first: {order.first_error}"
            )
        loose = [commands for commands in order.opens if commands.floating]
        if loose:
            names = ", ".join(str(commands.connection) for commands in loose[:10]) + (", …" if len(loose) > 10 else "")
            self.docket.notes.append(
                f"{stream.name}: unfenced breaks of connection {names}: "
                f"{elements(sum(commands.total for commands in loose))} without an answer may stand anywhere after "
                "their place"
            )

    # convergence

    def _convergence(self, node: str) -> Convergence | None:
        found = [each for each in self.evidence.convergences if each.node == node]
        return found[0] if len(found) == 1 else None

    def _was_behind(self, node: str) -> bool:
        """Whether it was read although it had not caught up: no verdict calls that valid."""
        convergence = self._convergence(node)
        return node not in self.evidence.targets and convergence is not None and not convergence.reached

    def _judge_convergence(self, node: str) -> None:
        """A target that was never reached is told as stale where a tail is missing, and else leaves a doubt."""
        convergence = self._convergence(node)
        if node in self.evidence.targets:
            return  # a primary is where the target comes from
        if convergence is None:
            self.docket.doubts.append(f"whether {node} caught up was not measured, or more than once")
            return
        targets = self.evidence.targets
        own = [targets[convergence.primary]] if convergence.primary in targets else list(targets.values())
        if any(_means_nothing(convergence, target) for target in own):
            self.docket.doubts.append(
                f"{node}: its primary's offset did not grow by what was written, so that offsets say nothing"
            )
        stale = any(anomaly.kind is Kind.STALE and anomaly.node == node for anomaly in self.docket.anomalies)
        if not convergence.reached and not stale:
            self.docket.doubts.append(
                f"{node} never reached its primary's offset, though no list ends early; "
                f"last seen: {convergence.last_seen}"
            )

    # keys

    def judge_keys(self) -> None:
        named = {(anomaly.node, anomaly.db, anomaly.key) for anomaly in self.docket.anomalies}
        self.docket.anomalies += [_stray_key(other) for other in self.evidence.other_keys if other.node in self.nodes]
        self.docket.anomalies += [_misplaced(key) for key in self.evidence.misplaced]
        streams = {stream.reading: stream for stream in self.evidence.streams}
        for shrink in self.evidence.shrinks:
            stream = streams.get(shrink.stream)
            if stream is None:
                self.docket.doubts.append(f"{shrink.stream} shrank on {shrink.node}, and nothing is known of it")
            elif shrink.node in self.nodes and (shrink.node, stream.db, stream.key) not in named:
                self.docket.anomalies.append(_shrunk(shrink, stream))

    # faults and expectations

    def judge_faults(self) -> None:
        for fault in self.evidence.faults:
            if fault.not_healed:
                self.docket.doubts.append(
                    f"{fault.fault} on {fault.link} at {fault.at} was not healed: {fault.not_healed}"
                )
            elif not fault.met and self.faults_must_meet:
                why = fault.why_not or "no reason was kept"
                self.docket.doubts.append(f"{fault.fault} on {fault.link} at {fault.at} met nothing: {why}")

    def judge_expectations(self) -> None:
        check_expectations(self.evidence, self.expect, self.nodes, self.docket)
        self.docket.unmet += self._inexact()
        unanswered = sum(order.unanswered for order in self.orders.values())
        if self.expect.unknown is not None and not fits(self.expect.unknown, unanswered):
            expected = in_words(self.expect.unknown)
            self.docket.unmet.append(f"unknown: {unanswered} elements got no decisive answer, not {expected}")

    def _inexact(self) -> Iterator[str]:
        """Anomalies of the keys themselves, where their kind is expected, but meant for other keys."""
        wanted = {"list": self.expect.list, "zset": self.expect.sorted_set}
        exact = {
            (stream.db, stream.key): stream.data_type.title.replace(" ", "_")
            for stream in self.evidence.streams
            if wanted.get(stream.data_type.name) == "exact"
        }
        for anomaly in self.docket.anomalies:
            key = exact.get((anomaly.db, anomaly.key)) if anomaly.kind is not Kind.SHRANK else None
            if key is not None and anomaly.kind in (self.expect.anomalies or ()):
                yield f"{key}: {anomaly.key} on {anomaly.node} is not exact ({anomaly.kind})"


def _most_held(findings: Mapping[str, Findings]) -> dict[int, int]:
    """The most that any clean list holds of each fenced connection's open commands: the primary executed so many."""
    most: dict[int, int] = {}
    for each in findings.values():
        for connection, held in each.held.items() if not each.anomalies else ():
            most[connection] = max(held, most.get(connection, 0))
    return most


def _differing(findings: Mapping[str, Findings]) -> Iterator[str]:
    """What the primary executed of commands that stand each for itself is the same for every node."""
    clean = [(node, each.skipped) for node, each in findings.items() if not each.anomalies and not each.doubts]
    for node, skipped in clean[1:]:
        if skipped != clean[0][1]:
            yield f"{clean[0][0]} and {node} hold different ones of the elements without an answer"


def _means_nothing(convergence: Convergence, target: Target) -> bool:
    return convergence.how == "offset" and not target.offset_counts


def _stray_key(other: OtherKey) -> Anomaly:
    message = f"{other.key} in db {other.db} of {other.node}: nothing of ours wrote this key"
    return Anomaly(Kind.PHANTOM, other.node, other.db, other.key, 1, First(None, None, other.key), message)


def _misplaced(key: MisplacedKey) -> Anomaly:
    owner = f"{key.owner} owns" if key.owner else "nobody owns"
    message = f"{key.key} stands on {key.node}, and {owner} its slot, {key.slot}"
    return Anomaly(Kind.MISPLACED, key.node, 0, key.key, 1, First(None, key.owner or None, key.node), message)


def _shrunk(shrink: Shrink, stream: Stream) -> Anomaly:
    message = (
        f"{stream.key} on {shrink.node} held {shrink.before} elements, and {shrink.after} {shrink.seconds:.2f} s after "
        "the first write, in the same replication history"
    )
    first = First(shrink.after, str(shrink.before), str(shrink.after))
    return Anomaly(Kind.SHRANK, shrink.node, stream.db, stream.key, shrink.before - shrink.after, first, message)
