"""What a reader gets: terminal, Markdown, JUnit and how far it is."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from harness.matrix.baseline import Selection, changes
from harness.matrix.cells import Outcome
from harness.matrix.summary import summarize
from harness.report.estimate import estimate_line
from harness.report.matrix_junit import matrix_junit
from harness.report.matrix_markdown import matrix_markdown
from harness.report.matrix_terminal import matrix_text, pair_table
from tests.matrix.made import NEW, OLD, cell, matrix, usual

A, B = OLD.name, NEW.name


def test_the_table() -> None:
    assert pair_table(usual()).splitlines()[3:] == [
        "redis-7.0.15         + ok       !- lost 1/2",
        "valkey-9.1.2         x refused  + ok",
    ]


def test_everything_a_reader_needs_is_in_the_terminal() -> None:
    text = matrix_text(usual())
    assert "x  refused   the replica can't follow, and a log says why" in text
    assert "its own data: already thrown away" in " ".join(text.split())
    alarm = text[text.index("OTHERWISE THAN THE RULES SAY") :]
    assert f"lost instead of ok: {A} -> {B}, list by full_disk" in alarm
    assert f"again: harness matrix --pair {A}:{B} --features list --sync full_disk" in alarm
    assert "expected because nothing stands against it [a source]" in alarm
    assert text.endswith("7 cells in 12.5 s: 4 ok, 1 n/a, 1 refused, 1 lost; 1 OTHERWISE than the rules say")


def test_unknown_is_never_shown_as_ok() -> None:
    summary = summarize([cell(A, A), cell(A, A, "hash", outcome=Outcome.UNKNOWN)])
    assert summary is not None
    assert summary.text == "!? unknown 1/2"


def test_cells_that_were_not_tried_do_not_make_a_pair_look_better() -> None:
    not_tried = cell(A, A, outcome=Outcome.NOT_APPLICABLE)
    nothing, refused = summarize([not_tried]), summarize([not_tried, cell(A, A, "hash", outcome=Outcome.REFUSED)])
    assert nothing is not None
    assert nothing.text == "!. n/a"
    assert refused is not None
    assert refused.text == "!x refused"


def test_what_changed_is_in_terminal_and_summary() -> None:
    now = matrix(cell(A, A, outcome=Outcome.REFUSED))
    changed = changes(matrix(cell(A, A), cell(B, B)), now, Selection())
    for text in (matrix_text(now, changed), matrix_markdown(now, changed).replace("\\", "")):
        assert "ok -> refused" in text.replace("&gt;", ">")
        assert "was ok, not taken this time" in text


def test_what_servers_say_can_not_break_the_summary() -> None:
    text = matrix_markdown(usual())
    assert "<img" not in text
    assert "&lt;img" in text


def test_junit() -> None:
    root = Xml.fromstring(matrix_junit(matrix(*usual().cells, cell(A, "x", reason="\x00\x1b", outcome=Outcome.LOST))))
    assert root.attrib["tests"] == "8"
    assert [suite.attrib["name"] for suite in root] == [A, B]
    assert root[0].attrib["failures"] == "2"
    failure = root[0].find("testcase[@name='list-full_disk']/failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("lost instead of ok: LRANGE")
    assert root[1].find("testcase[@name='hash-full_disk']/skipped") is not None


def test_the_estimate() -> None:
    assert estimate_line("matrix", 240, 960, 12) == "matrix: 240 of 960 cells, 12 s so far, about 36 s left"
    assert estimate_line("matrix", 0, 960, 12) == "matrix: 0 of 960 cells, 12 s so far"
