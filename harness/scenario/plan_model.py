"""What a plan file says: two endpoints, how they are checked, and what is expected of the answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from harness.scenario.fields import Decimal, Text, Whole
from harness.scenario.model import Database, KeyName, Model, NodeName, TagName, TopologySpec

Verdict = Literal["go", "no-go", "unknown"]
DataKind = Literal["string", "list", "hash", "set", "sorted_set", "stream"]
Pause = Annotated[float, Decimal(86_400, zero=True)]
EndpointText = Annotated[
    str, Text(2048, "a URL (redis://… or rediss://…), @FILE with one in it, or a node of the topology", secret=True)
]


class PlanData(Model):
    """Keys that are written before the check, to servers that the plan starts."""

    key: KeyName = Field(description="the key's name; with keys above 1 a number is put after it")
    kind: DataKind = Field("list", description="its type")
    values: Annotated[int, Whole(1, 1_000_000)] = Field(10, description="how many elements each key holds")
    keys: Annotated[int, Whole(1, 100_000)] = Field(1, description="how many such keys")
    db: Database = Field(0, description="its database")
    expires_in_s: Annotated[int, Whole(1, 86_400)] | None = Field(None, description="time to live, of each key")
    node: NodeName | None = Field(None, description="the node that it is written to; default: every primary")


class PlanCompare(Model):
    """How the two are compared; as the options of `harness compare`."""

    keys: KeyName | None = Field(None, description="only keys that match this pattern")
    databases: tuple[Database, ...] | None = Field(None, description="only these databases", min_length=1)
    sample: Annotated[float, Decimal(100)] | None = Field(None, description="only this share of the keys, in percent")
    rounds: Annotated[int, Whole(1, 100)] = Field(3, description="how often what differs is looked at")
    pause_s: Pause = Field(1.0, description="between rounds")
    tolerance_s: Pause = Field(1.0, description="that times to live may differ")
    max_commands_per_second: Annotated[int, Whole(0, 10_000_000)] = Field(
        20_000, description="to each endpoint; 0 for no limit"
    )
    skip_types: tuple[Annotated[str, Text(100, "a type")], ...] = Field(
        (), description="types whose values are not compared"
    )


class PlanExpect(Model):
    """What the answer must be for `pytest` to pass; `harness accept` ends with the answer's own exit code."""

    verdict: Verdict = Field("go", description="the verdict")
    fails: tuple[Annotated[str, Text(100, "a check's name")], ...] | None = Field(
        None, description="exactly these checks fail"
    )
    warns: tuple[Annotated[str, Text(100, "a check's name")], ...] | None = Field(
        None, description="at least these checks warn"
    )


class Plan(Model):
    """One acceptance: may readers and writers move from the source to the target?"""

    version: Literal[1] = Field(description="of the file format")
    kind: Literal["plan"] = Field(description="which kind of file this is")
    title: Annotated[str, Text(200, "text of one line")] = Field(description="one line: what is to move where")
    why: Annotated[str, Text(5000, empty=True, lines=True)] = Field("", description="why it matters")
    source: EndpointText = Field(
        repr=False,
        description="the old endpoint: a URL, best with ${VAR} for its password, @FILE, or a node of the topology",
    )
    target: EndpointText = Field(repr=False, description="the new endpoint, likewise")
    profile: Annotated[str, Text(63, "a product's name")] | None = Field(
        None, description="the target's product, as in azure-managed-redis"
    )
    canary: StrictBool = Field(False, description="write keys of our own through the source, and remove them after")
    drift_s: Pause = Field(120.0, description="seconds until the second comparison; 0: none")
    measure_s: Pause = Field(2.0, description="how long the source's writes are counted")
    different_servers: StrictBool = Field(False, description="the two are known to be two, though neither shows it")
    trust_replicas: StrictBool = Field(False, description="servers that an endpoint names may be sent its password")
    compare: PlanCompare = Field(PlanCompare(), description="how the two are compared")
    topology: TopologySpec | None = Field(
        None, description="servers of our own that are started for this plan, to try it out; source and target name two"
    )
    data: tuple[PlanData, ...] = Field((), description="written to servers of our own before the check", max_length=64)
    expect: PlanExpect = Field(PlanExpect(), description="what the answer must be in a test")
    tags: tuple[TagName, ...] = Field((), description="pytest markers", max_length=64)
