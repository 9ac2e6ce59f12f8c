from __future__ import annotations

from harness.history import LengthJump, Resolved
from harness.workload.lengths import Lengths


def test_expected_lengths_say_nothing():
    lengths = Lengths()
    assert lengths.told(1, 1, 10, 10) is None
    assert lengths.told(1, 11, 11, 11) is None
    assert lengths.expected == 11


def test_a_length_that_nothing_explains():
    lengths = Lengths()
    assert lengths.told(1, 1, 10, 12) == LengthJump(1, 10, 10, 12)
    assert lengths.told(1, 11, 12, 14) is None
    assert lengths.told(1, 13, 13, 1) == LengthJump(1, 13, 15, 1)
    assert lengths.expected == 1


def test_the_first_length_after_a_fenced_break_decides_it():
    lengths = Lengths()
    lengths.told(1, 1, 10, 10)
    lengths.broke(1, 30, fenced=True)
    assert lengths.expected == 10
    assert lengths.told(2, 41, 41, 23) == Resolved((1,), 12)
    assert lengths.told(2, 42, 42, 24) is None


def test_nothing_applied_is_an_answer_too():
    lengths = Lengths()
    lengths.broke(1, 30, fenced=True)
    assert lengths.told(2, 31, 31, 1) == Resolved((1,), 0)


def test_two_fenced_breaks_are_decided_together():
    lengths = Lengths()
    lengths.broke(1, 5, fenced=True)
    lengths.broke(2, 7, fenced=True)
    assert lengths.told(3, 13, 13, 10) == Resolved((1, 2), 9)


def test_a_number_that_the_open_elements_cannot_give_is_reported_as_it_is():
    lengths = Lengths()
    lengths.told(1, 1, 10, 10)
    lengths.broke(1, 5, fenced=True)
    assert lengths.told(2, 16, 16, 8) == Resolved((1,), -3)


def test_unfenced_elements_may_come_at_any_time_but_only_once():
    lengths = Lengths()
    lengths.broke(1, 5, fenced=False)
    assert lengths.told(2, 6, 6, 1) is None
    assert lengths.told(2, 7, 7, 5) is None  # three came late
    assert lengths.told(2, 8, 8, 8) is None  # the other two
    assert lengths.told(2, 9, 9, 10) == LengthJump(2, 9, 9, 10)


def test_late_elements_never_make_a_list_shorter():
    lengths = Lengths()
    lengths.told(1, 1, 10, 10)
    lengths.broke(1, 5, fenced=False)
    assert lengths.told(2, 16, 16, 10) == LengthJump(2, 16, 11, 10)


def test_a_fenced_break_beside_an_unfenced_one_cannot_be_decided():
    lengths = Lengths()
    lengths.broke(1, 5, fenced=False)
    lengths.broke(2, 5, fenced=True)
    assert lengths.told(3, 11, 11, 8) is None
    assert lengths.told(3, 12, 12, 13) == LengthJump(3, 12, 9, 13)  # three of ten are left


def test_a_command_with_an_error_that_decides_nothing_explains_its_own_elements():
    lengths = Lengths()
    lengths.undecided(4)
    assert lengths.told(1, 5, 5, 5) is None
    assert lengths.told(1, 6, 6, 10) == LengthJump(1, 6, 6, 10)


def test_a_negative_length_is_a_jump():
    lengths = Lengths()
    assert lengths.told(1, 1, 1, -7) == LengthJump(1, 1, 1, -7)
    assert lengths.expected == 0
