"""A seeded ledger whose pages cost a slice and a join: rows are prebuilt text, found by bisection."""

from __future__ import annotations

import random
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Shape = Literal["even", "uneven"]
START = datetime(2025, 1, 1, tzinfo=UTC)
END = START + timedelta(days=400)
CSV_HEADER = (
    b"timestamp,sku,pricePerUnitUsd,units,amount,currency,notes,"
    b"requestId,promptTokens,completionTokens,inferenceExecutionTime,apiKeyId\n"
)
_MODELS = [f"bench-model-{n}b-llm-{kind}-mtoken" for n in range(1, 21) for kind in ("input", "output", "cache-read")]
_PRICES = ["0.15", "0.6", "1", "2.80", "6.00"]


class Ledger:
    """Rows in ascending order of time, as JSON and as CSV.

    Args:
        entries: How many.
        shape: "even" spreads them over 400 days; "uneven" has a year of silence, then nine tenths in one hour.
    """

    def __init__(self, entries: int, shape: Shape) -> None:
        self.times: list[str] = []
        self._json: list[bytes] = []
        self._csv: list[bytes] = []
        dice = random.Random(20260916)
        for moment in _moments(entries, shape):
            time = moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
            as_json, as_csv = _row(time, dice)
            self.times.append(time)
            self._json.append(as_json)
            self._csv.append(as_csv)

    def between(self, start: str | None, end: str | None) -> tuple[int, int]:
        """Return the range of rows at or after `start` and before `end`, as the API counts them."""
        low = 0 if start is None else bisect_left(self.times, start)
        high = len(self.times) if end is None else bisect_left(self.times, end)
        return low, max(low, high)

    @lru_cache(maxsize=2048)  # noqa: B019 - the ledger lives as long as its process
    def rows(self, low: int, high: int, form: Literal["json", "csv"]) -> bytes:
        """Return some rows: of a JSON array without its brackets, or whole CSV records."""
        return b",".join(self._json[low:high]) if form == "json" else b"".join(self._csv[low:high])


def _moments(entries: int, shape: Shape) -> Iterator[datetime]:
    if shape == "even":
        step = (END - START) / entries
        yield from (START + step * n for n in range(entries))
        return
    busy = entries * 9 // 10
    hour = START + timedelta(days=365)
    yield START
    yield from (hour + timedelta(hours=1) / busy * n for n in range(busy))
    rest = entries - busy - 1
    after = hour + timedelta(hours=1)
    yield from (after + (END - after) / max(rest, 1) * n for n in range(rest))


def _row(time: str, dice: random.Random) -> tuple[bytes, bytes]:
    model, price = dice.choice(_MODELS), dice.choice(_PRICES)
    units, amount = f"0.{dice.randrange(10**6):06}", f"-0.{dice.randrange(10**9):09}"
    currency = dice.choice(("USD", "DIEM"))
    request, prompt = f"chatcmpl-{dice.getrandbits(128):032x}", dice.randrange(20_000)
    completion, milliseconds = dice.randrange(4_000), dice.randrange(60_000)
    as_json = (
        f'{{"timestamp":"{time}","sku":"{model}","pricePerUnitUsd":{price},"units":{units},"amount":{amount},'
        f'"currency":"{currency}","notes":"API Inference","inferenceDetails":{{"requestId":"{request}",'
        f'"promptTokens":{prompt},"completionTokens":{completion},"inferenceExecutionTime":{milliseconds}}},'
        '"apiKeyId":null}'
    )
    as_csv = (
        f"{time},{model},{price},{units},{amount},{currency},API Inference,"
        f"{request},{prompt},{completion},{milliseconds},\n"
    )
    return as_json.encode(), as_csv.encode()
