"""`balance`: what is left, and how much of the DIEM epoch is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venice_billing.cli.document import Document
from venice_billing.cli.errors import OK
from venice_billing.report.epoch import used_percent

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from decimal import Decimal

    from venice_billing.cli.session import Session

EXAMPLES = """examples:
  venice-billing balance
  venice-billing balance --format json
"""


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command: it has none."""
    parser.epilog = EXAMPLES


def run(session: Session) -> int:
    """Show the balance."""
    balance = session.client.get_balance()
    amounts: dict[str, Decimal | None] = {"DIEM": balance.balances.diem, "USD": balance.balances.usd}
    used = used_percent(balance)
    epoch = [] if used is None else [f"DIEM epoch: {used} % used of {balance.diem_epoch_allocation:f}"]
    state = f"charges go to {balance.consumption_currency}" if balance.can_consume else "nothing left to consume"
    session.show(
        Document(
            title=f"Balance at {session.now:%Y-%m-%d %H:%M} UTC",
            columns=("currency", "balance"),
            rows=[{"currency": name, "balance": amount} for name, amount in amounts.items()],
            head={
                "at": session.now,
                "can_consume": balance.can_consume,
                "consumption_currency": balance.consumption_currency and str(balance.consumption_currency),
                "diem_epoch_allocation": balance.diem_epoch_allocation,
                "diem_epoch_used_percent": used,
            },
            notes=[state, *epoch],
        )
    )
    return OK
