"""The currencies that a command line names, as the contract or the ledger spells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venice_billing.cli.errors import UsageError

if TYPE_CHECKING:
    from venice_billing.cli.session import Session


def wanted_currency(session: Session) -> str | None:
    """Return the currency of `--currency`, see `known_currency`; None: all of them."""
    named: str | None = session.options.currency
    return None if named is None else known_currency(session, named, "--currency")


def known_currency(session: Session, currency: str, option: str) -> str:
    """Return a currency as the contract or the ledger spells it: upper and lower case are alike where that is clear.

    Raises:
        UsageError: Neither of them knows it.
    """
    from venice_billing.models import Currency  # noqa: PLC0415 - `--help` needs no models

    known = {str(member) for member in Currency}
    if currency in known:
        return currency
    if session.has_ledger:
        known |= {row.currency for row in session.ledger.spend(by="currency")}
    alike = [name for name in known if name.casefold() == currency.casefold()]
    if currency not in known and len(alike) != 1:
        raise UsageError(f"{option} {currency!r}: one of {', '.join(sorted(known))}")
    return currency if currency in known else alike[0]
