"""Make rows of FOCUS, the FinOps Open Cost and Usage Specification, of the entries of a ledger. Pure, and exact.

A balance at Venice is paid for in advance, so a purchase has the `BilledCost`, and usage the `EffectiveCost`. Costs
are in US dollars, but for those in the pricing currency, and only what is given back is negative. `x_Amount` is the
amount as booked, and `x_Currency` its currency. `docs/focus.md` has the reason for every column.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import field, frozen

from venice_billing import _exact
from venice_billing._runtime.sku import Sku, split_sku
from venice_billing.errors import InvalidParameterError
from venice_billing.ledger._focus_columns import AT_PAR, ITEMS, MEASURES, SAME_IN_EVERY_ROW
from venice_billing.spend import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attrs import Attribute

    from venice_billing.models import UsageEntry

FocusValue = Decimal | datetime | int | str | None

_MILLION = 6  # digits
_USD = Decimal(1)
_SECOND = timedelta(seconds=1)
_LAST_SECOND = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_DECEMBER = 12
_MOST_REMEMBERED = 1024  # SKUs: an account has some hundreds

_CATEGORIES: Mapping[Kind, str] = {"debit": "Usage", "refund": "Usage", "purchase": "Purchase", "credit": "Credit"}
_FREQUENCIES: Mapping[str, str] = {"Usage": "Usage-Based", "Purchase": "One-Time", "Credit": "One-Time"}


def _price(_: object, name: Attribute[Decimal | None], value: object) -> None:
    if value is None:
        return
    if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
        raise InvalidParameterError(name.name, value, "a Decimal of at least 0, or None")


def _account(_: object, name: Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InvalidParameterError(name.name, value, "a text that is not empty")


@frozen(kw_only=True)
class FocusTerms:
    """What the rows of an export need besides the entries.

    Attributes:
        account: The name of the account: the API tells none.
        diem_usd: What a DIEM that was spent costs in US dollars; None: staked DIEM costs nothing.
        charged_at: When a request was charged first, by its id: of the requests that refunds name.
    """

    account: str = field(validator=_account)
    diem_usd: Decimal | None = field(default=None, validator=_price)
    charged_at: Mapping[str, datetime] = field(factory=dict)

    def usd_rate(self, currency: str) -> Decimal | None:
        """Return what a unit of a currency costs in US dollars when it is spent; None: no price is known.

        Bundled credits are paid for with a plan, and the API adds them to US dollars in its own totals.
        """
        return self.diem_usd if currency == "DIEM" else _USD if currency in AT_PAR else None


def focus_row(entry: UsageEntry, terms: FocusTerms) -> dict[str, FocusValue]:
    """Return the row of an entry: the columns of every version of FOCUS, and ours.

    An empty text is None, as FOCUS wants it, and a lone surrogate, which no file can hold, is written as an escape.
    """
    kind = kind_of(entry)
    category = _CATEGORIES[kind]
    currency = _held(entry.currency.value)
    charged_at = _charged_at(entry, kind, terms)
    row: dict[str, FocusValue] = {
        **SAME_IN_EVERY_ROW,
        "BillingAccountId": terms.account,
        "BillingAccountName": terms.account,
        "ChargeCategory": category,
        "ChargeClass": "Correction" if _month(charged_at) < _month(entry.timestamp) else None,
        "ChargeDescription": _description(entry) or kind,
        "ChargeFrequency": _FREQUENCIES[category],
        "PricingCurrency": "USD" if kind == "purchase" else currency,
        "SubAccountId": _held(entry.api_key_id),
        "SubAccountName": _held(entry.api_key_id),
        **_periods(entry.timestamp, charged_at),
        **_costs(entry, kind, terms.usd_rate(entry.currency.value)),
        **_prices(entry, kind),
        **_sku(entry, kind),
        **_as_booked(entry),
        "x_Currency": currency,
        "x_Kind": kind,
        "x_UsdRate": terms.usd_rate(entry.currency.value),
    }
    return row


def _charged_at(entry: UsageEntry, kind: Kind, terms: FocusTerms) -> datetime:
    """Return when the charge was made: for a refund, when the request was charged that it names."""
    if kind != "refund" or entry.inference_details is None:
        return entry.timestamp
    return min(terms.charged_at.get(entry.inference_details.request_id or "", entry.timestamp), entry.timestamp)


def _month(moment: datetime) -> tuple[int, int]:
    return moment.year, moment.month


def _periods(booked_at: datetime, charged_at: datetime) -> dict[str, FocusValue]:
    """Return the month of the booking and the second of the charge: an instant is no period."""
    start = datetime(booked_at.year, booked_at.month, 1, tzinfo=UTC)
    second = charged_at.replace(microsecond=0)
    return {
        "BillingPeriodStart": start,
        "BillingPeriodEnd": _following_month(start),
        "ChargePeriodStart": second,
        "ChargePeriodEnd": second + _SECOND if second < _LAST_SECOND else _LAST_SECOND,
    }


def _following_month(start: datetime) -> datetime:
    """Return the first moment of the next month; at the end of the calendar, its last second."""
    if start.month < _DECEMBER:
        return start.replace(month=start.month + 1)
    return start.replace(year=start.year + 1, month=1) if start.year < _LAST_SECOND.year else _LAST_SECOND


def _costs(entry: UsageEntry, kind: Kind, usd_rate: Decimal | None) -> dict[str, FocusValue]:
    """Return the costs: in US dollars, but for the one in the pricing currency."""
    billed = effective = native = listed = _exact.ZERO
    if kind != "credit":  # a grant is no money: it raises the balance, and its use costs what it costs
        listed = _signed(_exact.multiply(entry.units, entry.price_per_unit_usd), kind)
    if kind == "purchase":
        billed = entry.amount if entry.currency.value == "USD" else listed
    if kind in ("debit", "refund"):
        native = entry.amount.copy_negate()
        effective = _exact.multiply(native, usd_rate or _exact.ZERO)
    return {
        "BilledCost": billed,
        "ContractedCost": listed,
        "EffectiveCost": effective,
        "ListCost": listed,
        "PricingCurrencyEffectiveCost": native,
    }


def _signed(number: Decimal, kind: Kind) -> Decimal:
    """Return a quantity or a cost as FOCUS signs it: only what is given back is negative."""
    return number.copy_abs().copy_negate() if kind == "refund" else number.copy_abs()


def _prices(entry: UsageEntry, kind: Kind) -> dict[str, FocusValue]:
    """Return quantities, units and unit prices. A credit has none: a quantity times a price would be a cost."""
    if kind == "credit":
        return dict.fromkeys(_PRICES)
    product = product_of(entry.sku)
    price = entry.price_per_unit_usd.copy_abs()
    native_price = price if kind == "purchase" else _native_price(entry)
    quantity = _signed(entry.units, kind)
    is_usage = kind != "purchase"
    return {
        "ConsumedQuantity": _exact.scaled(quantity, product.digits) if is_usage else None,
        "ConsumedUnit": product.consumed_unit if is_usage else None,
        "ContractedUnitPrice": price,
        "ListUnitPrice": price,
        "PricingCategory": "Standard",
        "PricingCurrencyContractedUnitPrice": native_price,
        "PricingCurrencyListUnitPrice": native_price,
        "PricingQuantity": quantity,
        "PricingUnit": product.pricing_unit if is_usage else "Credits",
    }


_PRICES = (
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCategory",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
    "PricingUnit",
)


def _native_price(entry: UsageEntry) -> Decimal | None:
    """Return the price of a unit in the currency of the booking; None where a quotient would have to be rounded."""
    if entry.currency.value in AT_PAR:
        return entry.price_per_unit_usd.copy_abs()
    return _exact.quotient(entry.amount.copy_abs(), entry.units.copy_abs())


def _sku(entry: UsageEntry, kind: Kind) -> dict[str, FocusValue]:
    sku, product = _held(entry.sku), product_of(entry.sku)
    has_price = kind != "credit" and sku is not None
    meter = product.meter if kind in ("debit", "refund") else "Credits"
    return {
        "SkuId": sku,
        "SkuMeter": None if sku is None else meter,
        "SkuPriceDetails": product.details if has_price else None,
        "SkuPriceId": sku if has_price else None,
        "x_Model": _held(product.sku.model),
        "x_Service": product.sku.service,
    }


def _as_booked(entry: UsageEntry) -> dict[str, FocusValue]:
    details = entry.inference_details
    return {
        "x_Amount": entry.amount,
        "x_AmountText": str(entry.amount),
        "x_CompletionTokens": details and details.completion_tokens,
        "x_InferenceExecutionTime": details and details.inference_execution_time,
        "x_PricePerUnitUsdText": str(entry.price_per_unit_usd),
        "x_PromptTokens": details and details.prompt_tokens,
        "x_RequestId": _held(details and details.request_id),
        "x_Timestamp": entry.timestamp,
        "x_UnitsText": str(entry.units),
    }


@frozen
class Product:
    """What a SKU says, in the words of FOCUS.

    Attributes:
        sku: Its parts.
        pricing_unit: What its price is for.
        consumed_unit: What is counted.
        digits: By how many digits the quantity consumed is larger than the quantity priced.
        meter: What is measured.
        details: The parts of the SKU as JSON; None if it was not recognised.
    """

    sku: Sku
    pricing_unit: str
    consumed_unit: str
    digits: int
    meter: str
    details: str | None


@lru_cache(_MOST_REMEMBERED)
def product_of(sku: str) -> Product:
    """Return what a SKU says."""
    says = split_sku(sku)
    words = (says.variant or "").split("-")
    if says.unit == "mtoken" or (says.service == "llm" and says.unit is None):
        unit, priced, digits = "Tokens", f"{10**_MILLION} Tokens", _MILLION
    else:
        measure = next((MEASURES[word] for word in words if word in MEASURES), None)
        unit = priced = measure or ITEMS.get(says.service, "Units")
        digits = 0
    title = " ".join([word.title() for word in words if word and word not in MEASURES])
    return Product(says, priced, unit, digits, f"{title} {unit}".lstrip(), _details(says))


def _details(sku: Sku) -> str | None:
    if not sku.recognised:
        return None
    details = {"x_ModelId": sku.model, "x_Service": sku.service, "x_Variant": sku.variant}
    return json.dumps({name: value for name, value in details.items() if value is not None})


def _description(entry: UsageEntry) -> str | None:
    return _held(", ".join(filter(str.strip, (entry.sku, entry.notes))))


def _held(text: str | None) -> str | None:
    """Return a text as a file can hold it, and as FOCUS wants it; None if there is nothing in it."""
    return text.encode("utf-8", "backslashreplace").decode() if text and text.strip() else None
