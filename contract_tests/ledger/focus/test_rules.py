"""Each row of a FOCUS file keeps the rules of the specification, and has its columns.

`nox -s focus` asks the official validator, too.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.focus.files import PERIODS, PLAIN_NUMBER, TIMES, UNIT_PRICES, VERSIONS, Row, number
from contract_tests.support.paths import ROOT
from venice_billing.ledger._focus_columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


SECOND = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
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


def costs(row: Row) -> list[str]:
    return [row[name] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")]


def is_usage(row: Row) -> bool:
    return row["ChargeCategory"] == "Usage"


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


def test_page_explains_every_column() -> None:
    explained = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "focus.md").read_text("utf-8").partition("## Columns")[2]))
    assert {column.name for columns in COLUMNS.values() for column in columns} - explained == set()
