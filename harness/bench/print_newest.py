"""Reads a list as a run does, keeps what the node sent, and prints it, the newest value first.

    python -m harness.bench.print_newest HOST PORT KEY

The last line on standard error is its seconds, from connecting to the last byte handed over.
"""

from __future__ import annotations

import sys
import time

from harness.bench.programs import own_folder
from harness.checker.evidence import KeyState
from harness.commands.output import Output
from harness.endpoint.address import Endpoint
from harness.report.readings import RunsWriter, newest_first
from harness.resp.connection import Connection
from harness.resp.key_reader import read_key


def main(host: str, port: int, key: str) -> None:
    with own_folder() as folder:
        began = time.perf_counter()
        readings = folder / "readings.jsonl"
        with Connection(Endpoint(host, port)) as connection, RunsWriter(readings) as sink:
            found = read_key(connection, key, sink.add)
        if found.state is not KeyState.LIST:
            sys.exit(f"{key} could not be read: {found.error or found.state}")
        Output().blocks(newest_first(readings))
        seconds = time.perf_counter() - began
    print(f"{seconds:.6f}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
