"""What a program of its own takes."""

from __future__ import annotations

import subprocess
import sys

# A process in between: one that is started from a large process counts as large as that.
_BETWEEN = (
    "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL); "
    "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def measured(words: list[str]) -> tuple[int, float]:
    """Exit code, and the largest resident set in MB."""
    run = subprocess.run([sys.executable, "-c", _BETWEEN, *words], capture_output=True, text=True, check=True)
    code, kilobytes = map(int, run.stdout.split())
    return code, kilobytes / 1024
