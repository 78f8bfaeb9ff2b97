"""`report`: a period as a page, a text or a picture, in a file or on stdout."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from venice_billing import VeniceBilling
from venice_billing._targets import checked_target
from venice_billing.cli.currencies import wanted_currency
from venice_billing.cli.errors import OK, UsageError
from venice_billing.cli.periods import add_period, period_of
from venice_billing.cli.source import entries_of, synced_until
from venice_billing.errors import VeniceError
from venice_billing.report.collect import build, first_needed, key_names
from venice_billing.report.files import FORMATS, format_of, render_report, write_report

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Iterable

    from venice_billing._calendar import Period
    from venice_billing.cli.session import Session
    from venice_billing.ledger import Ledger
    from venice_billing.models import UsageEntry
    from venice_billing.report import Report, ReportFormat

EXAMPLES = """examples:
  venice-billing report november.html --month 2026-11    one page, which works offline
  venice-billing report year.html --last 12m --timezone Europe/Berlin
  venice-billing report - last-month --format md         to stdout
  venice-billing --demo report demo.png                  the charts as a picture
"""

_NEEDED = ("altair", "vl_convert", "jinja2")
_STDOUT = "-"
_LONGEST_LOOKBACK = 90  # days, of the analytics
_Answer = TypeVar("_Answer")


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument("file", metavar="FILE", help="what to write: FILE.html, .md, .svg or .png; or - for stdout")
    parser.add_argument("--currency", metavar="CODE", help="this currency alone")
    parser.set_defaults(formats=FORMATS)
    add_period(parser)


def run(session: Session) -> int:
    """Write the report of a period."""
    options = session.options
    how = _format(options.file, options.format)
    if options.file != _STDOUT:
        checked_target(options.file)
    period = period_of(options, session.zone, session.timezone, session.now)
    report = _report(session, period, wanted_currency(session))
    if options.file == _STDOUT:
        session.stdout.write(render_report(report, how).decode())
    else:
        session.say(f"written: {write_report(report, options.file, how)}")
    return OK


def _format(file: str, named: str | None) -> ReportFormat:
    """Return the format, once it is known that it can be made."""
    if file == _STDOUT and named == "png":
        raise UsageError("--format png: not to stdout; name a file")
    how = format_of(file, named or ("html" if file == _STDOUT else None))
    if how != "md" and any(find_spec(name) is None for name in _NEEDED):
        raise UsageError(f"a report as {how} needs the extra `report`: pip install 'venice-billing[report]'")
    return how


def _report(session: Session, period: Period, currency: str | None) -> Report:
    now = session.now
    if session.has_ledger:
        synced_until(session)
        source: Ledger | Iterable[UsageEntry] = session.ledger
    else:
        source = entries_of(session, first_needed(period, now), period.end, currency)
    balance = _answer(session, "balance", VeniceBilling.get_balance)
    days = min(max((now - period.start).days + 1, 1), _LONGEST_LOOKBACK)
    analytics = _answer(session, "names of keys", lambda client: client.get_usage_analytics(lookback=days))
    return build(
        source,
        period,
        now,
        balance=balance,
        key_names={} if analytics is None else key_names(analytics),
        is_demo=session.is_demo,
        currency=currency,
    )


def _answer(session: Session, what: str, ask: Callable[[VeniceBilling], _Answer]) -> _Answer | None:
    """Return an answer of the API; None where it is not to be had: a report does without."""
    if session.options.offline:
        return None
    try:
        return ask(session.client)
    except VeniceError as error:
        session.say(f"venice-billing: no {what}: {type(error).__name__}: {error}")
        return None
