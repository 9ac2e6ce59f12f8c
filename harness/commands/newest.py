"""`--print newest-first`: what a node really sent, from the run's own record of it."""

from __future__ import annotations

from pathlib import Path

from harness.checker.evidence import Evidence, KeyState, Reading
from harness.commands.output import Output, aside
from harness.errors import UsageError
from harness.report.readings import newest_first
from harness.report.store import RunDirectory
from harness.report.summary import first_workload


def print_newest(run_dir: Path, node: str | None, output: Output) -> None:
    """Stream one node's values to standard output, one a line, the newest first."""
    directory = RunDirectory.open(run_dir)
    evidence = directory.load_evidence()
    reading = reading_to_show(evidence, node)
    if reading.state is not KeyState.LIST:
        aside(f"harness: {reading.node} sent no list to print: {_why(reading)}")
        return
    output.blocks(newest_first(directory.readings(reading.node, reading.stream)))


def reading_to_show(evidence: Evidence, node: str | None) -> Reading:
    """The node's reading of the first workload; by default that of the last node that is judged."""
    stream = first_workload(evidence.streams)
    name = node or (evidence.nodes[-1] if evidence.nodes else None)
    for reading in evidence.readings:
        if reading.node == name and stream is not None and reading.stream == stream.reading:
            return reading
    read = dict.fromkeys(reading.node for reading in evidence.readings)
    raise UsageError(f"--node {name}: that node was not read in this run; {', '.join(read) or 'no node'} was")


def _why(reading: Reading) -> str:
    if reading.state is KeyState.ABSENT:
        return "the key is not there"
    if reading.state is KeyState.WRONG_TYPE:
        return f"the key is a {reading.found_type}"
    return reading.error or "it could not be read"
