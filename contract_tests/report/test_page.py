"""The page: its structure, its figures, its size, and that it refers to nothing outside; `test_browser` opens it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.report.accounts import HOSTILE, NOW, entry, hostile, options, year
from venice_billing import ExportError, InvalidParameterError
from venice_billing.report import ReportFormat, make_report, render_report, write_report
from venice_billing.report.shapes import label
from venice_billing.testing import demo_account

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.models import UsageEntry
    from venice_billing.report import Report

MOST_BYTES = 1_500_000
FORMATS: tuple[ReportFormat, ...] = ("html", "md", "svg", "png")
VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """The elements of a page: their attributes, by tag, and the text of each element that has an id."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(report: Report) -> tuple[str, Page]:
    text = render_report(report, "html").decode()
    return text, Page(text)


@pytest.fixture(scope="module")
def demo() -> Report:
    fake = demo_account(NOW)
    with fake.client() as client:
        return make_report(client.iter_usage_history(), balance=client.get_balance(), **options())


def figures(text: str) -> dict[str, Decimal]:
    found = re.findall(r'data-figure="([^"]+)">([^<]+)<', text)
    return {name: Decimal(amount) for name, amount in found}


def test_totals_stand_there_to_the_digit(demo: Report) -> None:
    text, page = page_of(demo)
    shown = figures(text)
    for part in demo.currencies:
        for name in ("debits", "refunds", "purchases", "credits", "net"):
            assert shown[f"{part.currency} {name}"] == getattr(part.totals, name)
    (data,) = [content for tag, content in page.texts if tag == "script" and content.startswith("{")]
    assert json.loads(data) == demo.to_dict()


def test_each_chart_has_a_title_a_text_and_axes_with_units(demo: Report) -> None:
    text, page = page_of(demo)
    drawn = page.all("figure")
    assert len(drawn) == 16
    assert len({figure["id"] for figure in drawn}) == 16
    assert all(figure["aria-label"] for figure in drawn)
    assert len(page.all("figcaption")) == 16
    for part in demo.currencies:
        assert f"Debits in {part.currency}" in text
    for title in ("Spend by day, stacked by model", "Spend by API key", "Spend by service", "against 2026-10"):
        assert title in text
    assert "forecast for the end" in text
    assert " DIEM used (" in text


def test_ids_are_unique(demo: Report) -> None:
    _, page = page_of(demo)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("entries", [hostile, list])
def test_nothing_refers_elsewhere(entries: Any) -> None:
    text, page = page_of(make_report(entries(), **options()))
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "audio", "video")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "srcset", "action", "data", "poster", "style"), (tag, name)
            if name in ("href", "xlink:href"):
                assert value is not None
                assert value.startswith("#")
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_names_of_the_api_are_text_and_nothing_else() -> None:
    report = make_report(hostile(), **options())
    text, page = page_of(report)
    assert len(page.all("script")) == 2
    assert page.all("img") == page.all("b") == []
    assert "{{ 7 * 7 }}" in "".join(content for _, content in page.texts)
    assert not set("\x00\x1b\u202e\u2028") & set(text)
    shown = {content for tag, content in page.texts if tag == "bdi"}
    assert {label(name, "key") for name in HOSTILE} <= shown
    assert max(map(len, shown)) < 600


@pytest.mark.parametrize("models", [8, 300])
def test_a_year_fits(models: int) -> None:
    report = make_report(year(models), start="2025-11-21", end="2026-11-21", now=NOW)
    assert len(report.currencies) == 4
    data = render_report(report, "html")
    assert len(data) < MOST_BYTES
    text = data.decode()
    assert "Spend by day, stacked by model" in text
    assert ("293 other models" in text) == (models == 300)
    for part in report.currencies:
        assert figures(text)[f"{part.currency} debits"] == part.totals.debits


def test_thousands_of_models_and_keys_fit() -> None:
    """Tables keep the largest, and one row for the others, so that a column adds up to the total."""
    entries = [entry(f"-{at + 1}.5", sku=f"m{at}-llm-input-mtoken", key=f"key_{at}") for at in range(3000)]
    report = make_report(entries, **options())
    text, _ = page_of(report)
    assert len(text.encode()) < MOST_BYTES
    assert "2,500 other models" in text
    assert "2,500 other keys" in text
    rows = re.findall(r"<bdi>(?:m\d+|2,500 other models)</bdi></td><td[^>]*>([\d.]+)</td>", text)
    assert sum(map(Decimal, rows)) == report.currencies[0].totals.debits


CASES: dict[str, list[UsageEntry]] = {
    "nothing": [],
    "one charge": [entry("-0.25")],
    "only refunds": [entry("3", request="one"), entry("2", currency="DIEM")],
    "free": [entry("0")],
    "38 digits": [entry("-12345678901234567890123456789012345678.9"), entry("-1")],
    "beyond floats": [entry("-1E+900")],
    "tiny": [entry("-1E-25")],
    "unknown currency": [entry("-1", currency="DOUBLOONS & <gold>")],
    "no key": [entry("-1", key=None, sku="?")],
    "names of the API": hostile(),
    "many currencies": [entry("-1", currency=f"C{at}") for at in range(9)],
}


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize("name", CASES)
def test_each_account_has_a_report(name: str, how: ReportFormat) -> None:
    report = make_report(CASES[name], **options())
    data = render_report(report, how)
    if how == "png":
        assert data.startswith(b"\x89PNG\r\n")
        return
    text = data.decode()
    assert "NaN" not in text
    assert "Infinity" not in text
    if how == "html":
        Page(text)
        for part in report.currencies:
            assert figures(text)[f"{escape(label(part.currency, 'currency'))} net"] == part.totals.net
    if name == "nothing":
        assert ("Nothing was charged." if how == "svg" else "No bookings in this period.") in text


@pytest.mark.parametrize(
    ("start", "end", "zone"),
    [
        (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC), "UTC"),
        (datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC), "Europe/Berlin"),
        (datetime(2026, 11, 1, 7, 30, tzinfo=UTC), datetime(2026, 11, 1, 8, tzinfo=UTC), "America/New_York"),
        (datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 2, tzinfo=UTC), "UTC"),
        (datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC), "UTC"),
    ],
)
@pytest.mark.parametrize("how", FORMATS)
def test_odd_periods_have_a_report(start: datetime, end: datetime, zone: str, how: ReportFormat) -> None:
    report = make_report([entry("-1", at=start)], start=start, end=end, timezone=zone, now=NOW)
    assert report.currencies[0].totals.debits == 1
    assert render_report(report, how)


def test_markdown_has_the_figures_of_the_page(demo: Report) -> None:
    text = render_report(demo, "md").decode()
    assert text.startswith("# Venice spend of 2026-11\n")
    assert "Forecast: " in text
    for part in demo.currencies:
        assert f" {part.totals.debits.normalize():f} " in text
    assert "<" not in render_report(make_report(hostile(), **options()), "md").decode().replace("\\<", "")


def test_picture_says_whose_period_it_is(demo: Report) -> None:
    text = render_report(demo, "svg").decode()
    assert "Venice spend of 2026-11" in text
    assert "Spend by API key" in text
    assert "http" not in text.replace("http://www.w3.org/", "")


@pytest.mark.parametrize("how", FORMATS)
def test_a_report_is_the_same_each_time(demo: Report, how: ReportFormat) -> None:
    assert render_report(demo, how) == render_report(demo, how)


def test_a_file_is_there_whole_or_not_at_all(demo: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.md"
    target.write_text("before")
    monkeypatch.setattr("venice_billing.report.files.write_all", broken)
    with pytest.raises(ExportError, match="No space left"):
        write_report(demo, target)
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
    assert target.read_text() == "before"
    monkeypatch.undo()
    assert write_report(demo, target) == target
    assert target.read_bytes() == render_report(demo, "md")
    assert target.stat().st_mode & 0o777 == 0o600


def broken(file: Any, data: bytes) -> None:
    file.write(data[:100])
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("path", "format", "message"),
    [
        ("report.pdf", None, r"a file that ends in .html, .md, .svg or .png"),
        ("report", None, r"a file that ends in"),
        ("missing/report.html", None, "in a folder that exists"),
        ("report.html", "pdf", "format must be one of 'html', 'md', 'svg', 'png'"),
    ],
)
def test_bad_files_are_named(demo: Report, tmp_path: Path, path: str, format: Any, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        write_report(demo, tmp_path / path, format)


def test_what_is_no_report_is_refused() -> None:
    report: Any = {"not": "a report"}
    with pytest.raises(InvalidParameterError, match="report must be a Report"):
        render_report(report, "html")
