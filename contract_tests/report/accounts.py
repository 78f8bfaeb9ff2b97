"""Accounts of the tests of reports: of a year, of odd names, of one charge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from venice_billing.models import Currency, InferenceDetails, UsageEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=https://example.com/x onerror=alert(1)>',
    "{{ 7 * 7 }} &amp; <b>bold</b>",
    "\u202egnp.exe \x00\x1b[31m\u2028 ',']; alert(1)//",
    "x" * 5000,
    "y" * 40 + "MIDDLE" * 40 + "z" * 40,
    "y" * 40 + "middle" * 40 + "z" * 40,
    "نموذج-لغة",
)


def entry(
    amount: str,
    *,
    at: datetime = NOVEMBER,
    sku: str = "llama-llm-input-mtoken",
    currency: str = "USD",
    key: str | None = "key_1",
    request: str | None = None,
) -> UsageEntry:
    details = None
    if request is not None:
        details = InferenceDetails(completion_tokens=1, inference_execution_time=1, prompt_tokens=1, request_id=request)
    return UsageEntry(
        amount=Decimal(amount),
        currency=Currency(currency),
        inference_details=details,
        notes="API Inference",
        price_per_unit_usd=Decimal(1),
        sku=sku,
        timestamp=at,
        units=Decimal(1),
        api_key_id=key,
    )


def year(
    models: int, keys: int = 8, currencies: tuple[str, ...] = ("USD", "DIEM", "BUNDLED_CREDITS", "VCU")
) -> Iterator[UsageEntry]:
    """Yield bookings of each day of a year: eight models a day, in turn, in each of the currencies."""
    for day in range(365):
        at = datetime(2025, 11, 21, 9, tzinfo=UTC) + timedelta(days=day)
        for currency in currencies:
            for number in range(8):
                model = (day * 8 + number) % models
                amount = f"-{(day * 37 + number * 101) % 997 + 1}.{number}7{day:03}"
                yield entry(
                    amount,
                    at=at,
                    sku=f"a-model-of-some-length-{model}-llm-output-mtoken",
                    currency=currency,
                    key=f"key_{day % keys}",
                    request=f"chatcmpl-{currency}-{day}-{number}",
                )


def hostile() -> list[UsageEntry]:
    """Return bookings whose names come from somebody who means harm."""
    return [
        entry(f"-{at + 1}", sku=name, key=name, request=name, at=NOVEMBER + timedelta(days=at))
        for at, name in enumerate(HOSTILE)
    ]


def options(**given: Any) -> dict[str, Any]:
    return {"month": "2026-11", "now": NOW, **given}
