"""The page in a real browser: what it draws, filters and opens, by its DOM; and that it complains of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.matrix.cells import Outcome
from harness.report.matrix_html import matrix_html
from tests.matrix.made import EVIL, NEW, OLD, cell, matrix, replay, usual
from tests.support.browser import chromium, console

A, B = OLD.name, NEW.name


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    file = tmp_path / "matrix.html"
    file.write_text(matrix_html(usual()), encoding="utf-8")
    browser.get(file.as_uri())
    return browser


def texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())", selector
    )
    return found


def choose(page: Any, name: str, value: str) -> None:
    page.execute_script(
        "const s=document.getElementById(arguments[0]);s.value=[...s.options].find(o=>o.text===arguments[1]).value;"
        "s.dispatchEvent(new Event('change'))",
        name,
        value,
    )


def test_the_table_and_its_legend(page: Any) -> None:
    assert texts(page, "#matrix tbody td") == ["+ ok", "!- lost 1/2", "x refused", "+ ok"]
    assert texts(page, "#matrix th") == ["primary \\ replica", A, B, A, B]
    assert [text.split(":")[0] for text in texts(page, "#legend li")] == ["+ ok", ". n/a", "x refused", "- lost"]
    assert console(page) == []


def test_filters(page: Any) -> None:
    choose(page, "feature", "hash")
    assert texts(page, "#matrix tbody td") == ["+ ok", "+ ok", "", ". n/a"]
    choose(page, "sync", "full_diskless")
    assert texts(page, "#matrix tbody td") == ["", "+ ok", "", ""]
    choose(page, "feature", "all features")
    choose(page, "sync", "all kinds of sync")
    choose(page, "outcome", "refused")
    assert texts(page, "#count") == ["1 cells"]
    choose(page, "outcome", "all outcomes")
    page.execute_script("document.getElementById('alarms').click()")
    assert texts(page, "#matrix tbody td") == ["", "!- lost", "", ""]
    assert console(page) == []


def test_a_cell_opens_its_evidence_by_keyboard_alone(page: Any) -> None:
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    page.execute_script("document.querySelector('[data-pair=\"0,0\"]').focus()")
    page.switch_to.active_element.send_keys(keys.ARROW_RIGHT)
    page.switch_to.active_element.send_keys(keys.ENTER)
    assert texts(page, "#detail-title") == [f"{A} feeds {B}: 2 cells"]
    assert texts(page, "#cells summary")[0] == "- lost instead of ok: list, full_disk"
    page.execute_script("document.querySelector('#cells summary').click()")
    page.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0]))")
    assert texts(page, "#cells pre") == [
        f"lost: one element {EVIL}",
        f"replica: {EVIL}",
        replay(A, B, "list", "full_disk"),
    ]
    assert "a source" in texts(page, "#cells dd")
    page.switch_to.active_element.send_keys(keys.ESCAPE)
    assert page.execute_script("return document.getElementById('detail').hidden")
    assert page.execute_script("return document.activeElement.dataset.pair") == "0,1"
    assert console(page) == []


def test_what_a_server_said_stays_text(page: Any) -> None:
    assert page.execute_script("return document.images.length") == 0
    assert page.execute_script("return document.scripts.length") == 2


def test_colour_is_not_needed(page: Any) -> None:
    signs = texts(page, "#matrix tbody .sign")
    assert len(signs) == len([text for text in texts(page, "#matrix tbody td") if text])
    assert all(signs)


def test_a_page_of_eleven_thousand_cells_is_small() -> None:
    engines, syncs = [f"engine-{number}.0" for number in range(8)], [f"sync_{number}" for number in range(9)]
    log = tuple(f"replica: * Full resync from <address>, line {number}" for number in range(8))
    cells = [
        cell(primary, replica, f"feature_{feature}", sync, evidence=log, outcome=Outcome.OK)
        for primary in engines
        for replica in engines
        for feature in range(20)
        for sync in syncs
    ]
    assert len(cells) == 11_520
    assert len(matrix_html(matrix(*cells)).encode()) < 2_000_000
