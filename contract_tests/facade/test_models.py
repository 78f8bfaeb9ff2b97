"""Response models are plain values: they compare, hash, pickle and print as such."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import NOW
from venice_billing import Currency, Pagination, UsageCsv, UsageEntry
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COPIES: list[Callable[[Any], Any]] = [lambda value: pickle.loads(pickle.dumps(value)), copy.copy, copy.deepcopy]
PAGINATION = Pagination(limit=10, page=1, total=25, total_pages=3)


@pytest.fixture
def entry() -> UsageEntry:
    fake = FakeVenice(20, now=NOW)
    fake.quirks.faults = lambda _: faults.unknown_currency("SHELLS")
    return fake.client().get_usage_history().data[-1]


def test_a_csv_page_is_its_bytes(tmp_path: Path) -> None:
    page = UsageCsv(b"a,b\n1,2\n", next_cursor="abc", pagination=PAGINATION, filename="usage.csv")
    (tmp_path / "usage.csv").write_bytes(page)
    assert (tmp_path / "usage.csv").read_bytes() == page == b"a,b\n1,2\n"
    assert (page.next_cursor, page.pagination, page.filename) == ("abc", PAGINATION, "usage.csv")
    assert UsageCsv() == b""


@pytest.mark.parametrize("copied", COPIES, ids=["pickle", "copy", "deepcopy"])
def test_copied_csv_page_keeps_its_header_values(copied: Callable[[Any], Any]) -> None:
    page = UsageCsv(b"a,b\n", next_cursor="abc", pagination=PAGINATION, filename="usage.csv")
    again = copied(page)
    assert type(again) is UsageCsv
    assert (again, vars(again)) == (page, vars(page))


@pytest.mark.parametrize("copied", COPIES, ids=["pickle", "copy", "deepcopy"])
def test_copied_entry_keeps_an_unknown_currency(entry: UsageEntry, copied: Callable[[Any], Any]) -> None:
    again = copied(entry)
    assert again == entry
    assert hash(again) == hash(entry)
    assert again.to_dict() == entry.to_dict()
    assert again.currency == "SHELLS"


def test_an_entry_cannot_be_changed(entry: UsageEntry) -> None:
    with pytest.raises(AttributeError):
        entry.amount = Decimal(0)  # type: ignore[misc]


def test_known_and_unknown_currencies_format_as_text(entry: UsageEntry) -> None:
    assert (Currency.USD, str(Currency.USD), f"{Currency.USD}") == ("USD", "USD", "USD")
    assert isinstance(entry.currency, Currency)
    assert {str(currency) for currency in (entry.currency, "SHELLS")} == {entry.currency}
    assert (str(entry.currency), f"{entry.currency:>8}") == ("SHELLS", "  SHELLS")
