"""What Hypothesis draws for a scenario's property, such that one draw costs seconds at most.

Pure: a draw is a value, and the scenario of a draw another one. The cost of a draw is estimated from above, from what
the scenario's faults do to a batch shape: one command at a time over a link of 100 ms can't be many commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from harness.kinds import KINDS, SHARDED
from harness.scenario.model import Batch, Fault, MoveSlots, Property, Scenario, Shape, Workload
from harness.scenario.moment import Moment
from harness.slots import shard_of, slot_of
from harness.topology import CLIENT, Link, cluster_nodes

SECONDS_A_DRAW = 2.0
COMMANDS_TO_MEET = 20
MOST_EXPLICIT_SIZES = 8

# What a command costs without any fault, generously: a loaded machine, and servers that replicate it.
_SECONDS_A_TRIP = 0.0002
_SECONDS_A_VALUE = 0.000_01
_BYTES_A_VALUE = 48  # RPUSH key element, without the key


@dataclass(frozen=True)
class Draw:
    """One example: how many values, how they travel, and the faults with the times that were drawn for them."""

    values: int
    batch: Batch
    faults: tuple[Fault, ...]
    batches: tuple[Batch, ...] = ()  # one a producer, where their number is drawn
    shards: int | None = None

    def __str__(self) -> str:
        """As a user tells it: 11 values, pipeline of 5; cut on a->b at 20% until 80%."""
        count = f"{self.values} value{'' if self.values == 1 else 's'}"
        shape = " beside ".join(map(_shape_in_words, self.batches or (self.batch,)))
        keys = f" to {self.shards} key{'' if self.shards == 1 else 's'}" if self.shards else ""
        return "; ".join([f"{count}{keys}, {shape}", *map(_in_words, self.faults)])


def _shape_in_words(batch: Batch) -> str:
    sizes = ", ".join(map(str, batch.sizes or (batch.size,)))
    return "single" if batch.shape == "single" else f"{batch.shape} of {sizes}"


def _in_words(fault: Fault) -> str:
    return f"{_disturbance(fault)} at {fault.at}" + (f" until {fault.until}" if fault.until else "")


def _disturbance(fault: Fault) -> str:
    if fault.stray_write is not None:
        return f"stray write to {fault.stray_write.node}"
    if (move := fault.move_slots) is not None:
        return f"{move.share} of the slots from {move.source} to {move.target}"
    if fault.isolate is not None:
        return f"isolated primary of {fault.isolate}"
    if fault.failover is not None:
        return f"{fault.how or 'graceful'} failover of {fault.failover}"
    return f"restart of {fault.restart}" if fault.restart is not None else f"{fault.toxic} on {fault.link}"


def draws(scenario: Scenario, *, seconds_a_draw: float = SECONDS_A_DRAW) -> SearchStrategy[Draw]:
    """Draws within the scenario's property (its defaults where it has none), each of at most that many seconds.

    The bounds' lower end is always kept, even where it costs more.
    """
    drawn = scenario.property or Property()
    return _draw(scenario, drawn, _Batches.of(scenario, drawn), seconds_a_draw)


def always(scenario: Scenario) -> tuple[Draw, ...]:
    """The examples that no run may miss: nothing, and a single value, where the bounds allow them; where there are
    faults also many values at the faults' own times, because few and large batches may pass them by.
    """
    drawn = scenario.property or Property()
    batch = _batch(_shapes(scenario, drawn)[0], drawn.batch.size.min)
    counts = (count for count in (0, 1) if drawn.values.min <= count <= drawn.values.max)
    few = tuple(Draw(count, batch, scenario.faults) for count in counts)
    return (*few, _met(scenario, drawn)) if scenario.faults or drawn.reshape else few


def _met(scenario: Scenario, drawn: Property) -> Draw:
    """As many values as the bounds and a draw's time allow, in so many commands that each fault meets some."""
    size = max(drawn.batch.size.min, min(drawn.batch.size.max, drawn.values.max // COMMANDS_TO_MEET))
    batch = _batch(_shapes(scenario, drawn)[0], size)
    values = max(drawn.values.min, min(drawn.values.max, affordable(scenario, batch, SECONDS_A_DRAW)))
    taking_over = Fault(at=Moment(percent=30.0), failover=_primaries(scenario)[0]) if drawn.reshape else None
    return Draw(values, batch, (*scenario.faults, taking_over) if taking_over is not None else scenario.faults)


def apply(scenario: Scenario, draw: Draw, key: str) -> Scenario:
    """The scenario of one draw: its first workload under another key, judged by ledger and anomalies alone."""
    first = scenario.workloads()[0]
    wanted: dict[str, object] = {"key": key, "values": draw.values, "batch": draw.batch}
    if draw.batches:
        wanted |= {"batches": draw.batches, "producers": len(draw.batches), "batch": Batch()}
    if draw.shards is not None:
        wanted["shards"] = draw.shards
    workload = first.model_copy(update=wanted)
    written = tuple(_on_key(fault, first, key) for fault in draw.faults[: len(scenario.faults)])
    added = tuple(_where_written(fault, scenario, key) for fault in draw.faults[len(scenario.faults) :])
    faults = (*written, *added)
    expect = scenario.expect.of_draws()
    changes = {"workload": workload, "preload": (), "faults": faults, "expect": expect, "property": None}
    return scenario.model_copy(update=changes)


def _on_key(fault: Fault, workload: Workload, key: str) -> Fault:
    """A stray write to the workload's list goes to the draw's list instead."""
    stray = fault.stray_write
    if stray is None or (stray.key, stray.db) != (workload.key, workload.db):
        return fault
    return fault.model_copy(update={"stray_write": stray.model_copy(update={"key": key})})


def _where_written(fault: Fault, scenario: Scenario, key: str) -> Fault:
    """A drawn change of a cluster's shape; where all is written to one key it concerns that key's shard."""
    if scenario.workloads()[0].kind in SHARDED:
        return fault
    primaries = _primaries(scenario)
    shard = primaries[shard_of(slot_of(key.encode()), len(primaries))]
    if (move := fault.move_slots) is None:
        return fault.model_copy(update={"failover": shard})
    target = move.source if move.target == shard else move.target
    return fault.model_copy(update={"move_slots": move.model_copy(update={"source": shard, "target": target})})


# -- drawing


@dataclass(frozen=True)
class _Batches:
    """What batches are made of: strategies, made once and not once a draw. explicit: how many sizes are given, where
    that is above 0; each step between strategies costs a draw more than the number that it yields.
    """

    shapes: SearchStrategy[Shape]
    size: SearchStrategy[int]
    explicit: SearchStrategy[int] | None

    @classmethod
    def of(cls, scenario: Scenario, drawn: Property) -> _Batches:
        """Half of the draws have explicit sizes, where they may have them."""
        return cls(
            shapes=st.sampled_from(_shapes(scenario, drawn)),
            size=st.integers(drawn.batch.size.min, drawn.batch.size.max),
            explicit=st.integers(1 - MOST_EXPLICIT_SIZES, MOST_EXPLICIT_SIZES) if drawn.batch.explicit_sizes else None,
        )

    def one(self, draw: DrawFn) -> Batch:
        """One batch."""
        shape = draw(self.shapes)
        if shape == "single":
            return _batch(shape, 1)
        explicit = draw(self.explicit) if self.explicit is not None else 0
        if explicit > 0:
            return Batch(shape=shape, sizes=tuple([draw(self.size) for _ in range(explicit)]))
        return _batch(shape, draw(self.size))


@st.composite
def _some_batch(draw: DrawFn, batches: _Batches) -> Batch:
    return batches.one(draw)


@st.composite
def _draw(draw: DrawFn, scenario: Scenario, drawn: Property, batches_of: _Batches, seconds: float) -> Draw:
    batch = batches_of.one(draw)
    most = min(drawn.values.max, max(drawn.values.min, affordable(scenario, batch, seconds)))
    values = draw(st.integers(drawn.values.min, most))
    faults = tuple(draw(_timed(fault)) for fault in scenario.faults) if drawn.fault_timing else scenario.faults
    if drawn.reshape:
        faults = (*faults, draw(_reshape(_primaries(scenario))))
    batches: tuple[Batch, ...] = ()
    if (few := drawn.producers) is not None:
        more = draw(st.lists(_some_batch(batches_of), min_size=few.min - 1, max_size=few.max - 1))
        batches = (batch, *more)
    shards = draw(st.integers(drawn.shards.min, drawn.shards.max)) if drawn.shards is not None else None
    return Draw(values, batch, faults, batches, shards)


def _reshape(primaries: Sequence[str]) -> SearchStrategy[Fault]:
    """One change of a cluster's shape that loses nothing, at any moment before the last value."""
    at = st.integers(0, 99).map(lambda share: Moment(percent=float(share)))
    taking_over = st.builds(lambda at, shard: Fault(at=at, failover=shard), at, st.sampled_from(primaries))
    if len(primaries) < 2:
        return taking_over
    pairs = st.permutations(primaries).map(lambda names: names[:2])
    share = st.integers(1, 99)
    return taking_over | st.builds(_move, at, pairs, share)


def _move(at: Moment, pair: Sequence[str], percent: int) -> Fault:
    share = Moment(percent=float(percent))
    return Fault(at=at, move_slots=MoveSlots.model_validate({"from": pair[0], "to": pair[1], "share": share}))


def _shapes(scenario: Scenario, drawn: Property) -> tuple[Shape, ...]:
    """The shapes that the first workload's type of key allows; where it allows none of them, commands one by one."""
    variadic = KINDS[scenario.workloads()[0].kind].variadic
    return tuple(shape for shape in drawn.batch.shapes if variadic or shape != "variadic") or ("single",)


def _batch(shape: Shape, size: int) -> Batch:
    return Batch(shape=shape, size=1 if shape == "single" else size)


def _timed(fault: Fault) -> SearchStrategy[Fault]:
    """The fault with another beginning, and another end where that is a share too; others keep what is written."""
    if fault.at.percent is None:
        return st.just(fault)
    if fault.until is None or fault.until.percent is None:
        last = 100 if fault.stray_write is not None or fault.reshapes else 99
        return st.integers(0, last).map(lambda at: fault.model_copy(update={"at": Moment(percent=float(at))}))
    return st.tuples(st.integers(0, 99), st.integers(1, 100)).map(_from_until(fault))


def _from_until(fault: Fault) -> Callable[[tuple[int, int]], Fault]:
    """at is the first number, until lies where the second one divides what is left of the values."""

    def timed(drawn: tuple[int, int]) -> Fault:
        at, share = drawn
        until = at + max(1, (100 - at) * share // 100)
        return fault.model_copy(update={"at": Moment(percent=float(at)), "until": Moment(percent=float(until))})

    return timed


# -- what a draw costs


def affordable(scenario: Scenario, batch: Batch, seconds: float) -> int:
    """How many values may be written in such batches within that time, estimated from below."""
    batch_size = 1.0 if batch.shape == "single" else _mean_size(batch)
    trip = _SECONDS_A_TRIP + _delay_a_trip(scenario)
    a_value = trip / batch_size + _SECONDS_A_VALUE + _bytes_a_value(scenario) * _delay_a_byte(scenario)
    return int(seconds / a_value + 1e-9)


def _mean_size(batch: Batch) -> float:
    return sum(batch.sizes) / len(batch.sizes) if batch.sizes else float(batch.size)


def _delay_a_trip(scenario: Scenario) -> float:
    """Seconds that latency on the writer's own way adds to a command and its answer, both directions counted."""
    writers_ways = {Link(CLIENT, primary) for primary in _primaries(scenario)}
    slow = [fault for fault in scenario.faults if fault.toxic == "latency" and fault.link]
    faults = [fault for fault in slow if Link.parse(str(fault.link)) in writers_ways]
    return sum(2 * ((fault.latency_ms or 0) + (fault.jitter_ms or 0)) / 1000 for fault in faults)


def _delay_a_byte(scenario: Scenario) -> float:
    """Seconds that a byte costs on links that let bytes through slowly, one after the other."""
    return sum(_seconds_a_byte(fault) for fault in scenario.faults)


def _seconds_a_byte(fault: Fault) -> float:
    if fault.toxic == "bandwidth" and fault.kb_per_s:
        return 1 / (fault.kb_per_s * 1000)
    if fault.toxic == "slicer" and fault.average_bytes:
        return (fault.delay_us or 0) / 1e6 / fault.average_bytes
    return 0.0


def _bytes_a_value(scenario: Scenario) -> int:
    return _BYTES_A_VALUE + max(len(load.key.encode()) for load in scenario.workloads())


def _primaries(scenario: Scenario) -> list[str]:
    topology = scenario.topology
    if topology.cluster is not None:
        return [name for name, node in cluster_nodes(topology.cluster.shards, 0, 1).items() if not node.replica_of]
    return [name for name, node in topology.nodes.items() if not node.replica_of]
