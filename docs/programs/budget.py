"""The code under test: warn when a day costs more than a limit."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from venice_billing import VeniceBilling, spend


def check_day(client: VeniceBilling, day: date, limit: Decimal, warn: Callable[[str], None]) -> Decimal:
    """Return what a UTC day cost in USD, and warn if it was more than the limit."""
    walk = client.iter_usage_history(start_timestamp=day, end_timestamp=day + timedelta(days=1), currency="USD")
    spent = sum((row.debits - row.refunds for row in spend.summarize(walk, by="currency")), Decimal(0))
    if spent > limit:
        warn(f"{day}: {spent} USD, more than {limit}")
    return spent
