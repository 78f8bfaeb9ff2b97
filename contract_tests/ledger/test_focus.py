"""A FOCUS file keeps the specification's rules, its costs are products to the digit, and its sums are the ledger's.

`nox -s focus` asks the official validator, too. It misses a wrong product and a wrong sum; this finds them.
"""

from __future__ import annotations

import csv
import json
import re
import stat
import tempfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import attrs
import duckdb
import pytest
from hypothesis import example, given, settings

from contract_tests.ledger.focus_account import CURRENCIES, account
from contract_tests.ledger.focus_validation import CANNOT_HOLD, FEWEST_RULES, judged, readable
from contract_tests.ledger.test_exact import ENTRIES, check_round_trip
from venice_billing import ExportError, InvalidParameterError, UsageEntry, spend
from venice_billing.ledger import Ledger
from venice_billing.ledger._focus_columns import COLUMNS
from venice_billing.ledger._focus_file import decimal_text, write_focus
from venice_billing.ledger.focus import FocusTerms, focus_row, product_of
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Row = dict[str, str]
RATE = Decimal("0.25")
VERSIONS = ("1.2", "1.4")
UNIT_PRICES = (
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyListUnitPrice",
)
PERIODS = ("BillingPeriod", "ChargePeriod")
TIMES = [period + end for period in PERIODS for end in ("Start", "End")]
SECOND = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
PLAIN_NUMBER = re.compile(r"-?\d+\.\d+", re.ASCII)
NEVER_NULL = {
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCurrency",
    "PricingCurrencyEffectiveCost",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
}
NEVER_NULL_IN = {"1.2": {"ProviderName", "PublisherName"}, "1.4": {"ServiceProviderName", "HostProviderName"}}
PRICED = {
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
}
"""Never null for usage and purchases."""

RULES: Mapping[str, Callable[[Row], bool]] = {
    "BillingCurrency is a national currency": lambda row: row["BillingCurrency"] == "USD",
    "ChargeCategory is an allowed value": lambda row: row["ChargeCategory"] in {"Usage", "Purchase", "Credit"},
    "ChargeClass is an allowed value": lambda row: row["ChargeClass"] in {"", "Correction"},
    "ChargeFrequency is an allowed value": lambda row: row["ChargeFrequency"] in {"One-Time", "Usage-Based"},
    "A purchase is not usage-based": lambda row: (row["ChargeFrequency"] == "Usage-Based") == is_usage(row),
    "PricingCategory is an allowed value": lambda row: row["PricingCategory"] in {"", "Standard"},
    "ServiceCategory is an allowed value": lambda row: row["ServiceCategory"] == "AI and Machine Learning",
    "ServiceSubcategory belongs to it": lambda row: row["ServiceSubcategory"] == "Generative AI",
    "Usage and purchases are priced": lambda row: (
        row["ChargeCategory"] == "Credit" or all(row[name] for name in PRICED)
    ),
    "Only usage is consumed": lambda row: bool(row["ConsumedQuantity"]) == is_usage(row),
    "ConsumedUnit goes with ConsumedQuantity": lambda row: bool(row["ConsumedUnit"]) == bool(row["ConsumedQuantity"]),
    "PricingUnit goes with PricingQuantity": lambda row: bool(row["PricingUnit"]) == bool(row["PricingQuantity"]),
    "ListUnitPrice goes with SkuPriceId": lambda row: bool(row["ListUnitPrice"]) == bool(row["SkuPriceId"]),
    "SkuMeter goes with SkuId": lambda row: bool(row["SkuMeter"]) == bool(row["SkuId"]),
    "SkuPriceDetails needs a SkuPriceId": lambda row: bool(row["SkuPriceId"]) or not row["SkuPriceDetails"],
    "SkuPriceDetails has custom keys": lambda row: all(
        key[:2] == "x_" for key in json.loads(row["SkuPriceDetails"] or "{}")
    ),
    "SubAccountName goes with SubAccountId": lambda row: bool(row["SubAccountName"]) == bool(row["SubAccountId"]),
    "Unit prices are not negative": lambda row: all(number(row[name]) >= 0 for name in UNIT_PRICES if row[name]),
    "A purchase ahead is not effective": lambda row: is_usage(row) or number(row["EffectiveCost"]) == 0,
    "A credit is not effective": lambda row: row["ChargeCategory"] != "Credit" or not any(map(number, costs(row))),
    "Usage is paid for before": lambda row: not is_usage(row) or number(row["BilledCost"]) == 0,
    "A time is ISO 8601 in UTC, to the second": lambda row: all(SECOND.fullmatch(row[name]) for name in TIMES),
    "A period begins before it ends": lambda row: all(row[f"{name}Start"] < row[f"{name}End"] for name in PERIODS),
    "There is no invoice": lambda row: row["InvoiceId"] == row.get("InvoiceDetailId", "") == "",
}


def number(text: str) -> Fraction:
    return Fraction(text)


def costs(row: Row) -> list[str]:
    return [row[name] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")]


def is_usage(row: Row) -> bool:
    return row["ChargeCategory"] == "Usage"


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def exported(ledger: Ledger, path: Path, **options: Any) -> list[Row]:
    write_focus(ledger._database, path, **options)
    return read(path)


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with account().client() as client, Ledger(tmp_path_factory.mktemp("focus") / "acme.duckdb") as ledger:
        ledger.sync(client)
        yield ledger


@pytest.fixture(scope="module")
def rows(synced: Ledger, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """The account as each version of FOCUS has it."""
    folder = tmp_path_factory.mktemp("files")
    return {name: exported(synced, folder / f"{name}.csv", version=name, diem_usd=RATE) for name in VERSIONS}


def booked(ledger: Ledger, tmp_path: Path, *entries: dict[str, Any]) -> list[Row]:
    """Return the rows of a ledger with these bookings; each is an hour of October 2026, unless it says otherwise."""
    usual = {"sku": "m-llm-input-mtoken", "pricePerUnitUsd": 1, "units": 1, "amount": -1, "currency": "USD"}
    first = datetime(2026, 10, 1, tzinfo=UTC)
    wire = [{"timestamp": first + hour * timedelta(hours=1), **usual, **entry} for hour, entry in enumerate(entries)]
    with FakeVenice(wire, now=datetime(2026, 11, 1, 12, tzinfo=UTC)).client() as client:
        ledger.sync(client)
    return exported(ledger, tmp_path / "booked.csv")


def asked(request_id: str) -> dict[str, Any]:
    return {"requestId": request_id, "promptTokens": 1, "completionTokens": 2, "inferenceExecutionTime": 3}


# Columns


def test_columns_of_focus_come_first_and_by_name_then_ours(rows: dict[str, list[Row]]) -> None:
    for version in VERSIONS:
        names = list(rows[version][0])
        focus = [name for name in names if not name.startswith("x_")]
        assert names == sorted(focus) + sorted(set(names) - set(focus))
        assert names == [column.name for column in COLUMNS[version]]  # type: ignore[index]
        assert all(re.fullmatch(r"(x_)?[A-Z][A-Za-z]{1,47}", name) for name in names)


def test_version_1_4_has_other_names_of_providers_and_a_line_of_the_invoice(rows: dict[str, list[Row]]) -> None:
    one_two, one_four = (set(rows[version][0]) for version in VERSIONS)
    assert one_two - one_four == {"ProviderName", "PublisherName"}
    assert one_four - one_two == {"ServiceProviderName", "HostProviderName", "InvoiceDetailId"}
    shared = one_two & one_four
    assert [{name: row[name] for name in shared} for row in rows["1.2"]] == [
        {name: row[name] for name in shared} for row in rows["1.4"]
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("rule", RULES)
def test_rule_holds_in_every_row(rows: dict[str, list[Row]], version: str, rule: str) -> None:
    assert [row for row in rows[version] if not RULES[rule](row)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_column_is_not_null_where_the_specification_says_so(rows: dict[str, list[Row]], version: str) -> None:
    for row in rows[version]:
        assert {name for name in NEVER_NULL | NEVER_NULL_IN[version] if not row[name].strip()} == set()


def test_numbers_are_plain_and_have_a_point(rows: dict[str, list[Row]]) -> None:
    """Readers that guess types take a column of integers alone for one of integers; FOCUS wants decimals."""
    names = [column.name for column in COLUMNS["1.2"] if column.kind == "decimal"]
    for row in rows["1.2"]:
        assert [row[name] for name in names if row[name] and not PLAIN_NUMBER.fullmatch(row[name])] == []


# Arithmetic


def check_products(row: Mapping[str, Any]) -> None:
    """Check that quantities times prices are costs, exactly; `row` has numbers or their texts."""
    if row["PricingQuantity"] not in (None, ""):
        quantity = Fraction(row["PricingQuantity"])
        assert quantity * Fraction(row["ListUnitPrice"]) == Fraction(row["ListCost"])
        assert quantity * Fraction(row["ContractedUnitPrice"]) == Fraction(row["ContractedCost"])
    if row["ConsumedQuantity"] not in (None, ""):
        times = int(row["PricingUnit"].split()[0]) if " " in row["PricingUnit"] else 1
        assert Fraction(row["ConsumedQuantity"]) == times * Fraction(row["PricingQuantity"])
    rate = Fraction(row["x_UsdRate"] or 0)
    assert Fraction(row["EffectiveCost"]) == rate * Fraction(row["PricingCurrencyEffectiveCost"])


def test_quantity_times_price_is_the_cost_to_the_digit(rows: dict[str, list[Row]]) -> None:
    for row in rows["1.2"]:
        check_products(row)
    assert len({row["ListCost"] for row in rows["1.2"]}) > 8


def test_amount_that_is_no_product_is_the_effective_cost(rows: dict[str, list[Row]]) -> None:
    (row,) = [row for row in rows["1.2"] if row["x_AmountText"] == "-0.000030799999999999996"]
    assert row["EffectiveCost"] == row["PricingCurrencyEffectiveCost"] == "0.000030799999999999996"
    assert row["ListCost"] == row["ContractedCost"] == "0.01"


def test_sums_of_each_currency_are_those_of_the_ledger(synced: Ledger, rows: dict[str, list[Row]]) -> None:
    signed: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
    spent, bought, count = (defaultdict[tuple[str, str], Fraction](Fraction) for _ in range(3))
    for row in rows["1.2"]:
        group = row["BillingPeriodStart"][:7], row["x_Currency"]
        signed[group] += number(row["x_Amount"])
        spent[group] += number(row["PricingCurrencyEffectiveCost"])
        bought[group] += number(row["BilledCost"])
        count[group] += 1
    for total in synced.spend("month"):
        group = str(total.month), total.currency
        assert signed.pop(group) == Fraction(total.net)
        assert spent[group] == Fraction(total.debits) - Fraction(total.refunds)
        assert bought[group] == Fraction(total.purchases)
        assert count[group] == total.count
    assert signed == {}


@settings(max_examples=200)
@given(ENTRIES)
@example(
    UsageEntry.from_json(
        '{"timestamp":"9999-12-31T23:59:59.9Z","sku":" ","amount":-0.0,"currency":"\\ud800",'
        '"notes":"\\u0000","pricePerUnitUsd":-1e-40,"units":-3,"inferenceDetails":null}'
    )
)
def test_row_of_any_entry_is_exact_and_can_be_written(entry: UsageEntry) -> None:
    row = focus_row(entry, FocusTerms(account="a", diem_usd=Decimal("1.10")))
    check_products(row)
    assert row.keys() >= {column.name for columns in COLUMNS.values() for column in columns}
    assert "".join(value for value in row.values() if isinstance(value, str)).encode()
    assert all(value.strip() for value in row.values() if isinstance(value, str))
    assert row["ChargeDescription"]
    assert row["x_Amount"] == entry.amount
    for name in UNIT_PRICES:
        value = row[name]
        assert value is None or (isinstance(value, Decimal) and value >= 0)
    for value in row.values():
        assert not isinstance(value, Decimal) or Decimal(decimal_text(value) or "") == value
    for period in PERIODS:
        start, end = row[f"{period}Start"], row[f"{period}End"]
        assert isinstance(start, datetime)
        assert isinstance(end, datetime)
        assert start <= entry.timestamp
        assert start < end or entry.timestamp.year == 9999


@settings(max_examples=10, deadline=None)
@given(ENTRIES, ENTRIES)
def test_file_has_every_digit_of_any_ledger(one: UsageEntry, other: UsageEntry) -> None:
    """Through a ledger of its own: what is written is what the mapping says of the same entries."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.duckdb")
        check_round_trip(path, [one, other, other])
        with Ledger(path) as ledger:
            written = exported(ledger, Path(folder, "focus.csv"))
            booked = sorted([one, other, other], key=lambda entry: entry.timestamp)
    assert [Decimal(row["x_Amount"]) for row in written] == [entry.amount for entry in booked]
    assert [row["x_UnitsText"] for row in written] == [str(entry.units) for entry in booked]


# Kinds, currencies, periods


def test_signs_are_those_of_focus(rows: dict[str, list[Row]]) -> None:
    """A charge is positive, and what is given back is negative; the ledger has it the other way round."""
    by_kind: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows["1.2"]:
        by_kind[row["x_Kind"]].append(row)
    assert all(number(row["ListCost"]) > 0 and number(row["x_Amount"]) <= 0 for row in by_kind["debit"])
    for row in by_kind["refund"]:
        assert row["ChargeCategory"] == "Usage"
        assert max(number(row[name]) for name in ("ListCost", "PricingQuantity", "ConsumedQuantity")) < 0
        assert number(row["PricingCurrencyEffectiveCost"]) == -number(row["x_Amount"]) < 0
    assert [(row["BilledCost"], row["ListCost"], row["EffectiveCost"]) for row in by_kind["purchase"]] == [
        ("25.0", "25.0", "0.0")
    ]
    assert {row["ChargeCategory"] for row in by_kind["credit"]} == {"Credit"}
    assert len(by_kind["credit"]) == 4


@pytest.mark.parametrize(
    ("currency", "rate", "effective", "shown"),
    [
        ("USD", None, "2.0", "1.0"),
        ("BUNDLED_CREDITS", RATE, "2.0", "1.0"),
        ("DIEM", None, "0.0", ""),
        ("DIEM", RATE, "0.50", "0.25"),
        ("DIEM", Decimal(0), "0.0", "0.0"),
        ("VCU", RATE, "0.0", ""),
        ("EARNED_CREDITS", RATE, "0.0", ""),
        ("doubloons", RATE, "0.0", ""),
    ],
)
def test_effective_cost_of_a_currency(
    ledger: Ledger, tmp_path: Path, currency: str, rate: Decimal | None, effective: str, shown: str
) -> None:
    """Where no price is known the cost is 0, and the rate null, so that it cannot be mistaken for one of 0."""
    booked(ledger, tmp_path, {"amount": -2, "units": 2, "currency": currency})
    (row,) = exported(ledger, tmp_path / "f.csv", diem_usd=rate)
    assert (Decimal(row["EffectiveCost"]), row["x_UsdRate"]) == (Decimal(effective), shown)
    assert (row["PricingCurrency"], row["PricingCurrencyEffectiveCost"]) == (currency, "2.0")
    assert (row["BillingCurrency"], row["ListCost"], row["BilledCost"]) == ("USD", "2.0", "0.0")


@pytest.mark.parametrize(
    ("currency", "amount", "units", "native"),
    [
        ("DIEM", "-3.0799999999999996e-05", "0.0000154", "2.0"),
        ("VCU", "-15", "1.5", "10.0"),
        ("VCU", "-1", "3", ""),  # a third has no end
        ("VCU", "-1", "2199023255552", ""),  # a quotient of 29 digits
        ("VCU", "-1", "0", ""),
    ],
)
def test_unit_price_in_the_currency_of_the_booking(
    ledger: Ledger, tmp_path: Path, currency: str, amount: str, units: str, native: str
) -> None:
    """DIEM and bundled credits are worth a US dollar of the price list; of others, the booking tells the price."""
    numbers = {"amount": Decimal(amount), "units": Decimal(units), "pricePerUnitUsd": 2}
    (row,) = booked(ledger, tmp_path, {**numbers, "currency": currency})
    assert row["PricingCurrencyListUnitPrice"] == row["PricingCurrencyContractedUnitPrice"] == native
    assert row["ListUnitPrice"] == "2.0"


def test_purchase_of_another_currency_is_priced_in_dollars(ledger: Ledger, tmp_path: Path) -> None:
    numbers = {"amount": 10, "units": 10, "pricePerUnitUsd": Decimal("0.9")}
    (row,) = booked(ledger, tmp_path, {**numbers, "sku": "top-up", "currency": "BUNDLED_CREDITS"})
    assert (row["ChargeCategory"], row["x_Currency"], row["PricingCurrency"]) == ("Purchase", "BUNDLED_CREDITS", "USD")
    assert (row["BilledCost"], row["ListCost"], row["PricingQuantity"], row["PricingUnit"]) == (
        "9.0",
        "9.0",
        "10.0",
        "Credits",
    )


def test_charge_period_is_the_second_and_billing_period_the_month(ledger: Ledger, tmp_path: Path) -> None:
    found = booked(
        ledger,
        tmp_path,
        {"timestamp": "2025-12-31T23:59:59.999999Z"},
        {"timestamp": "2026-01-01T00:00:00Z"},
    )
    assert [[row[name] for name in TIMES] + [row["x_Timestamp"]] for row in found] == [
        [
            "2025-12-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
            "2025-12-31T23:59:59Z",
            "2026-01-01T00:00:00Z",
            "2025-12-31T23:59:59.999999Z",
        ],
        [
            "2026-01-01T00:00:00Z",
            "2026-02-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:01Z",
            "2026-01-01T00:00:00Z",
        ],
    ]


def test_refund_of_an_earlier_month_is_a_correction_for_the_time_of_the_charge(ledger: Ledger, tmp_path: Path) -> None:
    charge, refund = {"timestamp": "2026-09-30T22:00:00.5Z"}, {"amount": 1}
    found = booked(
        ledger,
        tmp_path,
        {**charge, "inferenceDetails": asked("early")},
        {**refund, "timestamp": "2026-10-01T01:00:00Z", "inferenceDetails": asked("early")},
        {**refund, "timestamp": "2026-10-02T01:00:00Z", "inferenceDetails": asked("never charged")},
        {"timestamp": "2026-10-03T01:00:00Z", "inferenceDetails": asked("late")},
        {**refund, "timestamp": "2026-10-04T01:00:00Z", "inferenceDetails": asked("late")},
    )
    told = [
        (row["x_Kind"], row["ChargeClass"], row["ChargePeriodStart"], row["BillingPeriodStart"][:7]) for row in found
    ]
    assert told == [
        ("debit", "", "2026-09-30T22:00:00Z", "2026-09"),
        ("refund", "Correction", "2026-09-30T22:00:00Z", "2026-10"),
        ("refund", "", "2026-10-02T01:00:00Z", "2026-10"),
        ("debit", "", "2026-10-03T01:00:00Z", "2026-10"),
        ("refund", "", "2026-10-03T01:00:00Z", "2026-10"),
    ]


@pytest.mark.parametrize(
    ("sku", "priced", "consumed", "meter"),
    [
        ("zai-org-glm-5-1-llm-cache-read-mtoken", "1000000 Tokens", "Tokens", "Cache Read Tokens"),
        ("m-llm-output", "1000000 Tokens", "Tokens", "Output Tokens"),
        ("gpt-image-llm-image-input-mtoken", "1000000 Tokens", "Tokens", "Image Input Tokens"),
        ("grok-imagine-image-image-unit", "Images", "Images", "Images"),
        ("tts-kokoro-tts-chars-unit", "Characters", "Characters", "Characters"),
        ("whisper-large-v3-asr-seconds-unit", "Seconds", "Seconds", "Seconds"),
        ("wan-video-unit", "Videos", "Videos", "Videos"),
        ("web-search-unit", "Units", "Units", "Units"),
        ("", "Units", "Units", "Units"),
    ],
)
def test_units_are_read_from_the_sku(sku: str, priced: str, consumed: str, meter: str) -> None:
    product = product_of(sku)
    assert (product.pricing_unit, product.consumed_unit, product.meter) == (priced, consumed, meter)


def test_tokens_key_and_request_are_there(rows: dict[str, list[Row]]) -> None:
    first = rows["1.2"][0]
    assert first["SkuPriceDetails"] == '{"x_ModelId": "zai-org-glm-5-1", "x_Service": "llm", "x_Variant": "input"}'
    assert (first["PricingQuantity"], first["ConsumedQuantity"]) == ("0.008913", "8913.0")
    assert first["SubAccountId"] == first["SubAccountName"] == "key_4f1c09b7d2"
    assert (first["x_RequestId"], first["x_PromptTokens"], first["x_CompletionTokens"]) == (
        "chatcmpl-0-USD",
        "8913",
        "",
    )
    assert (first["x_Model"], first["x_Service"], first["x_Timestamp"]) == (
        "zai-org-glm-5-1",
        "llm",
        "2026-09-05T07:30:15.123456Z",
    )
    assert rows["1.2"][1]["SubAccountId"] == rows["1.2"][1]["SubAccountName"] == ""
    assert {row["x_Currency"] for row in rows["1.2"]} == set(CURRENCIES)


# Files


def test_account_is_named_after_the_ledger_or_as_told(
    synced: Ledger, rows: dict[str, list[Row]], tmp_path: Path
) -> None:
    assert {(row["BillingAccountId"], row["BillingAccountName"]) for row in rows["1.2"]} == {("acme", "acme")}
    told = exported(synced, tmp_path / "f.csv", account="Org 7")
    assert {row["BillingAccountId"] for row in told} == {"Org 7"}


def test_range_takes_the_start_and_leaves_out_the_end(
    synced: Ledger, rows: dict[str, list[Row]], tmp_path: Path
) -> None:
    october = exported(synced, tmp_path / "f.csv", start="2026-10-01", end="2026-10-02", diem_usd=RATE)
    assert october == [row for row in rows["1.2"] if "2026-10-01" <= row["x_Timestamp"] < "2026-10-02"] != []


@pytest.mark.parametrize("version", VERSIONS)
def test_parquet_has_the_same_rows_with_types(
    synced: Ledger, rows: dict[str, list[Row]], tmp_path: Path, version: str
) -> None:
    path = tmp_path / "it's.PARQUET"
    assert write_focus(synced._database, path, version=version, diem_usd=RATE) == len(rows[version])
    with duckdb.connect() as cursor:
        found = cursor.read_parquet(str(path))
        types = dict(zip(found.columns, map(str, found.types), strict=True))
        told = cursor.execute("SELECT decode(key), decode(value) FROM parquet_kv_metadata($path)", {"path": str(path)})
        assert ("focus_version", version) in told.fetchall()
        texts = found.select(
            ", ".join(
                f"strftime({name}::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%fZ')"
                if kind.startswith("TIMESTAMP")
                else f"{name}::VARCHAR"
                for name, kind in types.items()
            )
        ).fetchall()
    assert types["BilledCost"] == types["x_Amount"] == "DECIMAL(38,28)"
    assert types["ChargePeriodStart"] == types["x_Timestamp"] == "TIMESTAMP WITH TIME ZONE"
    assert types["x_PromptTokens"] == "BIGINT"
    assert [[_plain(text) for text in row] for row in texts] == [
        [_plain(text) for text in row.values()] for row in rows[version]
    ]


def _plain(text: str | None) -> str:
    """Return a text without the zeros that fill up a column."""
    if text and PLAIN_NUMBER.fullmatch(text):
        return str(Fraction(text))
    return re.sub(r"\.(\d+?)0*Z$", lambda found: "Z" if not found[1].strip("0") else f".{found[1]}Z", text or "")


ODD = {
    "notes": ['a "quoted"\nline\r\n, and more', "\x00", "=1+1", "\ud800", "  ", "ż ✓", "x" * 3_000_000],
    "sku": ["", "'; DROP TABLE usage_rows; --"],
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_odd_texts_come_back(tmp_path: Path, suffix: str) -> None:
    entries = [UsageEntry.from_dict({**_WIRE, name: text}) for name, texts in ODD.items() for text in texts]
    check_round_trip(tmp_path / "odd.duckdb", entries)
    path = tmp_path / f"odd{suffix}"
    with Ledger(tmp_path / "odd.duckdb") as ledger:
        write_focus(ledger._database, path)
    if suffix == ".csv":
        limit = csv.field_size_limit(1 << 24)
        found = [row["ChargeDescription"] for row in read(path)]
        csv.field_size_limit(limit)
    else:
        with duckdb.connect() as cursor:
            found = [row[0] for row in cursor.read_parquet(str(path)).select("ChargeDescription").fetchall()]
    terms = FocusTerms(account="a")
    assert found == [focus_row(entry, terms)["ChargeDescription"] for entry in entries]


_WIRE = {
    "timestamp": "2026-10-01T00:00:00Z",
    "sku": "m-llm-input-mtoken",
    "pricePerUnitUsd": 1,
    "units": 1,
    "amount": -1,
    "currency": "USD",
    "notes": "",
    "inferenceDetails": None,
}


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"amount": Decimal("-1e-30")}, "EffectiveCost"),
        ({"units": Decimal("1e-15"), "pricePerUnitUsd": Decimal("1e-15")}, "ContractedCost"),
        ({"amount": Decimal(-(10**10))}, "EffectiveCost"),
        ({"inferenceDetails": {**asked("r"), "promptTokens": 2**63}}, "x_PromptTokens"),
    ],
)
def test_number_that_parquet_would_round_is_refused_and_is_whole_in_csv(
    ledger: Ledger, tmp_path: Path, fields: dict[str, Any], column: str
) -> None:
    (row,) = booked(ledger, tmp_path, fields)
    check_products(row)
    path = tmp_path / "f.parquet"
    path.write_bytes(b"before")
    with pytest.raises(
        ExportError, match=f"^{column} of the charge of 2026-10-01 .* does not fit a .* export to a .csv"
    ):
        write_focus(ledger._database, path)
    assert path.read_bytes() == b"before"
    assert sorted(entry.name for entry in tmp_path.iterdir() if "duckdb" not in entry.name) == [
        "booked.csv",
        "f.parquet",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_file_is_private_and_replaced_whole(synced: Ledger, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    path.write_bytes(b"before")
    path.chmod(0o644)
    write_focus(synced._database, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() != b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_ledger_without_rows_is_a_file_without_rows(ledger: Ledger, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    assert write_focus(ledger._database, path) == 0
    with duckdb.connect() as cursor:
        found = cursor.sql(f"SELECT * FROM '{path}'")
        assert found.columns == [column.name for column in COLUMNS["1.2"]]
        assert found.fetchall() == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"version": "1.3"}, "focus_version must be one of '1.2', '1.4'; got '1.3'"),
        ({"diem_usd": 0.25}, "diem_usd must be a Decimal of at least 0, or None; got 0.25"),
        ({"diem_usd": Decimal(-1)}, "diem_usd.*a Decimal of at least 0, or None"),
        ({"diem_usd": Decimal("NaN")}, "diem_usd.*a Decimal of at least 0, or None"),
        ({"account": " "}, "account.*a text that is not empty"),
        ({"start": "2026-13-01"}, "start.*there is no month 13"),
    ],
)
def test_bad_option_is_named_and_nothing_is_written(
    ledger: Ledger, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidParameterError, match=told):
        write_focus(ledger._database, tmp_path / "f.csv", **options)
    assert not (tmp_path / "f.csv").exists()


# The session that asks the validator


def test_verdict_names_every_other_failure() -> None:
    report = ET.fromstring(
        "<testsuites>"
        + "".join(
            f'<testcase name="{name} :: Nullability"><failure/></testcase>' for name in [*CANNOT_HOLD, "A-1", "A-2"]
        )
        + '<testcase name="B :: Type"><error/></testcase><testcase name="C :: Type"><skipped/></testcase>'
        + '<testcase name="D :: Type"/>' * FEWEST_RULES
        + "</testsuites>"
    )
    verdict = judged(report.iter("testcase"))
    assert verdict.checked == FEWEST_RULES + 4
    assert verdict.problems() == ["failed: A-1", "failed: A-2", "failed: B"]
    assert attrs.evolve(verdict, failed=frozenset(CANNOT_HOLD)).problems() == []
    assert attrs.evolve(verdict, checked=1, failed=frozenset()).problems() == [
        "holds now, so name it no longer: InvoiceId-C-005-C",
        f"only 1 rules were checked, not at least {FEWEST_RULES}",
    ]


def test_copy_for_the_validator_differs_in_names_of_currencies_and_letters_alone(
    rows: dict[str, list[Row]], synced: Ledger, tmp_path: Path
) -> None:
    write_focus(synced._database, tmp_path / "f.csv", diem_usd=RATE)
    copied = read(readable(tmp_path / "f.csv"))
    differing = {
        (name, row[name], copy[name])
        for row, copy in zip(rows["1.2"], copied, strict=True)
        for name in row
        if row[name] != copy[name]
    }
    assert {found for found in differing if found[0] == "PricingCurrency"} == {
        ("PricingCurrency", currency, "XXX") for currency in CURRENCIES if currency != "USD"
    }
    assert [found[1] for found in differing if found[0] != "PricingCurrency"] == [
        "z-image-turbo-image-unit, Inférence, équipe données\nretried"
    ]


def test_every_kind_of_booking_is_in_the_account() -> None:
    with account().client() as client:
        entries = list(client.iter_usage_history())
    assert {spend.kind_of(entry) for entry in entries} == {"debit", "refund", "purchase", "credit"}
    assert {None, "key_4f1c09b7d2"} == {entry.api_key_id for entry in entries}
