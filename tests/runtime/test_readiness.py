import pytest

from harness.errors import SetupError
from harness.runtime.readiness import WaitedTooLongError, wait_until


def test_returns_the_first_value_that_is_neither_none_nor_false() -> None:
    answers = iter([None, False, 0, "never reached"])

    assert wait_until(lambda: next(answers), deadline_s=5, what="an answer") == 0


def test_the_error_shows_what_was_waited_for_and_the_last_value_seen() -> None:
    seen: list[int] = []

    def probe() -> None:
        seen.append(len(seen))

    with pytest.raises(
        WaitedTooLongError, match=r"waited 0\.\d s for b to follow; last seen: offset \d+ of 9000"
    ) as caught:
        wait_until(probe, deadline_s=0.02, what="b to follow", describe=lambda: f"offset {len(seen)} of 9000")

    assert caught.value.last_seen == f"offset {len(seen)} of 9000"
    assert isinstance(caught.value, SetupError)


def test_progress_renews_the_deadline() -> None:
    steps = iter(range(1, 1000))
    done = 0

    def probe() -> bool:
        nonlocal done
        done = next(steps)
        return done == 60  # takes longer than the deadline

    assert wait_until(probe, deadline_s=0.3, what="the sync", progress=lambda: done) is True


def test_going_round_in_circles_is_no_progress() -> None:
    steps = iter(range(10_000))
    with pytest.raises(WaitedTooLongError, match="waited"):
        wait_until(lambda: None, deadline_s=0.05, what="the sync", progress=lambda: next(steps) % 3)


def test_what_the_probe_raises_ends_the_waiting() -> None:
    def probe() -> None:
        raise SetupError("node a ended")

    with pytest.raises(SetupError, match=r"^node a ended$"):
        wait_until(probe, deadline_s=60, what="node a to answer")
