"""What a scenario file says, as typed and frozen values; the loader fills them, and the JSON Schema comes from them.

What one value or one section can tell by itself is checked here; what depends on other sections (a link that must
exist, an expectation that the number of values makes impossible) is checked in the modules named rules.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    Tag,
    model_serializer,
    model_validator,
)

from harness.checker.verdict import Kind
from harness.kinds import KINDS, LIST, SHARDED, SORTED_SET
from harness.scenario.fields import Decimal, Text, UnexpectedError, Whole
from harness.scenario.moment import EVENTS, Moment

VERSION = 1
MAX_VALUES = 4_000_000_000  # a list holds at most 2^32 - 1 elements
MAX_BATCH = 1_000_000  # a command may carry about this many arguments
MAX_SIZES = 100_000
MAX_COUNT = 1_000_000
MAX_STRING = (512 << 20) // 11  # elements: ten digits and a line feed each


class Model(BaseModel):
    """Frozen, and a key that is not named below is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Seconds = Annotated[float, Decimal(86_400)]
Milliseconds = Annotated[int, Whole(0, 600_000)]
LagMilliseconds = Annotated[float, Decimal(86_400_000)]
Port = Annotated[int, Whole(1, 65_535)]
ElementCount = Annotated[int, Whole(0, MAX_VALUES)]
BatchSize = Annotated[int, Whole(1, MAX_BATCH)]
Database = Annotated[int, Whole(0, 1_000_000)]
KeyName = Annotated[str, Text(1024, "a key's name")]
NodeName = Annotated[
    str,
    Text(63, "a node's name (a letter, then letters, digits, - and _)", r"[A-Za-z]([A-Za-z0-9_-]*[A-Za-z0-9_])?"),
]
LinkName = Annotated[str, Text(200, "a link, source->target", r"[^>]+->[^>]+")]
TagName = Annotated[str, Text(63, "a tag (small letters, digits and _)", r"[a-z][a-z0-9_]*")]
DirectiveName = Annotated[
    str, Text(100, "a server directive's name (letters, digits, - _ and .)", r"[A-Za-z][A-Za-z0-9_.-]*")
]
Shape = Literal["single", "pipeline", "variadic", "multi"]
WorkloadKind = Literal[
    "list_append", "sorted_set", "string", "hash", "set", "stream", "sharded_list", "sharded_sorted_set"
]
ToxicName = Literal[
    "latency", "bandwidth", "slicer", "slow_close", "timeout", "reset_peer", "limit_data", "loss", "cut"
]


def _directive_value(value: object) -> object:
    """Text or a number as it stands; what holds a newline would be a directive of its own."""
    if isinstance(value, str):
        return Text(10_000, "a directive's value", empty=True).read(value)
    if not isinstance(value, (bool, int, float)):
        raise UnexpectedError("a directive's value: text, a number, true or false", value)
    return value


DirectiveValue = Annotated[str | int | float | bool, BeforeValidator(_directive_value)]


class NodeSpec(Model):
    """One server. A node without replica_of is a primary; exactly one primary is written to, and all others follow."""

    role: Literal["primary", "replica"] | None = Field(
        None, description="need not be written, it follows from replica_of"
    )
    replica_of: NodeName | None = Field(None, description="the node that this one replicates from")
    port: Port | None = Field(
        None, description="TCP port clients connect to; default: the first unused one from the profile's own upwards"
    )
    password: Annotated[str, Text(512, "a password", empty=True, secret=True)] | None = Field(
        None, repr=False, description="clients must give it; best as ${VAR} or ${VAR:-default}; an empty one is none"
    )
    profile: Annotated[str, Text(63, "a profile's name")] = Field(
        "oss", description="the product whose client-visible behaviour the endpoint has"
    )
    link: Literal["native", "replica-of", "online-migration"] = Field(
        "native",
        description="how it replicates: native; replica-of: as Redis Enterprise does from another server, it takes "
        "writes, loses its own keys with every full sync, and evicts nothing; online-migration: as into ElastiCache, "
        "from a source without a password",
    )
    engine: Annotated[str, Text(63, "an engine, as in redis-7.0.15")] | None = Field(
        None, description="server program and version; only where the scenario is about engines"
    )
    config: Annotated[dict[DirectiveName, DirectiveValue], Field(max_length=200)] = Field(
        default_factory=dict, description="raw server directives, name: value, for what the harness does not set itself"
    )


class ClusterSpec(Model):
    """A cluster: nodes shard0, shard1, … are its primaries, shard0-replica0, … their replicas."""

    shards: Annotated[int, Whole(1, 16)] = Field(3, description="primaries; the slots are shared out evenly")
    replicas: Annotated[int, Whole(0, 3)] = Field(1, description="replicas of each primary")
    port: Annotated[int, Whole(1, 55_000)] = Field(
        7000, description="of the first node; the others follow, and each one's bus has a port 10000 above"
    )
    config: Annotated[dict[DirectiveName, DirectiveValue], Field(max_length=200)] = Field(
        default_factory=dict, description="raw server directives of every node, name: value"
    )


class TopologySpec(Model):
    """Who replicates from whom: nodes one by one, or a cluster."""

    nodes: dict[NodeName, NodeSpec] = Field(
        default_factory=dict, description="the servers, by name", min_length=1, max_length=64
    )
    cluster: ClusterSpec | None = Field(None, description="instead of nodes")

    @model_validator(mode="after")
    def _nodes_or_cluster(self) -> TopologySpec:
        if bool(self.nodes) == (self.cluster is not None):
            raise ValueError("a topology has either nodes or a cluster")
        return self


class Batch(Model):
    """How elements travel."""

    shape: Shape = Field(
        "pipeline",
        description="single: a command an element, each awaited; pipeline: many such commands in one send; "
        "variadic: one command with many elements; multi: many commands in MULTI/EXEC",
    )
    size: BatchSize = Field(1000, description="elements a batch")
    sizes: tuple[BatchSize, ...] | None = Field(
        None,
        description="instead of size: explicit sizes, one batch after another, from the start again until all is sent",
        min_length=1,
        max_length=MAX_SIZES,
    )

    @model_validator(mode="after")
    def _size_or_sizes(self) -> Batch:
        if self.sizes is not None and "size" in self.model_fields_set:
            raise ValueError("size and sizes exclude each other: keep one of them")
        return self

    @model_serializer(mode="wrap")
    def _without_unused_size(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A size that sizes replaces is not said, so that what is dumped can be read again."""
        plain: dict[str, Any] = dump(self)
        if self.sizes is not None:
            plain.pop("size", None)
        return plain


class Workload(Model):
    """The numbers 1..values, each an element of one key."""

    kind: WorkloadKind = Field(
        "list_append",
        description="what is written: list_append is RPUSH to one list, sorted_set ZADD of numbered members, string "
        "APPEND of lines of ten digits, hash HSET of a field to itself, set SADD, stream XADD of the field n; "
        "sharded_list and sharded_sorted_set deal them to several keys, in blocks",
    )
    key: KeyName = Field(description="the key written to")
    shards: Annotated[int, Whole(1, 1024)] | None = Field(
        None,
        description="sharded kinds: how many keys, default 3; {n} in the key becomes a hash tag, chosen so that every "
        "shard has some, as in numbers:shard:{n}",
    )
    db: Database = Field(0, description="database number")
    values: ElementCount = Field(description="how many are written")
    batch: Batch = Field(Batch(), description="how they travel")
    batches: tuple[Batch, ...] | None = Field(
        None, description="instead of batch: one for each producer in turn", min_length=1, max_length=64
    )
    producers: Annotated[int, Whole(1, 64)] = Field(
        1, description="clients that write side by side, each a range of the values, with its own connection and ledger"
    )
    read_from: Literal["replicas", "primaries"] = Field(
        "replicas",
        description="in a cluster, which nodes keys are read from; not written, and no replicas there: the primary",
    )
    push: Literal["right", "left"] = Field("right", description="lists: the end at which elements are added")
    scores: Literal["ids", "extreme"] = Field(
        "ids",
        description="sorted sets: each member's score is its number, or one at the edges of what a double holds: 17 "
        "digits, infinities, -0, 1e308, whole numbers past 2^53; compared bit by bit. A server packs small sets, and "
        "then forgets the sign of -0, which is a wrong_value: give the nodes config: {zset-max-ziplist-entries: 0}",
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Workload:
        if self.push != "right" and KINDS[self.kind] is not LIST:
            raise ValueError(f"push belongs to lists, and this is {self.kind}")
        if self.scores != "ids" and KINDS[self.kind] is not SORTED_SET:
            raise ValueError(f"scores belong to sorted sets, and this is {self.kind}")
        if self.kind in SHARDED and self.key.count("{n}") != 1:
            raise ValueError(f"the key of {self.kind} is a pattern with {{n}} in it once, as in numbers:shard:{{n}}")
        if self.shards is not None and self.kind not in SHARDED:
            raise ValueError(f"shards belong to sharded kinds, and {self.kind} writes one key")
        if self.kind == "stream" and self.producers > 1:
            raise ValueError("a stream's ids must rise, so that one producer alone can write it")
        if self.batches is not None and self.batch != Batch():
            raise ValueError("batch and batches exclude each other: keep one of them")
        if self.kind == "stream" and "variadic" in {batch.shape for batch in (self.batch, *(self.batches or ()))}:
            raise ValueError("a stream takes one entry a command: choose another shape than variadic")
        if self.kind == "string" and self.values > MAX_STRING:
            raise ValueError(f"a string holds at most {MAX_STRING} elements, not {self.values}")
        return self


class StrayWrite(Model):
    """Somebody appends an element to a list on a node, past its primary; a writable replica takes it. In a cluster only
    the primary that owns the key's slot does.
    """

    node: NodeName = Field(description="the node written to, as one of its users")
    key: KeyName = Field(description="the list")
    db: Database = Field(0, description="database number")
    element: Annotated[str, Text(1024, "an element", empty=True)] = Field(description="what is appended")


def _percentage(value: object) -> Moment:
    try:
        moment = Moment.parse(value) if isinstance(value, (str, Moment)) else None
    except ValueError:
        moment = None
    if moment is None or not moment.percent or moment.percent >= 100:
        raise UnexpectedError("a share above 0% and below 100% (who has no slots follows another), as in 50%", value)
    return moment


class MoveSlots(Model):
    """Slots of a cluster move from one primary to another while they are written to."""

    source: NodeName = Field(alias="from", description="the primary that owns them")
    target: NodeName = Field(alias="to", description="the primary that gets them")
    share: Annotated[Moment, BeforeValidator(_percentage)] = Field(
        Moment(percent=50.0), description="how many of its slots, of those that hold keys as well: 50%"
    )


class Fault(Model):
    """One disturbance: a toxic (or a cut) on a link, a stray write, or a change of a cluster's shape."""

    at: Moment = Field(description="20% of the values, 1.5s after the first write, or an event: " + ", ".join(EVENTS))
    until: Moment | None = Field(
        None,
        description="when it is healed; seconds count from the first write where at does, else from when it was "
        "applied; default: when all values are written, on a replica's client link when its list is read",
    )
    link: LinkName | None = Field(
        None, description="source->target: a->b is replication from a to b, client->a our own way to a"
    )
    toxic: ToxicName | None = Field(None, description="what disturbs the link")
    stray_write: StrayWrite | None = Field(None, description="instead of link and toxic")
    move_slots: MoveSlots | None = Field(None, description="instead of link and toxic, in a cluster")
    restart: NodeName | None = Field(
        None, description="instead of link and toxic, in a cluster: the replica that ends in order and comes back"
    )
    isolate: NodeName | None = Field(
        None,
        description="instead of link and toxic, in a cluster: the shard whose primary is cut off from all other nodes "
        "while clients still reach it, until its replica takes over; on containers",
    )
    failover: NodeName | None = Field(
        None, description="instead of link and toxic: the shard (its first primary's name) whose replica takes over"
    )
    how: Literal["graceful", "force", "takeover", "kill"] | None = Field(
        None,
        description="failover: graceful (default) hands over without loss; force asks the majority, not the primary; "
        "takeover asks nobody; kill ends the primary first, and starts it again when the fault is healed",
    )
    direction: Literal["to_replica", "to_primary", "to_server", "to_client"] | None = Field(
        None,
        description="which way the disturbed bytes travel: to_replica or to_primary on a replication link, to_server "
        "or to_client on a client link; default: along the link's arrow",
    )
    toxicity: Annotated[float, Decimal(1)] = Field(1.0, description="share of the connections that it meets")
    latency_ms: Milliseconds | None = Field(None, description="latency: delay")
    jitter_ms: Milliseconds | None = Field(None, description="latency: random part, added or taken away")
    kb_per_s: Annotated[int, Whole(0, 10_000_000)] | None = Field(
        None, description="bandwidth: kilobytes (1000 bytes) a second; 0 stalls without loss"
    )
    average_bytes: Annotated[int, Whole(1, 1_000_000)] | None = Field(None, description="slicer: bytes a slice")
    variation_bytes: Annotated[int, Whole(0, 1_000_000)] | None = Field(
        None, description="slicer: random part of the slice, less than average_bytes"
    )
    delay_us: Annotated[int, Whole(0, 60_000_000)] | None = Field(
        None, description="slicer: microseconds between slices"
    )
    delay_ms: Milliseconds | None = Field(None, description="slow_close: delay of the close")
    timeout_ms: Milliseconds | None = Field(
        None,
        description="timeout: bytes vanish and the connection closes after this, 0: never; reset_peer: reset after it",
    )
    limit_bytes: Annotated[int, Whole(0, 10**12)] | None = Field(
        None, description="limit_data: each connection closes after this many bytes"
    )
    loss_percent: Annotated[float, Decimal(100)] | None = Field(
        None, description="loss: share of the packets that vanish"
    )

    @model_validator(mode="after")
    def _one_disturbance(self) -> Fault:
        if self.reshapes:
            return self._checked_reshape()
        if self.how is not None:
            raise ValueError("how belongs to failover")
        if self.stray_write is None and (self.link is None or self.toxic is None):
            raise ValueError("a fault needs link and toxic, or stray_write, move_slots, failover, isolate or restart")
        if self.stray_write is not None and (self.link or self.toxic or self.until):
            raise ValueError("a stray_write takes neither link, toxic nor until: it happens once")
        return self

    def _checked_reshape(self) -> Fault:
        if sum(each is not None for each in (self.link, self.stray_write, *self._shapes)) > 1:
            raise ValueError("link, stray_write, move_slots, failover, isolate and restart exclude each other")
        if self.toxic is not None or self.direction is not None:
            raise ValueError("toxic and direction belong to a link")
        if self.how is not None and self.failover is None:
            raise ValueError("how belongs to failover")
        return self

    @property
    def reshapes(self) -> bool:
        """Whether it changes the shape of a cluster."""
        return any(each is not None for each in self._shapes)

    @property
    def _shapes(self) -> tuple[object, ...]:
        return self.move_slots, self.failover, self.isolate, self.restart

    @property
    def loses(self) -> bool:
        """Whether acknowledged writes may be lost by it, since nobody waits for the replica."""
        return self.isolate is not None or (self.failover is not None and self.how not in (None, "graceful"))

    @property
    def taken_over(self) -> str | None:
        """The shard that gets another primary."""
        return self.failover or self.isolate


class Range(Model):
    """A number from min to max, both included."""

    min: Annotated[int, Whole(0, MAX_VALUES)] = Field(0, description="at least")
    max: Annotated[int, Whole(0, MAX_VALUES)] | None = Field(None, description="at most; default: no limit")

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


# Where a value may have one of several forms, its own look decides which; these names then stand in pydantic's paths.
ALTERNATIVES = ("<count>", "<range>", "<links>", "<number>", "<nodes>", "<list>", "<one>", "<several>")


def _count_or_range(value: object) -> str:
    return "<range>" if isinstance(value, (dict, Range)) else "<count>"


def _count_range_or_links(value: object) -> str:
    by_link = isinstance(value, dict) and any("->" in str(key) for key in value)
    return "<links>" if by_link else _count_or_range(value)


def _number_or_nodes(value: object) -> str:
    return "<nodes>" if isinstance(value, dict) else "<number>"


def _number_or_list(value: object) -> str:
    return "<list>" if isinstance(value, (list, tuple)) else "<number>"


def _one_or_several(value: object) -> str:
    return "<several>" if isinstance(value, (list, tuple)) else "<one>"


def _element(value: object) -> object:
    """An element of a list as a user writes it: a number, or other text."""
    if isinstance(value, str):
        return Text(1024, "an element", empty=True).read(value)
    return Whole(0, MAX_VALUES).read(value)


_Counted = Annotated[int, Whole(0, MAX_VALUES), Tag("<count>")]
Count = Annotated[_Counted | Annotated[Range, Tag("<range>")], Discriminator(_count_or_range)]
_ByLink = Annotated[dict[LinkName, Count], Field(min_length=1), Tag("<links>")]
LinkCounts = Annotated[_Counted | Annotated[Range, Tag("<range>")] | _ByLink, Discriminator(_count_range_or_links)]
Element = Annotated[int | str, BeforeValidator(_element)]
Newest = Annotated[
    Annotated[int, Whole(1, MAX_COUNT), Tag("<number>")]
    | Annotated[tuple[Element, ...], Field(min_length=1, max_length=MAX_SIZES), Tag("<list>")],
    Discriminator(_number_or_list),
]
Lag = Annotated[
    Annotated[LagMilliseconds, Tag("<number>")]
    | Annotated[dict[NodeName, LagMilliseconds], Field(min_length=1), Tag("<nodes>")],
    Discriminator(_number_or_nodes),
]


class Lost(Model):
    """Acknowledged writes that a forced failover may cost."""

    within_s: Seconds = Field(description="all of them were acknowledged within so many seconds")


class Expect(Model):
    """What must hold. Whatever is not named here is still judged for anomalies."""

    list: Literal["exact"] | None = Field(
        None, description="every node's list is exactly what was acknowledged, in order"
    )
    sorted_set: Literal["exact"] | None = Field(
        None, description="every node's sorted set is exactly what was acknowledged, with the very scores"
    )
    length: ElementCount | None = Field(None, description="elements in every judged node's list, or other key")
    newest_first: Newest | None = Field(
        None, description="how many of the newest elements the report shows; or literally the newest elements"
    )
    initial_sync: Literal["full", "partial"] | None = Field(None, description="how each replica's first sync went")
    full_syncs: LinkCounts | None = Field(
        None, description="full resyncs after readiness: for every link, or by link; a number or {min, max}"
    )
    partial_syncs: LinkCounts | None = Field(None, description="partial resyncs after readiness, likewise")
    converges_within_s: Seconds | None = Field(
        None, description="after the later of last acknowledgement and last heal"
    )
    give_up_s: Seconds | None = Field(
        None, description="how long convergence is waited for; default: 60, at least three times converges_within_s"
    )
    max_lag_ms: Lag | None = Field(
        None, description="largest replication lag seen while the run lasted: for every replica, or by node"
    )
    unknown: Count | None = Field(
        None, description="elements whose commands got no decisive answer; a number or {min, max}"
    )
    lost: Lost | None = Field(
        None, description="a budget for elements that were acknowledged and lost in a failover; default: none"
    )
    nodes: tuple[NodeName, ...] | None = Field(
        None, description="the nodes that are judged; default: every replica", min_length=1
    )
    anomalies: tuple[Kind, ...] | None = Field(
        None,
        description="a scenario that shows a broken guarantee: exactly these kinds, and they must occur",
        min_length=1,
    )

    def of_draws(self) -> Expect:
        """What of it binds a property's draws: ledger and anomalies, on the same nodes."""
        return Expect(nodes=self.nodes, anomalies=self.anomalies, give_up_s=self.give_up_s, lost=self.lost)


class Bounds(Model):
    """How many values a draw writes."""

    min: ElementCount = Field(0, description="the fewest")
    max: ElementCount = Field(1000, description="the most")

    @model_validator(mode="after")
    def _in_order(self) -> Bounds:
        return _ordered(self)


class Few(Model):
    """How many producers, or keys, a draw has."""

    min: Annotated[int, Whole(1, 64)] = Field(1, description="the fewest")
    max: Annotated[int, Whole(1, 64)] = Field(4, description="the most")

    @model_validator(mode="after")
    def _in_order(self) -> Few:
        return _ordered(self)


class SizeBounds(Model):
    """How large a drawn batch is."""

    min: BatchSize = Field(1, description="the smallest")
    max: BatchSize = Field(100, description="the largest")

    @model_validator(mode="after")
    def _in_order(self) -> SizeBounds:
        return _ordered(self)


Ordered = TypeVar("Ordered", Bounds, SizeBounds, Few)


def _ordered(bounds: Ordered) -> Ordered:
    if bounds.max < bounds.min:
        raise ValueError(f"min {bounds.min} is above max {bounds.max}")
    return bounds


class DrawnBatch(Model):
    """Which batches a draw may use."""

    shapes: tuple[Shape, ...] = Field(
        ("single", "pipeline", "variadic", "multi"), description="batch shapes; simpler ones first", min_length=1
    )
    size: SizeBounds = Field(SizeBounds(), description="elements a batch")
    explicit_sizes: StrictBool = Field(True, description="also draw lists of explicit sizes")


class Property(Model):
    """What Hypothesis draws for the first workload; every draw is written under a key of its own, without preload."""

    values: Bounds = Field(Bounds(), description="how many are written")
    batch: DrawnBatch = Field(DrawnBatch(), description="how they travel")
    producers: Few | None = Field(None, description="how many clients write, each in a batch shape of its own")
    shards: Few | None = Field(None, description="sharded kinds: how many keys")
    reshape: StrictBool = Field(
        False,
        description="in a cluster: also one change of its shape at a drawn moment, slots that move to another shard or "
        "a replica that takes over without loss; afterwards it gets its written shape back",
    )
    fault_timing: StrictBool = Field(
        False, description="also draw when each fault begins and ends, where that is a share"
    )
    examples: Annotated[int, Whole(1, 100_000)] = Field(25, description="how many draws")


class Scenario(Model):
    """One scenario: a topology, what is written, what goes wrong meanwhile, and what must hold in the end."""

    version: Literal[1] = Field(description="of the file format")
    kind: Literal["scenario"] = Field("scenario", description="which kind of file this is")
    title: Annotated[str, Text(200, "text of one line")] = Field(description="one line: what is shown")
    why: Annotated[str, Text(5000, empty=True, lines=True)] = Field("", description="why it matters to a user")
    topology: TopologySpec = Field(description="who replicates from whom")
    preload: tuple[Workload, ...] = Field(
        (), description="written before the replicas attach, and judged like a workload", max_length=64
    )
    workload: Annotated[
        Annotated[Workload, Tag("<one>")]
        | Annotated[tuple[Workload, ...], Field(min_length=1, max_length=64), Tag("<several>")],
        Discriminator(_one_or_several),
    ] = Field(description="what is written through the primary; a list of several runs side by side")
    faults: tuple[Fault, ...] = Field((), description="what goes wrong meanwhile", max_length=1000)
    expect: Expect = Field(Expect(), description="what must hold")
    property: Property | None = Field(None, description="what Hypothesis varies; without it only what is written runs")
    tags: tuple[TagName, ...] = Field((), description="pytest markers", max_length=64)

    def workloads(self) -> tuple[Workload, ...]:
        """The workload, or all of them."""
        return self.workload if isinstance(self.workload, tuple) else (self.workload,)
