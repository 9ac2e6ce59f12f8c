"""A matrix as JUnit XML: a suite for each primary, a case for each cell; only what is unexpected fails."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from harness.matrix.cells import Cell, Matrix, Outcome
from harness.matrix.summary import primaries, told

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def matrix_junit(matrix: Matrix) -> str:
    suites = Xml.Element("testsuites", name="harness matrix", tests=str(len(matrix.cells)))
    suites.set("failures", str(len(matrix.alarms)))
    for primary in primaries(matrix):
        cells = [cell for cell in matrix.cells if cell.key.primary == primary]
        suite = Xml.SubElement(suites, "testsuite", name=primary, tests=str(len(cells)), timestamp=matrix.date)
        suite.set("failures", str(sum(not cell.as_expected for cell in cells)))
        suite.set("skipped", str(sum(_is_skipped(cell) for cell in cells)))
        suite.set("time", f"{sum(cell.seconds for cell in cells):.3f}")
        for cell in cells:
            _case(suite, cell)
    Xml.indent(suites)
    return Xml.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: Xml.Element, cell: Cell) -> None:
    key = cell.key
    case = Xml.SubElement(suite, "testcase", classname=f"{key.primary}.{key.replica}", time=f"{cell.seconds:.3f}")
    case.set("name", f"{key.feature}-{key.sync}")
    if not cell.as_expected:
        failure = Xml.SubElement(case, "failure", type=cell.outcome.value)
        failure.set("message", _clean(f"{cell.outcome.value} instead of {cell.expected.outcome.value}: {told(cell)}"))
        failure.text = _clean("\n".join([cell.replay, *cell.evidence]))
    elif _is_skipped(cell):
        Xml.SubElement(case, "skipped", message=_clean(cell.reason))
    else:
        Xml.SubElement(case, "system-out").text = _clean(f"{cell.outcome.value}, as expected: {told(cell)}")


def _is_skipped(cell: Cell) -> bool:
    return cell.as_expected and cell.outcome is Outcome.NOT_APPLICABLE


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)
