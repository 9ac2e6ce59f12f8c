from __future__ import annotations

import pytest

from harness.checker.show import elements, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"4711", "4711"),
        (b"", ""),
        ("grün".encode(), "grün"),
        (b"\xff\x00a", r"\xff\x00a"),
        (b"two\nlines\x1b[31m", r"two\nlines\x1b[31m"),
        (b"x" * 60, "x" * 60),
        (b"x" * 61, "x" * 60 + "… (61 bytes)"),
        (b"\xf0" * 500, r"\xf0" * 15 + "… (500 bytes)"),
    ],
)
def test_a_value_is_one_line_of_its_own_bytes(value: bytes, text: str) -> None:
    assert shown(value) == text


def test_numbers_of_elements() -> None:
    assert [elements(0), elements(1), elements(2, at_least=True)] == ["0 elements", "1 element", "at least 2 elements"]
