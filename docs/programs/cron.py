"""Close a month: the ledger as CSV, and the totals beside it. Run it from cron on the second of each month.

0 6 2 * *  cd /srv/accounts && /srv/venv/bin/python cron.py || mail -s "Venice: month not closed" accounts
"""

import sys
from datetime import date, timedelta
from pathlib import Path

from venice_billing import VeniceBilling, VeniceError, spend


def main(month: str | None = None) -> int:
    first = date.fromisoformat(f"{month}-01") if month else last_month(date.today())
    end = (first + timedelta(days=31)).replace(day=1)
    try:
        with VeniceBilling(timeout=30, max_wait=600) as client:
            export = client.export_usage_csv(f"{first:%Y-%m}.csv", start_timestamp=first, end_timestamp=end, resume=False)
            walk = client.iter_usage_history(start_timestamp=first, end_timestamp=end, concurrency=4)
            table = spend.summarize(walk, by=("model", "key"))
    except VeniceError as error:
        print(f"{first:%Y-%m} is not closed: {error}", file=sys.stderr)
        return 1
    if sum(row.count for row in table) != export.rows:
        print(f"{first:%Y-%m} is not closed: a charge was booked meanwhile; run this again", file=sys.stderr)
        return 1
    Path(f"{first:%Y-%m}.json").write_text(table.to_json(), "utf-8")
    for row in table.totals():
        print(f"{first:%Y-%m} {row.currency}: {row.debits} spent, {row.purchases} bought, in {row.count} bookings")
    return 0


def last_month(today: date) -> date:
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
