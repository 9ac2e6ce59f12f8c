"""Waiting, as the runtimes know it: see `harness.waiting`, which rooms below them use as well."""

from harness.waiting import FIRST_PAUSE_S, LONGEST_PAUSE_S, WaitedTooLongError, wait_until

__all__ = ["FIRST_PAUSE_S", "LONGEST_PAUSE_S", "WaitedTooLongError", "wait_until"]
