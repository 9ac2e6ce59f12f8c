"""Plain scalars by YAML's core schema, and references to the environment."""

from __future__ import annotations

import math

import pytest

from harness.scenario.scalars import BadReferenceError, escaped, fill, sole_variable, typed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-17", -17),
        ("+17", 17),
        ("010", 10),
        ("0o17", 15),
        ("0xff", 255),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("9" * 500, math.inf),
    ],
)
def test_what_looks_like_a_value_is_one(text: str, value: object) -> None:
    assert typed(text) == value
    assert type(typed(text)) is type(value)


@pytest.mark.parametrize(
    "text", ["on", "off", "yes", "no", "y", "1:30", "2024-01-01", "1_000", "0b1", "20%", "=", "<<", "\uff11", "TrUe"]
)
def test_everything_else_is_text(text: str) -> None:
    assert typed(text) == text


def test_nan_is_a_number() -> None:
    assert math.isnan(float(str(typed(".nan"))))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${A}", "one"),
        ("x${A}y${A}", "xoneyone"),
        ("${A:-two}", "one"),
        ("${EMPTY}", ""),
        ("${EMPTY:-two}", "two"),
        ("${MISSING:-two}", "two"),
        ("${MISSING:-}", ""),
        ("${MISSING:-a:-b}", "a:-b"),
        ("${MISSING:-pa$$word}", "pa$word"),
        ("$$", "$"),
        ("$${A}", "${A}"),
        ("$A $ 5$", "$A $ 5$"),
    ],
)
def test_references_are_replaced(text: str, result: str) -> None:
    assert fill(text, {"A": "one", "EMPTY": ""}).text == result


def test_what_came_from_the_environment_is_not_looked_through_again() -> None:
    assert fill("${A}", {"A": "${B}", "B": "no"}).text == "${B}"


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A:-", "${A-b}", "${A:-${B}}", "x${ A}"])
def test_a_malformed_reference(text: str) -> None:
    with pytest.raises(BadReferenceError, match=r"^a reference is written \$\{NAME\} or \$\{NAME:-default\}"):
        fill(text, {"A": "hunter2"})


def test_an_unset_variable_is_named() -> None:
    with pytest.raises(
        BadReferenceError, match=r"^the environment variable N is not set; set it, or write \$\{N:-default\}$"
    ):
        fill("${N}", {})


def test_a_variable_that_is_not_text() -> None:
    with pytest.raises(BadReferenceError, match=r"^the environment variable N is not valid UTF-8$"):
        fill("${N}", {"N": b"\xff".decode("utf-8", "surrogateescape")})


def test_an_unset_variable_may_be_made_up() -> None:
    assert fill("${A}${N}", {"A": "a"}, lambda name: f"<{name}>").text == "a<N>"


@pytest.mark.parametrize("name", ["REDIS_PASSWORD", "db_pass", "API_TOKEN", "Auth"])
def test_a_variable_that_sounds_secret(name: str) -> None:
    assert fill(f"${{{name}}}", {name: "x"}).secret
    assert not fill("${N}", {"N": "x"}).secret


def test_a_text_that_is_one_reference() -> None:
    assert sole_variable("${A:-b}") == "A"
    assert sole_variable("${A}x") is None
    assert sole_variable("$$") is None


@pytest.mark.parametrize("text", ["$", "$$", "${A}", "a$b${", ""])
def test_escaped_text_comes_back(text: str) -> None:
    assert fill(escaped(text), {}).text == text
