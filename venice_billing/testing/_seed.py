"""A ledger that looks like that of an account in use; equal seeds give equal ledgers."""

# ruff: noqa: PLR2004 - the shares of a made-up account need no names

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING

from venice_billing.testing._catalogue import KEYS, MODELS, Model, sku_of
from venice_billing.testing._text import DAY, Row, format_instant, instant_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_MILLION = Decimal(1_000_000)
_NOTES = (
    'API Inference, batch "nightly"',
    "API Inference\nretried after a timeout",
    "Inférence, équipe données",
    "",
)
_DEMO_DAYS = 400
_LLMS = tuple(model for model in MODELS if model.kind == "LLM")
_OTHERS = tuple(model for model in MODELS if model.kind != "LLM")


class SeededRows(list[Row]):
    """Rows made here, which need none of the checks that a user's rows need."""


def seeded_rows(count: int, *, days: float, seed: int, now: datetime) -> SeededRows:
    """Return exactly `count` rows over the days before `now`, in ascending order of time."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    end = instant_of(now) // 1000 * 1000
    bundles = list(_bundles(rng, count))
    start = end - max(int(days * DAY), 1000)
    return SeededRows(
        {"timestamp": format_instant(instant), **_dated(row, (instant - start) / (end - start))}
        for instant, bundle in zip(_instants(rng, len(bundles), start, end), bundles, strict=True)
        for row in bundle
    )


def demo_rows(now: datetime, days_before: int = _DEMO_DAYS) -> SeededRows:
    """Return the rows of the demo account before `now`: those of a day are drawn from its date, whatever `now` is."""
    end = instant_of(now)
    today = end // DAY
    days = range(today - days_before, today + 1)
    return SeededRows(
        {"timestamp": format_instant(instant), **row}
        for day in days
        for instant, bundle in _demo_day(day * DAY)
        for row in bundle
        if instant < end
    )


def _demo_day(start: int) -> Iterator[tuple[int, list[Row]]]:
    date = format_instant(start)[:10]
    rng = random.Random(date)  # noqa: S311 - repeatable, not secret
    bundles = [_bundle(rng) for _ in range(rng.randint(12, 40))]
    if date.endswith("-01"):
        bundles[:0] = [[_purchase(rng)], [_grant("BUNDLED_CREDITS", "50", "Bundled credits of the month")]]
    yield from zip(_instants(rng, len(bundles), start, start + DAY), bundles, strict=True)


def seeded_charge(rng: random.Random) -> Row:
    """Return one row of new usage, without its timestamp."""
    return _image(rng, rng.choice(_OTHERS))[0]


def _bundles(rng: random.Random, count: int) -> Iterator[list[Row]]:
    """Yield lists of rows that are booked at one instant each, until there are `count` rows."""
    left = count
    first = [_purchase(rng), _grant("BUNDLED_CREDITS", "50", "Bundled credits of the month")]
    while left > 0:
        bundle = first or _bundle(rng)
        first = []
        yield bundle[:left]
        left -= len(bundle)


def _bundle(rng: random.Random) -> list[Row]:
    draw = rng.random()
    if draw < 0.003:
        return [_purchase(rng)]
    if draw < 0.005:
        return [_grant("EARNED_CREDITS", f"{rng.randint(1, 9)}.5", "Referral reward")]
    if draw < 0.007:
        return [_refund(rng)]
    if draw < 0.70:
        return _llm_request(rng, rng.choice(_LLMS))
    if draw < 0.73:  # two requests that end in the same millisecond
        return _llm_request(rng, rng.choice(_LLMS)) + _image(rng, rng.choice(_OTHERS))
    return _image(rng, rng.choice(_OTHERS))


def _instants(rng: random.Random, count: int, start: int, end: int) -> list[int]:
    """Return ascending instants, in whole milliseconds: quiet nights, busy days, now and then a burst."""
    span = (end - start) // 1000
    chosen: list[int] = []
    while len(chosen) < count:
        instant = start + rng.randrange(span) * 1000
        hour = instant % DAY / DAY * 24
        if rng.random() < (0.15 if hour < 6 else 1.0):  # the small hours
            burst = rng.randint(20, 60) if rng.random() < 0.002 else 1
            chosen += [min(instant + 40_000 * step, end - 1000) for step in range(burst)]
    return sorted(chosen[:count])


def _dated(row: Row, age: float) -> Row:
    """Return the row with the currency of its time: DIEM was called VCU long ago."""
    return {**row, "currency": "VCU"} if age < 0.04 and row["currency"] == "DIEM" else row


def _llm_request(rng: random.Random, model: Model) -> list[Row]:
    prompt, completion = rng.randint(40, 9_000), rng.randint(5, 2_500)
    details = _details(rng, prompt, completion)
    common = {
        "currency": _currency(rng),
        "notes": _note(rng),
        "inferenceDetails": details,
        "apiKeyId": _key(rng),
    }
    tokens = {"input": prompt, "output": completion}
    if rng.random() < 0.35:
        tokens["cache-read"] = rng.randint(1, prompt)
    rows = [_charge(model, variant, Decimal(number) / _MILLION, common) for variant, number in tokens.items()]
    if rng.random() < 0.08:
        search = {"sku": "web-search-unit", "pricePerUnitUsd": Decimal("0.01"), "units": Decimal(1)}
        rows.append({**search, "amount": Decimal("-0.01"), **common})
    return rows


def _image(rng: random.Random, model: Model) -> list[Row]:
    """Return one charge for each image of a request (all equal to the digit), or one for a piece of speech."""
    variant = next(iter(model.prices))
    common = {
        "currency": _currency(rng),
        "notes": _note(rng),
        "inferenceDetails": None if rng.random() < 0.1 else _details(rng, None, None),
        "apiKeyId": _key(rng),
    }
    if model.kind != "IMAGE":
        return [_charge(model, variant, Decimal(rng.randint(3, 900)), common)]
    return [_charge(model, variant, Decimal(1), common)] * rng.choice((1, 1, 1, 2, 4))


def _charge(model: Model, variant: str, units: Decimal, common: Row) -> Row:
    price = model.prices[variant]
    amount = -(units * price).normalize()
    return {
        "sku": sku_of(model, variant),
        "pricePerUnitUsd": price,
        "units": units,
        "amount": amount,
        **common,
    }


def _details(rng: random.Random, prompt: int | None, completion: int | None) -> Row:
    return {
        "requestId": f"{'chatcmpl' if prompt else 'generate'}-{rng.getrandbits(128):032x}",
        "promptTokens": prompt,
        "completionTokens": completion,
        "inferenceExecutionTime": None if rng.random() < 0.02 else rng.randint(80, 60_000),
    }


def _purchase(rng: random.Random) -> Row:
    return _grant("USD", rng.choice(("25", "50", "100")), "Credit purchase, card")


def _refund(rng: random.Random) -> Row:
    row = _grant("USD", f"0.{rng.randint(1, 99):02d}", "Refund of a failed generation")
    request = random.Random(rng.getstate()[1][0])  # noqa: S311 - repeatable, not secret; draws nothing from `rng`
    return row | {"inferenceDetails": _details(request, None, None)}


def _grant(currency: str, amount: str, notes: str) -> Row:
    return {
        "sku": "account-credit",
        "pricePerUnitUsd": Decimal(1),
        "units": Decimal(amount),
        "amount": Decimal(amount),
        "currency": currency,
        "notes": notes,
        "inferenceDetails": None,
        "apiKeyId": None,
    }


def _currency(rng: random.Random) -> str:
    return rng.choices(("DIEM", "USD", "BUNDLED_CREDITS", "EARNED_CREDITS"), (50, 35, 14.5, 0.5))[0]


def _key(rng: random.Random) -> str | None:
    return rng.choice((*KEYS, None))


def _note(rng: random.Random) -> str:
    return rng.choice(_NOTES) if rng.random() < 0.03 else "API Inference"
