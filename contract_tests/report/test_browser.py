"""The page in headless Chromium, as Debian packages it, driven by playwright; nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.report.accounts import NOW, hostile, options, year
from venice_billing.ledger import Ledger
from venice_billing.report import make_report, write_report
from venice_billing.testing import demo_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from venice_billing.report import Report

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed here")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
MILLISECONDS = 120_000  # for what takes a second, on a machine under any load
A4_PAGES = 2


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=MILLISECONDS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path, dict[str, Decimal]]:
    """Return the report of a ledger, its page, and what the ledger says was charged."""
    folder = tmp_path_factory.mktemp("report")
    with demo_account(NOW).client() as client, Ledger(folder / "venice.duckdb") as ledger:
        ledger.sync(client)
        report = make_report(ledger, balance=client.get_balance(), **options())
        table = ledger.spend("currency", start=report.start, end=report.end)
    return report, write_report(report, folder / "report.html"), {row.currency: row.debits for row in table}


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a page; afterwards, whatever the page complained of or asked for is a failure."""
    contexts: list[Any] = []
    complaints: list[str] = []
    asked: list[str] = []

    def open_page(path: Path, **settings: Any) -> Any:
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(MILLISECONDS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        allowed.append(path.as_uri())
        return page

    allowed: list[str] = []
    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert asked == allowed


def column(page: Any, table: str, number: int) -> list[str]:
    found: list[str] = page.locator(f"#{table} tbody tr td:nth-child({number})").all_inner_texts()
    return found


def test_totals_of_the_page_are_those_of_the_ledger(
    opened: Callable[..., Any], reported: tuple[Report, Path, dict[str, Decimal]]
) -> None:
    report, path, debits = reported
    page = opened(path)
    assert page.title() == "Venice spend of 2026-11"
    shown = dict(zip(column(page, "totals", 1), map(Decimal, column(page, "totals", 2)), strict=True))
    assert shown == debits
    for number, part in enumerate(report.currencies, 1):
        assert sum(map(Decimal, column(page, f"models-part-{number}", 2))) == debits[part.currency]
        page.locator(f"#part-{number} summary").first.click()
        assert sum(map(Decimal, column(page, f"days-part-{number}", 2))) == debits[part.currency]
    assert page.locator("figure .wide svg").first.is_visible()


def test_a_table_sorts_by_pointer_and_by_keyboard(
    opened: Callable[..., Any], reported: tuple[Report, Path, dict[str, Decimal]]
) -> None:
    page = opened(reported[1])
    table, heading = "models-part-1", page.locator("#models-part-1 thead th")
    amounts = list(map(Decimal, column(page, table, 2)))
    assert amounts == sorted(amounts, reverse=True)
    assert heading.nth(1).get_attribute("aria-sort") == "descending"
    page.locator(f"#{table} th:nth-child(2) button").click()
    assert list(map(Decimal, column(page, table, 2))) == sorted(amounts)
    assert heading.nth(1).get_attribute("aria-sort") == "ascending"
    names = column(page, table, 1)
    page.locator(f"#{table} th:nth-child(1) button").focus()
    page.keyboard.press("Enter")
    assert column(page, table, 1) == sorted(names, key=str.casefold)
    assert heading.nth(0).get_attribute("aria-sort") == "ascending"
    assert heading.nth(1).get_attribute("aria-sort") is None
    page.keyboard.press("Space")
    assert column(page, table, 1) == sorted(names, key=str.casefold, reverse=True)


@pytest.mark.parametrize("source", ["demo", "hostile", "year"])
def test_a_phone_scrolls_down_alone(
    opened: Callable[..., Any],
    reported: tuple[Report, Path, dict[str, Decimal]],
    tmp_path: Path,
    source: str,
) -> None:
    report, path, _ = reported
    if source != "demo":
        if source == "hostile":
            report = make_report(hostile(), **options())
        else:
            report = make_report(year(300), start="2025-11-21", end="2026-11-21", now=NOW)
        path = write_report(report, tmp_path / "report.html")
    page = opened(path, viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("figure .narrow svg").first.is_visible()
    assert not page.locator("figure .wide svg").first.is_visible()
    widths = page.evaluate(
        "Array.from(document.querySelectorAll('figure .narrow svg'), (svg) => svg.getBoundingClientRect().width)"
    )
    assert max(widths) <= 328


def test_dark_mode_has_light_texts_in_charts_too(
    opened: Callable[..., Any], reported: tuple[Report, Path, dict[str, Decimal]]
) -> None:
    lightness = "getComputedStyle(element)[name].match(/\\d+/g).slice(0, 3).reduce((sum, one) => sum + Number(one), 0)"
    found = {}
    for scheme in ("light", "dark"):
        page = opened(reported[1], color_scheme=scheme)
        of_page = page.locator("body").evaluate(f"(element, name) => {lightness}", "backgroundColor")
        of_text = page.locator("figure .wide svg text").first.evaluate(f"(element, name) => {lightness}", "fill")
        found[scheme] = of_page - of_text
    assert found["light"] > 300
    assert found["dark"] < -300


def test_pointer_over_a_day_shows_its_figures(
    opened: Callable[..., Any], reported: tuple[Report, Path, dict[str, Decimal]]
) -> None:
    page = opened(reported[1])
    mark = page.locator("#part-1-days .wide [role=img][aria-label]").first
    mark.scroll_into_view_if_needed()
    mark.hover()
    assert page.locator("#tip").inner_text() == mark.get_attribute("aria-label")
    first = reported[0].currencies[0].by_day
    assert f"{next(iter(first)).debits.normalize():f}" in page.locator("#tip").inner_text()


def test_it_prints(opened: Callable[..., Any], reported: tuple[Report, Path, dict[str, Decimal]]) -> None:
    page = opened(reported[1], color_scheme="dark")
    data = page.pdf(format="A4", prefer_css_page_size=True)
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") >= A4_PAGES
    page.emulate_media(media="print")
    assert page.locator("body").evaluate("(body) => getComputedStyle(body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()


def test_names_that_mean_harm_run_nothing(opened: Callable[..., Any], tmp_path: Path) -> None:
    """A script of theirs would show a dialog, write to the console, or ask for an image."""
    page = opened(write_report(make_report(hostile(), **options()), tmp_path / "report.html"))
    assert page.locator("script").count() == 2
    assert page.evaluate("window.name") == ""


def test_the_policy_forbids_what_the_page_does_not_do(
    browser: Any, reported: tuple[Report, Path, dict[str, Decimal]]
) -> None:
    """A request that a script would make is refused by the browser before it is made."""
    page = browser.new_context().new_page()
    page.goto(reported[1].as_uri())
    refused = page.evaluate(
        """() => new Promise((resolve) => {
          document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
          const image = document.createElement("img");
          image.src = "http://127.0.0.1:9/x.png";
          document.body.append(image);
        })"""
    )
    assert refused == "img-src"
    page.context.close()
