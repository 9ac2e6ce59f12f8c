"""`--print newest-first`: what a node really sent, from the run's own record of it."""

from __future__ import annotations

from pathlib import Path

from harness.checker.evidence import Evidence, KeyState, Reading, Stream
from harness.checker.newest import whole
from harness.commands.output import Output, aside
from harness.errors import UsageError
from harness.kinds import SHARDED
from harness.report.readings import newest_first
from harness.report.store import RunDirectory
from harness.report.summary import first_workload


def print_newest(run_dir: Path, node: str | None, output: Output) -> None:
    """Stream one node's values to standard output, one a line, the newest first."""
    directory = RunDirectory.open(run_dir)
    evidence = directory.load_evidence()
    if (stream := first_workload(evidence.streams)) is not None and stream.kind in SHARDED:
        _print_merged(directory, evidence, stream, node, output)
        return
    reading = reading_to_show(evidence, node)
    if reading.state is not KeyState.LIST:
        aside(f"harness: {reading.node} sent no list to print: {_why(reading)}")
        return
    output.blocks(newest_first(directory.readings(reading.node, reading.stream)))


def _print_merged(
    directory: RunDirectory, evidence: Evidence, stream: Stream, node: str | None, output: Output
) -> None:
    """All keys of a workload together; node: only those that were read from it."""
    for _, readings in whole(evidence, stream.workload):
        shown = [reading for reading in readings if node in (None, reading.node)]
        for reading in shown:
            if reading.state not in (KeyState.LIST, KeyState.ABSENT):
                aside(f"harness: {reading.node} sent nothing of {reading.stream} to print: {_why(reading)}")
        if shown:
            there = [reading for reading in shown if reading.state is KeyState.LIST]
            output.blocks(newest_first(*(directory.readings(each.node, each.stream) for each in there)))
            return
    raise UsageError(f"--node {node}: that node was not read in this run")


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
