"""The analytics response, computed from ledger rows."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from attrs import field, frozen

from venice_billing.testing._catalogue import KEYS, WEB_APP, Product, product_of
from venice_billing.testing._required import whole
from venice_billing.testing._text import Row, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_Key = TypeVar("_Key")
_TOP = 8
_MILLION = Decimal(1_000_000)


@frozen
class _Charge:
    """One debit, as positive spend. Bundled credits count as USD; refunds and purchases are not netted."""

    day: str
    key: str | None
    product: Product
    usd: Decimal
    diem: Decimal
    units: Decimal


@frozen
class _Sum:
    usd: Decimal
    diem: Decimal
    units: Decimal
    charges: Sequence[_Charge] = field(repr=False)

    @property
    def spend(self) -> Decimal:
        """The spend for ranking only: a DIEM buys a dollar's worth of inference a day."""
        return self.usd + self.diem


def analytics_document(rows: Iterable[Row]) -> dict[str, object]:
    """Return the analytics body (without `lookback`) of the rows of a period."""
    charges = [
        _charge(row) for row in rows if row["amount"] < 0 and row["currency"] in ("USD", "BUNDLED_CREDITS", "DIEM")
    ]
    by_day = _group(charges, lambda charge: charge.day)
    by_model = _ranked(_group(charges, lambda charge: charge.product.model_name))
    by_key = _ranked(_group(charges, lambda charge: charge.key))
    models = list(by_model)[:_TOP]
    keys = [_key_name(key) for key in list(by_key)[:_TOP]]
    return {
        "byDate": [
            whole("DailyUsage", {"date": day, "USD": by_day[day].usd, "DIEM": by_day[day].diem})
            for day in sorted(by_day, reverse=True)
        ],
        "byModel": [_model_usage(name, total) for name, total in by_model.items()],
        "byModelDaily": _daily(by_day, models, _model_name, "diem"),
        "byModelDailyUsd": _daily(by_day, models, _model_name, "usd"),
        "topModels": models,
        "byKey": [
            whole(
                "ApiKeyUsage",
                {
                    "apiKeyId": key,
                    "description": _key_name(key),
                    "totalUsd": total.usd,
                    "totalDiem": total.diem,
                    "totalUnits": total.units,
                },
            )
            for key, total in by_key.items()
        ],
        "byKeyDaily": _daily(by_day, keys, _charged_key_name, "diem"),
        "byKeyDailyUsd": _daily(by_day, keys, _charged_key_name, "usd"),
        "topKeyNames": keys,
    }


def _charge(row: Row) -> _Charge:
    product = product_of(row["sku"])
    is_diem = row["currency"] == "DIEM"
    return _Charge(
        day=row["timestamp"][:10],
        key=row["apiKeyId"],
        product=product,
        usd=Decimal(0) if is_diem else -row["amount"],
        diem=-row["amount"] if is_diem else Decimal(0),
        units=_plain(row["units"] * _MILLION) if product.unit_type == "tokens" else row["units"],
    )


def _plain(units: Decimal) -> Decimal:
    return units.quantize(Decimal(1)) if units == units.to_integral_value() else units


def _group(charges: Iterable[_Charge], key_of: Callable[[_Charge], _Key]) -> dict[_Key, _Sum]:
    groups: dict[_Key, list[_Charge]] = {}
    for charge in charges:
        groups.setdefault(key_of(charge), []).append(charge)
    return {key: _total(group) for key, group in groups.items()}


def _total(charges: Sequence[_Charge]) -> _Sum:
    return _Sum(
        usd=sum((charge.usd for charge in charges), Decimal(0)),
        diem=sum((charge.diem for charge in charges), Decimal(0)),
        units=sum((charge.units for charge in charges), Decimal(0)),
        charges=charges,
    )


def _ranked(groups: dict[_Key, _Sum]) -> dict[_Key, _Sum]:
    return dict(sorted(groups.items(), key=lambda item: (-item[1].spend, str(item[0]))))


def _model_usage(name: str, total: _Sum) -> dict[str, object]:
    product = total.charges[0].product
    usage: dict[str, object] = {
        "modelName": name,
        "unitType": product.unit_type,
        "modelType": product.model_type,
        "totalUsd": total.usd,
        "totalDiem": total.diem,
        "totalUnits": total.units,
    }
    variants = _ranked(_group(total.charges, lambda charge: charge.product.variant))
    if len(variants) > 1:
        usage["breakdown"] = [
            whole("ModelUsageBreakdown", {"type": variant, "usd": part.usd, "diem": part.diem, "units": part.units})
            for variant, part in variants.items()
        ]
    return whole("ModelUsage", usage)


def _daily(
    by_day: dict[str, _Sum], names: Sequence[str], name_of: Callable[[_Charge], str], currency: str
) -> list[dict[str, object]]:
    """Return one point per day, oldest first; `date` is in Unix milliseconds, all other keys are names of series."""
    points: list[dict[str, object]] = []
    for day in sorted(by_day):
        point = whole("DailySeriesPoint", {"date": parse_instant(f"{day}T00:00:00Z") // 1000})
        series = _group(by_day[day].charges, name_of)
        for name in names:
            spend = getattr(series[name], currency) if name in series else Decimal(0)
            if spend:
                point[name] = spend
        points.append(point)
    return points


def _model_name(charge: _Charge) -> str:
    return charge.product.model_name


def _charged_key_name(charge: _Charge) -> str:
    return _key_name(charge.key)


def _key_name(key: str | None) -> str:
    return WEB_APP if key is None else KEYS.get(key, key)
