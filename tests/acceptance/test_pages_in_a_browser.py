"""The HTML reports in a real browser without a network: what a person sees, and that nothing is fetched or broken."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from harness.acceptance.model import Acceptance, Check, Grade
from harness.acceptance.report import html_page as acceptance_page
from harness.compare.model import Difference, Finding, Outcome, Subject, Totals
from harness.compare.report import html_page as comparison_page

NASTY = '<script>document.title = "run"</script>' + "x" * 500
NO_NETWORK = "--proxy-server=127.0.0.1:9"  # where nobody listens


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "this test needs Debian's package chromium"
    assert driver, "this test needs Debian's package chromium-driver"
    options = ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", NO_NETWORK):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument("--window-size=1000,800")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "localhost,127.0.0.1")  # the driver is here, whatever proxy the machine has
        started = Chrome(options=options, service=Service(driver))
        try:
            yield started
        finally:
            started.quit()


def opened(browser: Chrome, page: str, folder: Path) -> None:
    """Show the page; nothing may be loaded beside it, complained of, or wider than the window."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    browser.get(file.as_uri())
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.get_log("browser") == []
    assert browser.title in ("Acceptance", "Comparison"), "nothing that a server says runs here"
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_a_comparison(browser: Chrome, tmp_path: Path) -> None:
    subject = Subject(0, NASTY.encode() + b"\xff", "list")
    differences = (Difference(subject, Finding("tail_missing", 9, NASTY.encode(), None, 3)),)
    outcome = Outcome(differences, {"tail_missing": 1}, (subject,), ("why <b>",), ("note",), Totals(5, 5), 1.0)
    opened(browser, comparison_page(outcome), tmp_path)
    assert browser.find_element(By.TAG_NAME, "h1").text == "DIFFERENT: 1 difference in 1 key"
    counts, rows = browser.find_elements(By.TAG_NAME, "table")
    assert "B's list ends early; all that it has is the same" in counts.text
    assert NASTY in rows.text
    assert "\\xff" in rows.text
    assert "why <b>" in browser.find_element(By.TAG_NAME, "body").text


def test_an_acceptance(browser: Chrome, tmp_path: Path) -> None:
    checks = [
        Check(f"check {grade.value}", grade, NASTY, "<i>do</i> this", required=True)
        for grade in (Grade.PASS, Grade.WARN, Grade.FAIL, Grade.NOT_POSSIBLE)
    ]
    report = Acceptance(
        "redis://a:1", "redis://b:2", tuple(checks), {"lag p99 ms": 1.5}, ("Stop <all> writers.",), ("Keep it.",)
    )
    opened(browser, acceptance_page(report), tmp_path)
    assert browser.find_element(By.TAG_NAME, "h1").text == "NO-GO: 1 fail"
    rows = browser.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert [row.text.split("\n")[0].split(" check")[0] for row in rows[:4]] == [
        "pass",
        "warn",
        "fail",
        "not possible here",
    ]
    colours = {row.find_element(By.TAG_NAME, "td").value_of_css_property("background-color") for row in rows[:3]}
    assert len(colours) == 3, "grades are told apart at a glance"
    box = browser.find_element(By.CSS_SELECTOR, "input[type=checkbox]")
    box.click()
    assert box.is_selected(), "the checklist can be worked through"
    assert "Stop <all> writers." in browser.find_element(By.TAG_NAME, "body").text
