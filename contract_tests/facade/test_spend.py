"""Totals keep currencies and kinds apart; bad arguments are refused by name."""

from __future__ import annotations

from decimal import Decimal
from itertools import repeat
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import venice_billing
from contract_tests.support.bookings import REQUEST, entry, purchase, single
from venice_billing import Currency, InvalidParameterError, UsageEntry
from venice_billing.spend import SpendRow, SpendTable, kind_of, summarize

if TYPE_CHECKING:
    from venice_billing.spend import Dimension, Kind
    from venice_billing.testing import FakeVenice

DIMENSIONS: tuple[Dimension, ...] = ("day", "week", "month", "model", "service", "sku", "key", "currency")
KINDS = ("debit", "refund", "purchase", "credit")


# Kinds


@pytest.mark.parametrize(
    ("booking", "expected"),
    [
        (entry("-1"), "debit"),
        (entry("-1", notes="Credit purchase reversed"), "debit"),
        (entry("-1", inferenceDetails=REQUEST), "debit"),
        (entry("0"), "debit"),
        (entry("-0.00"), "debit"),
        (entry("1E-60", inferenceDetails=REQUEST), "refund"),
        (entry("1", inferenceDetails=REQUEST, notes="Credit purchase"), "refund"),
        (entry("1", inferenceDetails={**REQUEST, "requestId": None}), "credit"),
        (entry("1", sku="credit-purchase"), "purchase"),
        (entry("1", notes="PURCHASED with a card"), "purchase"),
        (entry("1", notes="Top-up"), "purchase"),
        (entry("1", notes="topup"), "purchase"),
        (entry("1", notes="repurchased"), "credit"),
        (entry("1", notes="Referral reward", sku="account-credit"), "credit"),
        (entry("1", notes=""), "credit"),
    ],
)
def test_kind_of_a_booking(booking: UsageEntry, expected: Kind) -> None:
    assert kind_of(booking) == expected


def test_each_kind_has_its_own_positive_sum() -> None:
    entries = [
        entry("-3"),
        entry("-0.5"),
        entry("1", inferenceDetails=REQUEST),
        purchase("25"),
        purchase("25"),
        entry("2.5", notes="Bonus"),
    ]
    row = single(summarize(entries, by="currency"))
    assert (row.debits, row.refunds, row.purchases, row.credits) == (
        Decimal("3.5"),
        Decimal(1),
        Decimal(50),
        Decimal("2.5"),
    )
    assert (row.net, row.count) == (Decimal(50), 6)


def test_identical_bookings_are_several() -> None:
    row = single(summarize(repeat(entry("-0.1"), 4)))
    assert (row.debits, row.count) == (Decimal("0.4"), 4)


def test_another_rule_says_what_a_booking_is() -> None:
    def by_note(booking: UsageEntry) -> Kind:
        return "refund" if "Refund" in booking.notes else kind_of(booking)

    entries = [entry("2", notes="Refund of a failed generation"), entry("-3"), entry("-1", notes="Refund reversed")]
    row = single(summarize(entries, kinds=by_note))
    assert (row.debits, row.refunds, row.credits, row.net) == (Decimal(3), Decimal(1), Decimal(0), Decimal(-2))


# Groups


@pytest.mark.parametrize("by", DIMENSIONS)
def test_currencies_are_never_added(by: Dimension) -> None:
    entries = [entry("-1", currency=currency) for currency in ("USD", "DIEM", "SHELLS", "DIEM")]
    table = summarize(entries, by=by)
    assert {row.currency: row.debits for row in table} == {"USD": 1, "DIEM": 2, "SHELLS": 1}
    assert table.by[-1] == "currency"
    assert all(type(row.currency) is str for row in table)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("day", "2026-10-15"),
        ("week", "2026-W42"),
        ("month", "2026-10"),
        ("model", "kimi-k2-6"),
        ("service", "llm"),
        ("sku", "kimi-k2-6-llm-input-mtoken"),
        ("key", "key_1"),
        ("currency", "DIEM"),
    ],
)
def test_group_by_each_name(by: Dimension, expected: str) -> None:
    booking = entry(sku="kimi-k2-6-llm-input-mtoken", apiKeyId="key_1", currency="DIEM")
    row = single(summarize([booking], by=by))
    assert getattr(row, by) == expected
    assert [name for name in DIMENSIONS if getattr(row, name) is not None] == sorted(
        {by, "currency"}, key=DIMENSIONS.index
    )


def test_default_is_by_month_model_and_currency() -> None:
    table = summarize([entry()])
    assert (table.by, table.timezone) == (("month", "model", "currency"), "UTC")
    assert table == SpendTable(
        [
            SpendRow(
                month="2026-10",
                model="some-model",
                currency="USD",
                debits=Decimal(1),
                refunds=Decimal(0),
                purchases=Decimal(0),
                credits=Decimal(0),
                count=1,
            )
        ],
        by=("month", "model", "currency"),
    )


def test_what_a_booking_does_not_name_is_a_group_of_its_own_and_comes_last() -> None:
    entries = [entry(), entry(apiKeyId=None), entry(apiKeyId="key_2"), entry(apiKeyId="key_1"), entry(apiKeyId="")]
    assert [(row.key, row.count) for row in summarize(entries, by="key")] == [
        ("", 1),
        ("key_1", 1),
        ("key_2", 1),
        (None, 2),
    ]
    services = summarize([purchase("1"), entry()], by="service")
    assert [row.service for row in services] == ["image", None]


def test_sku_that_names_no_model_is_its_own() -> None:
    assert single(summarize([purchase("1")], by=["model", "service"])).model == "account-credit"


def test_rows_are_ordered_by_the_names_in_turn() -> None:
    entries = [entry(sku=sku, timestamp=time) for sku in "ba" for time in ("2026-11-01T00:00Z", "2026-09-01T00:00Z")]
    assert [(row.sku, row.month) for row in summarize(entries, by=("sku", "month"))] == [
        ("a", "2026-09"),
        ("a", "2026-11"),
        ("b", "2026-09"),
        ("b", "2026-11"),
    ]


def test_no_entries_make_an_empty_table() -> None:
    table = summarize([])
    assert (len(table), list(table), table.rows(), list(table.totals())) == (0, [], [], [])


# Arguments


@pytest.mark.parametrize(
    "by",
    ["modle", ["month", "modle"], ("Month",), "month,model", "", [""], [None], None, 7, b"month", {"model": 1, 2: 3}],
)
def test_unknown_name_is_told_what_there_is(by: Any) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        summarize([], by=by)
    assert caught.value.parameter == "by"
    for name in DIMENSIONS:
        assert repr(name) in str(caught.value)


def test_misspelt_name_is_in_the_error() -> None:
    with pytest.raises(InvalidParameterError, match="got 'modle'"):
        summarize([], by=("month", "modle"))  # type: ignore[arg-type]


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="each once"):
        summarize([], by=("month", "month"))


@pytest.mark.parametrize(
    "entries", [None, 7, [{"amount": 1}], [[entry()]], "text", [Decimal(1)], [SimpleNamespace(amount=Decimal(1))]]
)
def test_entries_that_are_none_are_refused(entries: Any) -> None:
    with pytest.raises(InvalidParameterError, match="entries must be an iterable or async iterable of UsageEntry"):
        summarize(entries)


def test_single_page_of_the_api_is_told_where_its_entries_are(fake: FakeVenice) -> None:
    page: Any = fake.client().get_usage_history(page_size=10)
    with pytest.raises(InvalidParameterError, match=r"page\.data"):
        summarize(page)
    assert sum(row.count for row in summarize(page.data)) == 10


@pytest.mark.parametrize("amount", [1.5, 1, "1", None])
def test_amount_that_is_no_decimal_is_refused(amount: Any) -> None:
    with pytest.raises(InvalidParameterError, match="amounts that are Decimal"):
        summarize([attrs.evolve(entry(), amount=amount)])


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_amount_that_is_no_number_is_refused(amount: str) -> None:
    with pytest.raises(InvalidParameterError, match="amount must be a finite number"):
        summarize([entry(amount)])


@pytest.mark.parametrize("amount", ["1E+1001", "-1E+999999999", "1E-999999999", "0E-999999999"])
def test_amount_whose_exact_sum_would_fill_the_memory_is_refused(amount: str) -> None:
    """The API cannot send it: walks refuse it."""
    with pytest.raises(InvalidParameterError, match="no power of ten over 1000"):
        summarize([attrs.evolve(entry(), amount=Decimal(amount))])


@pytest.mark.parametrize("kinds", [None, "debit", {}])
def test_rule_that_is_no_function_is_refused(kinds: Any) -> None:
    with pytest.raises(InvalidParameterError, match="kinds must be a function"):
        summarize([], kinds=kinds)


@pytest.mark.parametrize("kind", ["gift", None, "debits", []])
def test_unknown_kind_is_told_which_there_are(kind: Any) -> None:
    with pytest.raises(InvalidParameterError, match="'debit', 'refund', 'purchase', 'credit'"):
        summarize([entry()], kinds=lambda _: kind)


def test_spend_is_reached_from_the_package() -> None:
    assert venice_billing.spend.summarize is summarize
    with pytest.raises(AttributeError):
        venice_billing.summarize  # type: ignore[attr-defined]  # noqa: B018


def test_known_and_unknown_currencies_are_grouped_by_their_text() -> None:
    entries = [
        attrs.evolve(entry(), currency=currency) for currency in (Currency.USD, Currency("SHELLS"), Currency("SHELLS"))
    ]
    assert [(row.currency, row.count) for row in summarize(entries, by=())] == [("SHELLS", 2), ("USD", 1)]
