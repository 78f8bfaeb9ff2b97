"""A budget per API key, in a code base that mypy --strict and pyright check."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, assert_never

from venice_billing import VeniceBilling, spend

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from venice_billing import UsageEntry
    from venice_billing.spend import Kind


@dataclass(frozen=True)
class Breach:
    key: str | None
    currency: str
    spent: Decimal
    limit: Decimal


def breaches(entries: Iterable[UsageEntry], limits: dict[str, Decimal]) -> Iterator[Breach]:
    for row in spend.summarize(entries, by="key", kinds=kind_of):
        spent = row.debits - row.refunds
        limit = limits.get(row.currency)
        if limit is not None and spent > limit:
            yield Breach(row.key, row.currency, spent, limit)


def kind_of(entry: UsageEntry) -> Kind:
    return "credit" if entry.amount > 0 and "goodwill" in entry.notes else spend.kind_of(entry)


def described(kind: Kind) -> str:
    match kind:
        case "debit":
            return "used"
        case "refund":
            return "given back"
        case "purchase" | "credit":
            return "came in"
    assert_never(kind)


def main(limits: list[str]) -> int:
    parsed = {currency: Decimal(value) for value, currency in (limit.split() for limit in limits)}  # "0.5 USD"
    with VeniceBilling() as client:
        entries = list(client.iter_usage_history(start_timestamp="2026-10-01", end_timestamp="2026-11-01"))
    for breach in breaches(entries, parsed):
        print(f"{breach.key or 'no key'}: {breach.spent} {breach.currency} of {breach.limit}")
    latest = entries[-1]
    print("latest:", latest.model, latest.service or "not told by the SKU", described(spend.kind_of(latest)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
