"""Files that can't be read as YAML of ours: each has one message, with the place, and no traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from harness.errors import ScenarioError
from harness.scenario import source
from harness.scenario.loader import load
from tests.scenario.conftest import GOOD, Load, Mistakes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "s.yaml:1:1: the file is empty; a scenario or plan begins with version: 1"),
        ("# nothing yet\n", "s.yaml:1:1: the file is empty; a scenario or plan begins with version: 1"),
        ("---\n", "s.yaml:1:1: the file is empty; a scenario or plan begins with version: 1"),
        ("- a\n- b\n", "s.yaml:1:1: expected a mapping that begins with version: 1, not a list"),
        ("hello\n", "s.yaml:1:1: expected a mapping that begins with version: 1, not 'hello'"),
        ("~\n", "s.yaml:1:1: expected a mapping that begins with version: 1, not nothing"),
        (GOOD + "---\n" + GOOD, "s.yaml:8:1: a second document begins here; a file holds one scenario"),
        (b"title: caf\xe9\n", "s.yaml:1:11: byte 10 (0xe9) is not UTF-8; save the file as UTF-8"),
        ("a: b\n".encode("utf-16"), "s.yaml:1:1: byte 0 (0xff) is not UTF-8; save the file as UTF-8"),
        ("é: b\nc: \x01\n", "s.yaml:2:4: the character U+0001 cannot stand in a YAML file"),
        ("a: b\n\tc: d\n", "s.yaml:2:1: a tab cannot stand here; YAML is indented with spaces"),
        (
            "a: !!python/object:os.system ls\n",
            "s.yaml:1:4: a tag (!…) has no meaning here; text that begins with ! goes in quotes",
        ),
        ("a: !hunter2\n", "s.yaml:1:4: a tag (!…) has no meaning here; text that begins with ! goes in quotes"),
        ("a: *hunter2\n", "s.yaml:1:4: this alias (*…) names nothing; text that begins with * goes in quotes"),
        ("a: &x [*x]\n", "s.yaml:1:8: this alias (*…) stands inside what it names"),
        ("[" * 40, "s.yaml:1:33: nested deeper than 32 levels"),
        ("".join(f"{'  ' * n}a:\n" for n in range(100)), "s.yaml:33:65: nested deeper than 32 levels"),
    ],
)
def test_what_no_scenario_can_be(mistakes: Mistakes, text: str | bytes, message: str) -> None:
    assert mistakes(text) == [message]


def test_nesting_deeper_than_the_parser_itself_can_go(mistakes: Mistakes) -> None:
    [message] = mistakes("[" * 100_000)
    assert message.endswith(": nested deeper than 32 levels")


@pytest.mark.parametrize(
    "text", ["a: [1,\nb: 2\n", "a: 'x\n", "a: 1\n b: 2\n", "a: @x\n", "%YAML 9.9\n---\na: 1\n", ": :"]
)
def test_a_syntax_error_has_its_place(mistakes: Mistakes, text: str) -> None:
    [message] = mistakes(text)
    place, _, words = message.partition(": not YAML: ")
    assert place.startswith("s.yaml:")
    assert words


def test_an_alias_bomb_is_not_expanded(mistakes: Mistakes) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(
        f"{new}: &{new} [{', '.join(['*' + old] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert mistakes(bomb) == ["s.yaml:5:4: more than 250000 values, counting what aliases repeat"]


def test_aliases_do_not_nest_deeper_than_text(mistakes: Mistakes) -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 600))
    assert mistakes(chain) == ["s.yaml:31:6: nested deeper than 32 levels"]


def test_aliases_that_repeat_a_little_are_fine(load_text: Load) -> None:
    faults = "faults:\n  - &slow {at: 20%, until: 40%, link: a->b, toxic: latency, latency_ms: 1}\n  - *slow\n"
    assert len(load_text(GOOD + faults).scenario.faults) == 2


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.touch()
    os.truncate(path, 50_000_000)
    with pytest.raises(
        ScenarioError, match=r"s\.yaml: 50000000 bytes are too much for a scenario; at most 2000000 are read$"
    ):
        load(path)


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(ScenarioError, match=r"^/dev/zero: this is too much for a scenario; at most 2000000 are read$"):
        load(Path("/dev/zero"))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"gone.yaml: cannot be read: No such file or directory$"):
        load(tmp_path / "gone.yaml")
    with pytest.raises(ScenarioError, match=r": cannot be read: Is a directory$"):
        load(tmp_path)


def test_a_byte_order_mark_is_no_mistake(load_text: Load) -> None:
    assert load_text(b"\xef\xbb\xbf" + GOOD.encode()).scenario.title == "One replica"


def test_keys(mistakes: Mistakes) -> None:
    text = GOOD + "title: again\n<<: {why: x}\n? [a, b]\n: c\non: 1\n"
    assert mistakes(text) == [
        "s.yaml:8:1: title: this key is already there in line 2",
        "s.yaml:9:1: <<: merging mappings (<<) is not supported; write the keys out",
        "s.yaml:10:3: a key must be plain text",
        "s.yaml:12:1: on: unknown key; known here are expect, faults, kind, preload, property, tags, title, topology, "
        "version, why, workload",
    ]


def test_a_key_that_a_terminal_would_not_show_is_escaped(mistakes: Mistakes) -> None:
    [message] = mistakes(GOOD + '"tit\\nle\\e[31m": x\n')
    assert message == "s.yaml:8:1: tit\\nle\\x1b[31m: unknown key; did you mean 'title'?"


def test_the_first_hundred_mistakes_are_shown(mistakes: Mistakes) -> None:
    found = mistakes(GOOD + "".join(f"key{n}: 1\n" for n in range(250)))
    assert len(found) == 101
    assert found[-1] == "s.yaml: and 150 more mistakes"


def test_the_slower_parser_gives_the_same_data(load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = load_text(GOOD).scenario
    monkeypatch.setattr(source, "_Loader", yaml.SafeLoader)
    assert load_text(GOOD).scenario == fast


def test_the_slower_parser_knows_the_same_mistakes(mistakes: Mistakes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_Loader", yaml.SafeLoader)
    assert mistakes("é: b\nc: \x01\n") == ["s.yaml:2:4: the character U+0001 cannot stand in a YAML file"]
    assert mistakes("[" * 1000) == ["s.yaml:1:33: nested deeper than 32 levels"]
    assert mistakes("a: b\n\tc: d\n") == ["s.yaml:2:1: a tab cannot stand here; YAML is indented with spaces"]
