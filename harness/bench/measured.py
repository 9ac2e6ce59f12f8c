"""`harness …` in a process of its own that says at its end how much memory it took at most.

    python -m harness.bench.measured run FILE …

The last line on standard error is {"peak_mb": …}: resident memory as the system counted it for this program alone.
What a parent asks of an ended child would include the parent's own, which it had for a moment.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from harness.cli import run_command_line


def peak_mb() -> float:
    """The most memory that this program has had in RAM, in MB of 1,000,000 bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    code = run_command_line(sys.argv[1:])
    sys.stdout.flush()
    print(json.dumps({"peak_mb": peak_mb()}), file=sys.stderr)
    sys.exit(code)
