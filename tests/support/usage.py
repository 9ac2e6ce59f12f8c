"""What a program of its own takes."""

from __future__ import annotations

import os
import subprocess


def measured(words: list[str]) -> tuple[int, float]:
    """Exit code, and the largest resident set in MB."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss / 1024
