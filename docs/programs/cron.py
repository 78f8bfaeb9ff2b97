"""Close a month: the ledger as CSV, and the totals beside it. Run it from cron on the second of each month.

0 6 2 * *  cd /srv/accounts && /srv/venv/bin/python cron.py || mail -s "Venice: month not closed" accounts
"""

import sys
from datetime import date, timedelta
from pathlib import Path

from venice_billing import VeniceBilling, VeniceError, spend


def main(name: str | None = None) -> int:
    first = date.fromisoformat(f"{name}-01") if name else last_month(date.today())
    name = f"{first:%Y-%m}"
    month = {"start_timestamp": first, "end_timestamp": (first + timedelta(days=31)).replace(day=1)}
    try:
        with VeniceBilling(timeout=30, max_wait=600) as client:
            export = client.export_usage_csv(f"{name}.csv", resume=False, **month)
            table = spend.summarize(client.iter_usage_history(concurrency=4, **month), by=("model", "key"))
    except VeniceError as error:
        print(f"{name} is not closed: {error}", file=sys.stderr)
        return 1
    if sum(row.count for row in table) != export.rows:
        print(f"{name} is not closed: a charge was booked meanwhile; run this again", file=sys.stderr)
        return 1
    Path(f"{name}.json").write_text(table.to_json(), "utf-8")
    for row in table.totals():
        print(f"{name} {row.currency}: {row.debits} spent, {row.purchases} bought, in {row.count} bookings")
    return 0


def last_month(today: date) -> date:
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
