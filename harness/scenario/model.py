"""What a scenario file says, as typed and frozen values; the loader fills them, and the JSON Schema comes from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.checker.verdict import Kind
from harness.scenario.moment import EVENTS, Moment

MAX_VALUES = 4_000_000_000  # a list holds at most 2^32 - 1 elements
MAX_BATCH = 1_000_000  # a command may carry about this many arguments


class Model(BaseModel):
    """Frozen, and a key that is not named below is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Seconds = Annotated[float, Field(gt=0, le=86_400)]
Milliseconds = Annotated[int, Field(ge=0, le=600_000)]
Port = Annotated[int, Field(ge=1, le=65_535)]
ElementCount = Annotated[int, Field(ge=0, le=MAX_VALUES)]
BatchSize = Annotated[int, Field(ge=1, le=MAX_BATCH)]
Database = Annotated[int, Field(ge=0, le=1_000_000)]
KeyName = Annotated[str, Field(min_length=1, max_length=1024)]
Shape = Literal["single", "pipeline", "variadic", "multi"]


class NodeSpec(Model):
    """One server. A node without replica_of is a primary."""

    role: Literal["primary", "replica"] | None = Field(None, description="primary or replica; follows from replica_of")
    replica_of: str | None = Field(None, description="the node that this one replicates from")
    port: Port | None = Field(None, description="TCP port clients connect to; default: the profile's own, else from 6379 upwards")
    password: str | None = Field(None, description="clients must give it; ${VAR} and ${VAR:-default} come from the environment")
    profile: str = Field("oss", description="the product whose client-visible behaviour the endpoint has")
    engine: str | None = Field(None, description="server program and version, only where a scenario is about engines")
    config: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="raw server directives, name: value"
    )


class TopologySpec(Model):
    nodes: dict[str, NodeSpec] = Field(description="the servers by name", min_length=1, max_length=64)


class Batch(Model):
    """How elements travel."""

    shape: Shape = Field("pipeline", description="single command, pipeline, variadic command, or MULTI/EXEC")
    size: BatchSize = Field(1000, description="elements a batch")
    sizes: tuple[BatchSize, ...] | None = Field(
        None, description="explicit sizes, one batch after another, repeated until all values are sent; instead of size",
        min_length=1, max_length=100_000,
    )


class Workload(Model):
    kind: Literal["list_append"] = Field("list_append", description="what is written")
    key: KeyName = Field(description="the key written to")
    db: Database = Field(0, description="database number")
    values: ElementCount = Field(description="the numbers 1..values are written, in this order")
    batch: Batch = Field(Batch(), description="how they travel")


class StrayWrite(Model):
    """Somebody appends an element to a list on a node, past its primary; a writable replica takes it."""

    node: str = Field(description="the node written to, as one of its users")
    key: KeyName = Field(description="the list")
    db: Database = Field(0, description="database number")
    element: str = Field(description="what is appended", max_length=1024)


class Fault(Model):
    """One disturbance: a toxic (or a cut) on a link, or a stray write."""

    at: Moment = Field(description="20% of the values, 1.5s after the first write, or an event: " + ", ".join(EVENTS))
    until: Moment | None = Field(
        None,
        description="when it is healed; seconds count from the first write where `at` does, else from when it was applied; "
        "default: when all values are written",
    )
    link: str | None = Field(
        None, description="source->target: a->b is replication from a to b, client->a our own way to a"
    )
    toxic: Literal["latency", "bandwidth", "slicer", "slow_close", "timeout", "reset_peer", "limit_data", "cut"] | None = (
        Field(None, description="what disturbs the link; cut: it is down")
    )
    stray_write: StrayWrite | None = Field(None, description="instead of link and toxic")
    direction: Literal["to_replica", "to_primary", "to_server", "to_client"] | None = Field(
        None, description="which way the disturbed bytes travel; default: with the data, along the link's arrow"
    )
    toxicity: float = Field(1.0, ge=0, le=1, description="share of connections that it meets")
    latency_ms: Milliseconds | None = Field(None, description="latency: delay")
    jitter_ms: Milliseconds | None = Field(None, description="latency: random part, added or taken away")
    kb_per_s: Annotated[int, Field(ge=0, le=10_000_000)] | None = Field(
        None, description="bandwidth: kilobytes (1000 bytes) a second; 0 stalls without loss"
    )
    average_bytes: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(None, description="slicer: bytes a slice")
    variation_bytes: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(None, description="slicer: random part of the size")
    delay_us: Annotated[int, Field(ge=0, le=60_000_000)] | None = Field(None, description="slicer: pause between slices")
    delay_ms: Milliseconds | None = Field(None, description="slow_close: delay of the close")
    timeout_ms: Milliseconds | None = Field(
        None, description="timeout: bytes vanish and the connection closes after this; 0: never closes. reset_peer: RST after this"
    )
    limit_bytes: Annotated[int, Field(ge=0, le=10**12)] | None = Field(
        None, description="limit_data: the connection closes after this many bytes"
    )

    @model_validator(mode="after")
    def _one_disturbance(self) -> Fault:
        if self.stray_write is None and (self.link is None or self.toxic is None):
            raise ValueError("a fault needs link and toxic, or stray_write")
        if self.stray_write is not None and (self.link or self.toxic or self.until):
            raise ValueError("a stray_write takes neither link, toxic nor until")
        return self


class Range(Model):
    """A number from min to max, both included."""

    min: int = Field(0, ge=0)
    max: int | None = Field(None, ge=0)


Count = Annotated[int, Field(ge=0)] | Range


class Expect(Model):
    """What must hold. Whatever is not named here is still judged for anomalies."""

    list: Literal["exact"] | None = Field(None, description="every node's list is exactly what was acknowledged, in order")
    length: ElementCount | None = Field(None, description="elements in every judged node's list")
    newest_first: int | tuple[int | str, ...] | None = Field(
        None, description="how many of the newest elements the report shows; or the literal newest elements"
    )
    initial_sync: Literal["full", "partial"] | None = Field(None, description="how each replica's first sync went")
    full_syncs: Count | dict[str, Count] | None = Field(
        None, description="full resyncs after readiness: for every link, or by link; a number or {min, max}"
    )
    partial_syncs: Count | dict[str, Count] | None = Field(None, description="partial resyncs after readiness, likewise")
    converges_within_s: Seconds | None = Field(None, description="after the later of last acknowledgement and last heal")
    give_up_s: Seconds | None = Field(
        None, description="how long convergence is waited for; default 60, at least three times converges_within_s"
    )
    max_lag_ms: Annotated[float, Field(gt=0)] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="largest replication lag seen while the run lasted: for every replica, or by node"
    )
    unknown: Count | None = Field(
        None, description="elements whose commands got no decisive answer; a number or {min, max}"
    )
    nodes: tuple[str, ...] | None = Field(None, description="the nodes that are judged; default: every replica", min_length=1)
    anomalies: tuple[Kind, ...] | None = Field(
        None, description="a scenario that shows a broken guarantee: exactly these kinds, and they must occur"
    )


class Bounds(Model):
    min: ElementCount = 0
    max: ElementCount = 1000


class SizeBounds(Model):
    min: BatchSize = 1
    max: BatchSize = 100


class DrawnBatch(Model):
    shapes: tuple[Shape, ...] = Field(("single", "pipeline", "variadic", "multi"), min_length=1)
    size: SizeBounds = SizeBounds()
    explicit_sizes: bool = Field(True, description="also draw lists of explicit sizes")


class Property(Model):
    """What Hypothesis draws; every draw is written under a key of its own, on a warm deployment."""

    values: Bounds = Bounds()
    batch: DrawnBatch = DrawnBatch()
    fault_timing: bool = Field(False, description="also draw when each fault begins and ends")
    examples: int = Field(25, ge=1, le=100_000)


class Scenario(Model):
    version: Literal[1] = Field(description="of the file format")
    kind: Literal["scenario"] = Field("scenario", description="which kind of file this is")
    title: str = Field(description="one line: what is shown", min_length=1, max_length=200)
    why: str = Field("", description="why it matters to a user", max_length=5000)
    topology: TopologySpec
    preload: tuple[Workload, ...] = Field((), description="written before the replicas attach, and judged like a workload", max_length=64)
    workload: Workload | tuple[Workload, ...] = Field(description="what is written through the primary; several run side by side")
    faults: tuple[Fault, ...] = Field((), max_length=1000)
    expect: Expect = Expect()
    property: Property | None = None
    tags: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], ...] = Field((), description="pytest markers")

    def workloads(self) -> tuple[Workload, ...]:
        """The workload, or all of them."""
        return self.workload if isinstance(self.workload, tuple) else (self.workload,)
