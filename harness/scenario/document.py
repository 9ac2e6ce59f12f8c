"""Writes docs/scenarios.md from the models: `python -m harness.scenario.document > docs/scenarios.md`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from harness.endpoint.profile import profiles
from harness.scenario import model, source
from harness.scenario.directives import OWNED
from harness.scenario.moment import MAX_SECONDS
from harness.scenario.resolve import FIRST_PORT
from harness.scenario.toxics import FIGURES, TOXICS

EXAMPLE = """\
version: 1
title: Ten thousand numbers reach the Enterprise endpoint in order
why: A migration is safe only if the endpoint that readers will move to holds the whole list, in order.
topology:
  nodes:
    a: {role: primary, port: 6379, password: "${REDIS_SERVER1_PASSWORD:-secret}"}
    b: {replica_of: a, profile: redis-enterprise, port: 10878}
workload: {kind: list_append, key: "numbers:list", values: 10000, batch: {shape: pipeline, size: 1000}}
faults:
  - {at: 20%, until: 80%, link: a->b, toxic: latency, latency_ms: 100, jitter_ms: 20}
expect:
  list: exact
  newest_first: 5            # shown in the report; a literal list is possible too
  full_syncs: 0              # beyond the first
  converges_within_s: 10
property:
  values: {min: 0, max: 20000}
  batch: {shapes: [single, pipeline, variadic, multi], size: {min: 1, max: 5000}}
  examples: 25
"""

_SECTIONS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("The file", "", model.Scenario),
    ("A topology", "topology", model.TopologySpec),
    ("A node", "topology.nodes.NAME", model.NodeSpec),
    ("A cluster", "topology.cluster", model.ClusterSpec),
    ("A workload", "workload, workload.INDEX, preload.INDEX", model.Workload),
    ("A batch", "workload.batch", model.Batch),
    ("A fault", "faults.INDEX", model.Fault),
    ("Moving slots", "faults.INDEX.move_slots", model.MoveSlots),
    ("A stray write", "faults.INDEX.stray_write", model.StrayWrite),
    ("Expectations", "expect", model.Expect),
    ("Lost writes", "expect.lost", model.Lost),
    ("A property", "property", model.Property),
    ("What a draw writes", "property.values", model.Bounds),
    ("Drawn producers and keys", "property.producers", model.Few),
    ("Drawn batches", "property.batch", model.DrawnBatch),
    ("Drawn batch sizes", "property.batch.size", model.SizeBounds),
)
_INTRODUCTION = """\
# Scenario files

This page is generated from the models that check the files; after a change to them:
`python -m harness.scenario.document > docs/scenarios.md`.

A scenario is one YAML file: who replicates from whom, what is written, what goes wrong meanwhile, and what must hold in
the end. `harness schema` prints the same keys as a JSON Schema for editors.
"""
_VALUES = f"""\
## How values are read

Plain scalars follow YAML 1.2's core schema: `on`, `no`, `1:30` and dates are text. Tags (`!…`), merge keys (`<<`) and
a second document are refused; anchors and aliases work. A file has at most {source.MAX_BYTES:,} bytes,
{source.MAX_DEPTH} levels and {source.MAX_NODES:,} values.

- `${{NAME}}` and `${{NAME:-default}}` in a value are replaced from the environment, and `$$` is a dollar sign. In place
  of a number, `"${{N:-100}}"` is a number. The default also serves for a variable that is empty.
- `--set PATH=VALUE` changes a value before the file is checked: `--set workload.values=250000`,
  `--set faults.0.latency_ms=50`, `--set 'workload.batch={{sizes: [1, 10]}}'`.
- Passwords are never stored: a run directory's scenario has `${{NAME}}` without default, and for a password that was
  written out `${{HARNESS_PASSWORD_NODE}}`.

## Moments

`at` and `until` are one of:

| written | means |
| --- | --- |
| `20%` | that share of the values, of every workload, has been sent |
| `1.5s`, `300ms`, `1.5` | seconds, at most {MAX_SECONDS:,.0f} |
| `full_sync` | a full sync of the link is under way |
| `link_up` | the link came up again |
| `written` | all values are written |

A fault that stops the writer itself (on `client->PRIMARY`: cut, timeout, limit_data, reset_peer, a bandwidth of 0)
needs `until` in seconds, since no later share of the values would be reached.
"""


def document() -> str:
    """The whole page, ending with a newline."""
    parts = [_INTRODUCTION, f"## An example\n\n```yaml\n{EXAMPLE}```\n", _VALUES]
    parts += [_section(title, path, section) for title, path, section in _SECTIONS]
    parts += [_toxics(), _profiles(), _directives()]
    return "\n".join(parts)


# -- tables from the models


def _section(title: str, path: str, section: type[BaseModel]) -> str:
    schema = section.model_json_schema()
    where = f"`{path}`: " if path else ""
    rows = [_row(name, field, schema) for name, field in schema["properties"].items() if name not in FIGURES]
    return f"## {title}\n\n{where}{schema['description']}\n\n{_table(('key', 'type', 'default', 'what'), rows)}"


def _row(name: str, field: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str, ...]:
    default = "needed" if name in schema.get("required", ()) else _default(field)
    types = "[a moment](#moments)" if name in ("at", "until") else " or ".join(_types(field, schema.get("$defs", {})))
    return f"`{name}`", types, default, _about(field)


def _about(field: Mapping[str, Any]) -> str:
    return str(field.get("description", "")).replace("|", "\\|")


def _default(field: Mapping[str, Any]) -> str:
    default = field.get("default")
    return f"`{json.dumps(default)}`" if default not in (None, "", []) and not isinstance(default, dict) else ""


def _types(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    """The words for a value's type, one for each alternative."""
    branches = [*field.get("anyOf", ()), *field.get("oneOf", ())]
    if "$ref" in field:
        yield from _referenced(field["$ref"].rsplit("/", 1)[1], definitions)
    elif branches:
        yield from dict.fromkeys(word for branch in branches for word in _types(branch, definitions))
    elif "enum" in field or "const" in field:
        yield ", ".join(f"`{choice}`" for choice in field.get("enum", [field.get("const")]))
    elif field.get("type") in ("integer", "number"):
        yield _number(field)
    elif field.get("type") == "array":
        yield f"list of {' or '.join(_types(field['items'], definitions))}"
    elif field.get("type") == "object":
        values = field.get("additionalProperties") or next(iter(field.get("patternProperties", {}).values()))
        yield f"mapping of names to {' or '.join(_types(values, definitions))}"
    elif field.get("type") != "null":
        yield {"string": "text", "boolean": "true, false"}[field["type"]]


def _referenced(name: str, definitions: Mapping[str, Any]) -> Iterator[str]:
    if "enum" in definitions[name]:
        yield ", ".join(f"`{choice}`" for choice in definitions[name]["enum"])
        return
    titles = {section.__name__: title for title, _, section in _SECTIONS}
    if name in titles:
        yield f"[{titles[name].lower()}](#{titles[name].lower().replace(' ', '-')})"
    else:
        yield "`{" + ", ".join(definitions[name]["properties"]) + "}`"


def _number(field: Mapping[str, Any]) -> str:
    kind = "whole number" if field["type"] == "integer" else "number"
    low, above, high = field.get("minimum"), field.get("exclusiveMinimum"), field.get("maximum")
    start = f"above {above:,g}" if above is not None else f"from {low:,}" if low is not None else ""
    return " ".join(part for part in (kind, start, f"to {high:,.0f}" if high is not None else "") if part)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# -- tables from other facts


def _toxics() -> str:
    rows = [(f"`{name}`", _keys(toxic.needed), _keys(toxic.optional), toxic.effect) for name, toxic in TOXICS.items()]
    schema = model.Fault.model_json_schema()
    figures = [_row(key, schema["properties"][key], schema) for key in FIGURES]
    return (
        f"## Toxics\n\n{_table(('toxic', 'needs', 'takes', 'effect'), rows)}\n"
        f"Their figures, keys of the fault like the others:\n\n{_table(('key', 'type', 'default', 'what'), figures)}"
    )


def _keys(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _profiles() -> str:
    rows = [
        (f"`{name}`", profile.product, str(profile.port or f"from {FIRST_PORT} upwards"))
        for name, profile in profiles().items()
    ]
    return f"## Profiles\n\n{_table(('profile', 'product', 'default port'), rows)}"


def _directives() -> str:
    rows = [(f"`{name}`", reason) for name, reason in OWNED.items()]
    about = "`config` takes every directive of the server but these, which the harness sets itself:"
    return f"## Directives that are not the scenario's\n\n{about}\n\n{_table(('directive', 'instead, or why'), rows)}"


if __name__ == "__main__":
    sys.stdout.write(document())
