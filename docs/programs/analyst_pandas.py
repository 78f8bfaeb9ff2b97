"""Spend of a month in pandas: every digit kept, currencies apart."""

import sys
from decimal import getcontext

import pandas as pd

from venice_billing import VeniceBilling

start, end = sys.argv[1:]  # such as 2026-10-01 2026-11-01; the end is excluded
getcontext().prec = 100  # sums of Decimal are rounded to 28 digits otherwise

with VeniceBilling() as client:
    rows = client.iter_usage_history(start_timestamp=start, end_timestamp=end, concurrency=4).rows()
    frame = pd.DataFrame(rows)

debits = frame[frame["amount"] < 0]
spent = -debits.groupby(["currency", "model"])["amount"].sum()
assert spent.dtype == object  # Decimal, not float64: nothing was rounded

for currency, by_model in spent.groupby(level="currency"):
    print(currency, by_model.sum())
    for (_, model), value in by_model.sort_values(ascending=False).head(3).items():
        print("   ", model, value)
