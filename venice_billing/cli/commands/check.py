"""`check`: rules about spend and balance, for cron and CI; the exit code says whether one is broken."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import evolve

from venice_billing import _exact
from venice_billing._table import printable
from venice_billing.cli.currencies import known_currency
from venice_billing.cli.document import Document
from venice_billing.cli.errors import FINDING, OK, UNKNOWN, UsageError
from venice_billing.cli.formats import FORMATS
from venice_billing.cli.periods import add_period, period_of
from venice_billing.cli.source import Totals, read_forecast, read_totals
from venice_billing.errors import InvalidParameterError, VeniceError
from venice_billing.report.limits import (
    PERCENT,
    Finding,
    Limit,
    balance_left,
    forecast_spend,
    key_spend,
    parse_limit,
    period_spend,
)

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from venice_billing._calendar import Period
    from venice_billing.cli.session import Session

EXAMPLES = """examples:
  venice-billing check --max-spend 50USD                       this month's spend
  venice-billing check --max-spend 5USD today --min-balance 20%
  venice-billing check --forecast 100USD --per-key 10USD --format json
  venice-billing check --max-spend 50USD --format prometheus > venice.prom

exit codes: 0 every rule holds (exactly the limit is no breach), 1 a breach, 2 usage, 3 a rule could not be told
"""

_MARKS = {"ok": "ok", "breach": "BREACH", "unknown": "unknown"}
_STALE = timedelta(days=1)
"""How much older than now a ledger may be that is read offline; what it does not cover cannot be told."""
_RULES = ("max_spend", "min_balance", "forecast", "per_key")
_ALLOWED = "an amount and a currency, like 50USD or 0.5DIEM"
_BALANCES = ("USD", "DIEM", PERCENT)
_WHOLE = Decimal(100)


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    rules = parser.add_argument_group("rules (at least one; for several currencies, give it again)")
    rules.add_argument("--max-spend", action="append", default=[], metavar="50USD", help="debits of the period")
    rules.add_argument(
        "--min-balance", action="append", default=[], metavar="5USD|20%", help="what is left; %% is of the DIEM epoch"
    )
    rules.add_argument("--forecast", action="append", default=[], metavar="100USD", help="debits at the period's end")
    rules.add_argument("--per-key", action="append", default=[], metavar="10USD", help="debits of each key")
    parser.set_defaults(formats=(*FORMATS, "prometheus"))
    add_period(parser)


def run(session: Session) -> int:
    """Check the rules, and say a line for each."""
    given = {rule: [_limit(rule, text) for text in getattr(session.options, rule)] for rule in _RULES}
    if not any(given.values()):
        raise UsageError("check without a rule: give --max-spend, --min-balance, --forecast or --per-key")
    period = period_of(session.options, session.zone, session.timezone, session.now)
    limits = {  # a rule that is given twice is one: no collector of Prometheus takes two lines of the same labels
        rule: list(dict.fromkeys(_known(session, rule, limit) for limit in limits)) for rule, limits in given.items()
    }
    found = list(_findings(session, period, limits))
    statuses = {finding.status for finding in found}
    session.found = FINDING if "breach" in statuses else UNKNOWN if "unknown" in statuses else OK
    if session.options.format == "prometheus":
        session.stdout.write(_prometheus(found))
    elif session.options.format in (None, "table"):
        demo = " (demo account)" if session.is_demo else ""
        session.stdout.writelines(f"{_line(finding, period)}{demo}\n" for finding in found)
    else:
        session.show(_document(found, period, session.now))
    return session.found


def _findings(session: Session, period: Period, limits: dict[str, list[Limit]]) -> Iterator[Finding]:
    if limits["max_spend"] or limits["forecast"] or limits["per_key"]:
        totals = read_totals(session, period, ("day", "key", "currency"))
        doubt = _doubt(session, period, totals)
        yield from (_doubted(finding, doubt) for finding in _of_totals(session, period, totals, limits))
    if limits["min_balance"]:
        yield from _balances(session, limits["min_balance"])


def _of_totals(session: Session, period: Period, totals: Totals, limits: dict[str, list[Limit]]) -> Iterator[Finding]:
    yield from (period_spend(limit, totals.table) for limit in limits["max_spend"])
    yield from _forecasts(session, period, totals, limits["forecast"])
    for limit in limits["per_key"]:
        yield from key_spend(limit, totals.table)


def _doubt(session: Session, period: Period, totals: Totals) -> str:
    """Return why totals do not tell that a limit holds; empty where they do."""
    if period.start > session.now:
        return f"{period.name} has not begun"
    if totals.until < min(period.end, session.now) - _STALE:
        return f"the ledger covers nothing after {totals.until:%Y-%m-%d %H:%M} UTC: run venice-billing sync"
    return ""


def _doubted(finding: Finding, doubt: str) -> Finding:
    """Return a finding, unknown where it is only that nothing was seen; a breach that was seen is one."""
    return evolve(finding, status="unknown", remark=doubt) if doubt and finding.status == "ok" else finding


def _balances(session: Session, limits: Sequence[Limit]) -> list[Finding]:
    """Return what became of the rules about the balance; unknown, each of them, where the API does not say it."""
    try:
        balance = session.client.get_balance()
    except InvalidParameterError:
        raise
    except VeniceError as error:
        remark = f"{type(error).__name__}: {error}"
        return [
            Finding(rule="min-balance", limit=limit, value=None, status="unknown", remark=remark) for limit in limits
        ]
    return [balance_left(limit, balance) for limit in limits]


def _forecasts(session: Session, period: Period, totals: Totals, limits: Sequence[Limit]) -> Iterator[Finding]:
    if limits:
        estimates = read_forecast(session, period, totals)
        yield from (forecast_spend(limit, totals.table, estimates) for limit in limits)


def _limit(rule: str, text: str) -> Limit:
    limit = parse_limit(text)
    if limit is None or (limit.unit == PERCENT and rule != "min_balance"):
        raise UsageError(f"{_option(rule)} {text!r}: {_ALLOWED}")
    if rule == "min_balance":
        limit = evolve(limit, unit=limit.unit.upper())
        if limit.unit not in _BALANCES:
            raise UsageError(f"{_option(rule)} {text!r}: a balance is in USD, in DIEM, or in % of the DIEM epoch")
        if limit.unit == PERCENT and limit.amount > _WHOLE:
            raise UsageError(f"{_option(rule)} {text!r}: at most 100% of the DIEM epoch are left")
    return limit


def _known(session: Session, rule: str, limit: Limit) -> Limit:
    """Return a limit whose currency is one that the contract or the ledger knows."""
    if rule == "min_balance":
        return limit
    return evolve(limit, unit=known_currency(session, limit.unit, option=_option(rule)))


def _option(rule: str) -> str:
    return f"--{rule.replace('_', '-')}"


def _line(finding: Finding, period: Period) -> str:
    unit = finding.limit.unit
    value = "?" if finding.value is None else f"{_exact.text(finding.value)} {unit}".replace(" %", "%")
    of = "" if finding.rule == "min-balance" else f" in {period.name} ({period.timezone})"
    remark = f" ({printable(finding.remark, widest=None)})" if finding.remark else ""
    return f"{_MARKS[finding.status]:<7} {finding.rule} {finding.limit}: {value}{of}{remark}"


def _document(found: Sequence[Finding], period: Period, now: datetime) -> Document:
    rows: list[dict[str, Any]] = [
        {
            "rule": finding.rule,
            "limit": finding.limit.amount,
            "unit": finding.limit.unit,
            "value": finding.value,
            "status": finding.status,
            "remark": finding.remark,
        }
        for finding in found
    ]
    return Document(
        title=f"Checks of {period.name} ({period.timezone})",
        columns=("rule", "limit", "unit", "value", "status", "remark"),
        rows=rows,
        head={
            "period": {"start": period.start, "end": period.end},
            "timezone": period.timezone,
            "complete": period.is_complete(now) and not any(one.status == "unknown" for one in found),
        },
    )


def _prometheus(found: Sequence[Finding]) -> str:
    """Return the findings in the text format of Prometheus, for the textfile collector of its node exporter."""
    metrics = (
        ("venice_billing_check_limit", "The limit of a rule.", lambda one: one.limit.amount),
        ("venice_billing_check_value", "What was found.", lambda one: one.value),
        ("venice_billing_check_breach", "Whether the limit is passed.", lambda one: Decimal(one.status == "breach")),
    )
    lines: list[str] = []
    for name, what, read in metrics:
        lines += [f"# HELP {name} {what}", f"# TYPE {name} gauge"]
        for one in found:
            value = read(one)
            if value is not None and one.status != "unknown":
                labels = {"rule": one.rule, "unit": one.limit.unit, "limit": str(one.limit), "remark": one.remark}
                text = ",".join(f'{label}="{_label(content)}"' for label, content in labels.items())
                lines.append(f"{name}{{{text}}} {_exact.text(value)}")
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
