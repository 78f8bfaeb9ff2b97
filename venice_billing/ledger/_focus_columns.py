"""The columns of a FOCUS file in each version of the specification, and the fixed words in them. Data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FocusVersion = Literal["1.2", "1.4"]
"""A version of the FOCUS specification that exports are written in."""

FOCUS_VERSIONS: tuple[FocusVersion, ...] = get_args(FocusVersion)

Kind = Literal["text", "decimal", "integer", "time"]


@frozen
class Column:
    """A column of a FOCUS file.

    Attributes:
        name: Its name.
        kind: What its values are.
    """

    name: str
    kind: Kind


_SHARED: Mapping[Kind, tuple[str, ...]] = {
    "decimal": (
        "BilledCost",
        "ConsumedQuantity",
        "ContractedCost",
        "ContractedUnitPrice",
        "EffectiveCost",
        "ListCost",
        "ListUnitPrice",
        "PricingCurrencyContractedUnitPrice",
        "PricingCurrencyEffectiveCost",
        "PricingCurrencyListUnitPrice",
        "PricingQuantity",
    ),
    "time": ("BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"),
    "text": (
        "BillingAccountId",
        "BillingAccountName",
        "BillingCurrency",
        "ChargeCategory",
        "ChargeClass",
        "ChargeDescription",
        "ChargeFrequency",
        "CommitmentDiscountStatus",
        "ConsumedUnit",
        "InvoiceId",
        "InvoiceIssuerName",
        "PricingCategory",
        "PricingCurrency",
        "PricingUnit",
        "ServiceCategory",
        "ServiceName",
        "ServiceSubcategory",
        "SkuId",
        "SkuMeter",
        "SkuPriceDetails",
        "SkuPriceId",
        "SubAccountId",
        "SubAccountName",
    ),
}
_ONLY_IN: Mapping[FocusVersion, tuple[str, ...]] = {
    "1.2": ("ProviderName", "PublisherName"),
    "1.4": ("HostProviderName", "InvoiceDetailId", "ServiceProviderName"),
}
_CUSTOM: Mapping[Kind, tuple[str, ...]] = {
    "decimal": ("x_Amount", "x_UsdRate"),
    "integer": ("x_CompletionTokens", "x_InferenceExecutionTime", "x_PromptTokens"),
    "time": ("x_Timestamp",),
    "text": (
        "x_AmountText",
        "x_Currency",
        "x_Kind",
        "x_Model",
        "x_PricePerUnitUsdText",
        "x_RequestId",
        "x_Service",
        "x_UnitsText",
    ),
}


def _sorted(*groups: Mapping[Kind, tuple[str, ...]]) -> Iterator[Column]:
    columns = [Column(name, kind) for group in groups for kind, names in group.items() for name in names]
    return iter(sorted(columns, key=lambda column: column.name))


COLUMNS: Mapping[FocusVersion, tuple[Column, ...]] = {
    version: (*_sorted(_SHARED, {"text": _ONLY_IN[version]}), *_sorted(_CUSTOM)) for version in FOCUS_VERSIONS
}
"""The columns of each version in their order: those of FOCUS by name, then ours."""

VENICE = "Venice.ai"

SAME_IN_EVERY_ROW: Mapping[str, str | None] = {
    "BillingCurrency": "USD",
    "CommitmentDiscountStatus": None,  # there are none, but the rules of ConsumedQuantity refer to this column
    "HostProviderName": VENICE,
    "InvoiceDetailId": None,  # the API tells of no invoices
    "InvoiceId": None,
    "InvoiceIssuerName": VENICE,
    "ProviderName": VENICE,
    "PublisherName": VENICE,
    "ServiceCategory": "AI and Machine Learning",
    "ServiceName": "Venice API",
    "ServiceProviderName": VENICE,
    "ServiceSubcategory": "Generative AI",
}

AT_PAR = frozenset({"USD", "DIEM", "BUNDLED_CREDITS"})
"""Currencies of which one unit pays for what costs one US dollar by the price list."""

MEASURES: Mapping[str, str] = {"chars": "Characters", "seconds": "Seconds", "minutes": "Minutes"}
"""The unit of FOCUS, by a word of a SKU's variant."""

ITEMS: Mapping[str | None, str] = {"image": "Images", "video": "Videos"}
"""The unit of FOCUS for a SKU that counts pieces, by its service."""
