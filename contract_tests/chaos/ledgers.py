"""Ledgers that are hard to walk: crowded instants, weeks without charges, identical rows, microseconds."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

Row = dict[str, Any]
_CURRENCIES = ("USD", "USD", "DIEM", "BUNDLED_CREDITS", "VCU", "EARNED_CREDITS")
_NOTES = ("API Inference", 'a "quoted" note, with commas', "two\nlines", "zwei Zeilen\r\nünd mehr", "")


def make(kind: str, rng: random.Random, now: datetime) -> list[Row]:
    """Return the rows of a ledger of that kind."""
    return [charge(rng, moment) for moment in KINDS[kind](rng, now)]


def charge(rng: random.Random, moment: datetime) -> Row:
    """Return one of few possible charges, so that identical rows at one instant are common."""
    row: Row = {
        "timestamp": timestamp(moment),
        "sku": rng.choice(("kimi-k2-6-llm-output-mtoken", "z-image-turbo-image-unit")),
        "pricePerUnitUsd": Decimal(rng.choice(("3.2", "0.010"))),
        "units": Decimal(rng.choice(("1", "0.000227"))),
        "amount": Decimal(rng.choice(("-0.01", "-0.0007264", "-1E-7", "25"))),
        "currency": rng.choice(_CURRENCIES),
        "notes": rng.choice(_NOTES) if rng.random() < 0.2 else "API Inference",
        "apiKeyId": rng.choice((None, "key_1")),
        "inferenceDetails": None,
    }
    if rng.random() < 0.5:
        row["inferenceDetails"] = {
            "requestId": f"chatcmpl-{rng.randint(1, 3)}",
            "promptTokens": 12,
            "completionTokens": None,
            "inferenceExecutionTime": rng.choice((80, 81)),  # sometimes the only difference between two charges
        }
    return row


def timestamp(moment: datetime) -> str:
    """Return an instant in the API's format."""
    precision = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def _spread(rng: random.Random, now: datetime) -> Iterator[datetime]:
    """Yield instants all over the last weeks, each of a single charge."""
    for _ in range(rng.randint(1, 250)):
        yield _before(now, rng.uniform(1, 86_400 * 40))


def _crowds(rng: random.Random, now: datetime) -> Iterator[datetime]:
    """Yield few instants, each of up to three pages of charges."""
    for _ in range(rng.randint(2, 12)):
        yield from [_before(now, rng.uniform(1, 86_400 * 10))] * rng.randint(1, 35)


def _wall(rng: random.Random, now: datetime) -> Iterator[datetime]:
    """Yield one instant for most charges, and a few instants before and after it."""
    moment = _before(now, rng.uniform(60, 86_400 * 3))
    yield from (moment - timedelta(hours=hours) for hours in range(rng.randint(0, 5)))
    yield from [moment] * rng.randint(100, 220)
    yield from (moment + timedelta(milliseconds=number) for number in range(rng.randint(0, 5)))


def _gaps(rng: random.Random, now: datetime) -> Iterator[datetime]:
    """Yield bursts of minutes, with weeks without charges between them."""
    moment = now - timedelta(days=rng.choice((0, 1, 30, 70)))
    for _ in range(rng.randint(1, 6)):
        for _ in range(rng.randint(1, 40)):
            moment = _before(moment, rng.choice((0, 0.001, 1, 30)))
            yield moment
        moment = _before(moment, rng.choice((1_200, 86_400, 86_400 * 13)))


def _just_now(rng: random.Random, now: datetime) -> Iterator[datetime]:
    """Yield instants of the last quarter of an hour, where every window is narrow."""
    for _ in range(rng.randint(1, 120)):
        yield _before(now, rng.uniform(0.01, 800))


def _fine(rng: random.Random, now: datetime) -> Iterator[datetime]:
    """Yield instants that are microseconds apart."""
    moment = _before(now, rng.uniform(1_000, 86_400))
    for _ in range(rng.randint(1, 150)):
        moment += timedelta(microseconds=rng.choice((0, 1, 7, 999, 1_000)))
        yield moment


def _ahead(rng: random.Random, now: datetime) -> Iterator[datetime]:
    """Yield instants up to the future: the server's clock is ahead of the client's."""
    yield from _spread(rng, now)
    for _ in range(rng.randint(1, 15)):
        yield _before(now, -rng.uniform(1, 300))


def _nothing(rng: random.Random, now: datetime) -> Iterator[datetime]:
    """Yield no instant, or one."""
    if rng.random() < 0.5:
        yield _before(now, rng.uniform(1, 86_400 * 60))


def _before(now: datetime, seconds: float) -> datetime:
    moment = now - timedelta(seconds=seconds)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000) if seconds >= 1 else moment


KINDS: dict[str, Callable[[random.Random, datetime], Iterator[datetime]]] = {
    "spread": _spread,
    "crowds": _crowds,
    "wall": _wall,
    "gaps": _gaps,
    "just now": _just_now,
    "fine": _fine,
    "ahead": _ahead,
    "nothing": _nothing,
}
