"""Load the account into a warehouse, and print what it says of each month: python warehouse.py duckdb|postgres|..."""

import sys

import dlt

from venice_billing.dlt_source import venice_billing

QUERY = """
    SELECT date_trunc('month', day), currency, count(*), sum(amount)
    FROM usage GROUP BY 1, 2 ORDER BY 1, 2
"""


def main(destination: str) -> None:
    pipeline = dlt.pipeline("venice_billing", destination=destination, dataset_name="venice")
    pipeline.run(venice_billing())
    with pipeline.sql_client() as warehouse:
        for month, currency, charges, amount in warehouse.execute_sql(QUERY) or ():
            print(f"{month:%Y-%m} {currency}: {amount} in {charges} bookings")


if __name__ == "__main__":
    main(*sys.argv[1:])
