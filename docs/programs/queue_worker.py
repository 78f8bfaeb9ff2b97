"""Send charges through a queue as JSON, and read them back without losing a digit."""

import queue
import threading
from decimal import Decimal

from venice_billing import UsageEntry, VeniceBilling

charges: queue.Queue[str | None] = queue.Queue(maxsize=100)


def consume(totals: dict[str, Decimal]) -> None:
    while (text := charges.get()) is not None:
        entry = UsageEntry.from_json(text)
        currency = str(entry.currency)
        totals[currency] = totals.get(currency, Decimal(0)) + entry.amount


totals: dict[str, Decimal] = {}
worker = threading.Thread(target=consume, args=[totals])
worker.start()
try:
    with VeniceBilling() as client:
        for entry in client.iter_usage_history(start_timestamp="2026-10-01", end_timestamp="2026-11-01"):
            charges.put(entry.to_json())  # text: any broker carries it
finally:
    charges.put(None)
    worker.join()
print(totals)
