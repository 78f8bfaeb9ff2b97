"""`doctor`: a line for each thing that must be right, and what to do where it is not."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib import metadata
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from attrs import frozen

from venice_billing._table import printable
from venice_billing.cli.accounts import first_charge, has_charge
from venice_billing.cli.document import Document
from venice_billing.cli.errors import FINDING, OK, CommandError, NoKeyError
from venice_billing.cli.places import config_path
from venice_billing.client import VeniceBilling
from venice_billing.errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BillingTimeoutError,
    InvalidParameterError,
    LedgerError,
    VeniceError,
)
from venice_billing_api import CONTRACT_VERSION

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator, Sequence

    from venice_billing.cli.session import Session

EXAMPLES = """examples:
  venice-billing doctor
  venice-billing doctor --account work --format json

exit codes: 0 all is well, 1 something is not
"""

_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_MOST_SKEW = 60
_NO_KEY = "venice-billing-doctor-has-no-key"
_ADVICE = "check the network, a firewall, and the base URL"
_ADVICE_TLS = (
    "its certificate is not trusted here: name the authority of your network by SSL_CERT_FILE, and check the clock"
)
_STALE_DAYS = 3
_MAKE_KEY = "make an ADMIN key at Venice.ai, then: export VENICE_API_KEY=..., or name it in the configuration file"


@frozen
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        status: "ok", "wrong", or "note": worth knowing.
        found: What was found.
        advice: What to do; empty where nothing is to be done.
    """

    name: str
    status: Literal["ok", "note", "wrong"]
    found: str
    advice: str = ""


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command: it has none."""
    parser.epilog = EXAMPLES


def run(session: Session) -> int:
    """Look at everything, and say a line for each."""
    checks = [*_versions(), *_configuration(session), *_network(session)]
    checks += _ledger(session, is_reachable=not any(check.status == "wrong" for check in checks))
    session.found = FINDING if any(check.status == "wrong" for check in checks) else OK
    if session.options.format in (None, "table"):
        session.stdout.writelines(f"{_line(check)}\n" for check in checks)
    else:
        session.show(_document(checks))
    return session.found


def _line(check: Check) -> str:
    mark = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}[check.status]
    advice = f"\n      -> {check.advice}" if check.advice else ""
    return f"{mark} {check.name}: {printable(check.found, widest=None)}{advice}"


def _document(checks: Sequence[Check]) -> Document:
    rows = [
        {"check": check.name, "status": check.status, "found": check.found, "advice": check.advice} for check in checks
    ]
    return Document(title="Doctor", columns=("check", "status", "found", "advice"), rows=rows)


def _versions() -> Iterator[Check]:
    names = ("venice-billing", "httpx", "duckdb", "rich")
    found = []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"no {name}")
    yield Check("versions", "ok", ", ".join(found))
    yield Check("contract", "ok", f"this client is made for version {CONTRACT_VERSION} of the API's contract")


def _configuration(session: Session) -> Iterator[Check]:
    if session.is_demo:
        yield Check("account", "note", "the demo account: made up, without a network")
        return
    try:
        path = config_path()
        settings = session.settings
    except CommandError as error:
        yield Check("configuration", "wrong", str(error), "mend the file, or set VENICE_BILLING_CONFIG to another one")
        return
    exists = "" if path.exists() else " (there is none, which is fine)"
    yield Check("configuration", "ok", f"{path}{exists}")
    if settings is not None:
        yield Check("account", "ok", settings.name)


def _network(session: Session) -> Iterator[Check]:
    try:
        if not session.is_demo:
            yield from _way(session.base_url)
        session.client  # noqa: B018 - made here, so that what is wrong with its arguments is said apart
    except InvalidParameterError as error:
        yield Check("client", "wrong", str(error), "mend the setting that it names")
    except NoKeyError:
        yield Check("key", "wrong", "there is none: VENICE_API_KEY is not set", _MAKE_KEY)
    except CommandError as error:
        if not any(check.status == "wrong" for check in _configuration(session)):  # else it is said already
            yield Check("key", "wrong", str(error))
    else:
        yield from _key(session)


def _way(base_url: str) -> Iterator[Check]:
    """Look at the way to the server: its name, a proxy, an answer without a valid key, the clock."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxy = next((name for name in _PROXIES if os.environ.get(name)), None)
    if proxy is not None:
        yield Check("proxy", "note", f"{proxy} is set: requests may go through it", "unset it if that is not wanted")
    else:
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            yield Check("name", "wrong", f"{host} does not resolve: {error}", "check the network, DNS and the base URL")
            return
        yield Check("name", "ok", f"{host} resolves")
    try:  # as every call goes: the same proxies, certificates and address
        with VeniceBilling(_NO_KEY, base_url=base_url, max_retries=0) as client:
            client.get_balance()
    except InvalidParameterError as error:
        yield Check("connection", "wrong", str(error), "mend the setting that it names")
    except APIError as error:
        refused = isinstance(error, AuthenticationError)
        status = f"{base_url} answers ({error.status_code} to a key that is none)"
        yield Check("connection", "ok" if refused else "wrong", status, "" if refused else "check the base URL")
        yield from _clock(error.headers.get("date"))
    except VeniceError as error:
        yield Check("connection", "wrong", f"{base_url}: {type(error).__name__}: {error}", _advice(error, proxy))
    else:
        yield Check("connection", "wrong", f"{base_url} answers to any key", "is that the billing API?")


def _advice(error: VeniceError, proxy: str | None) -> str:
    """Return what to do where no answer came."""
    if "CERTIFICATE" in str(error):
        return _ADVICE_TLS
    return _ADVICE if proxy is None else f"is the proxy there that {proxy} names, and does it let this address through?"


def _clock(date: str | None) -> Iterator[Check]:
    try:
        theirs = parsedate_to_datetime(date or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return
    skew = round((datetime.now(UTC) - theirs).total_seconds())
    if abs(skew) <= _MOST_SKEW:
        yield Check("clock", "ok", f"{abs(skew)} s from the server's")
        return
    where = "ahead of" if skew > 0 else "behind"
    yield Check("clock", "wrong", f"{timedelta(seconds=abs(skew))} {where} the server's", "set this machine's clock")


def _key(session: Session) -> Iterator[Check]:
    try:
        session.client.get_balance()
    except AuthenticationError:
        yield _refused_key(session)
    except BillingTimeoutError as error:
        yield Check("key", "wrong", f"no answer in time: {error}", "try again; is the network slow?")
    except APIConnectionError:
        yield Check("key", "note", "not tried: the API cannot be reached", "mend what is wrong above first")
    except VeniceError as error:
        yield Check("key", "wrong", f"{type(error).__name__}: {error}", "try again later")
    else:
        yield Check("key", "ok", "an ADMIN key: balance and ledger can be read")


def _refused_key(session: Session) -> Check:
    """Tell an inference key, which can read the analytics, from a key that is wrong: both get the same 401."""
    try:
        session.client.get_usage_analytics(lookback="7d")
    except VeniceError:
        return Check("key", "wrong", "it is refused", "was it revoked or cut? make a new ADMIN key at Venice.ai")
    advice = "balance and ledger need an ADMIN key: make one at Venice.ai"
    return Check("key", "wrong", "an inference key: it can read the analytics alone", advice)


def _ledger(session: Session, *, is_reachable: bool) -> Iterator[Check]:
    try:
        path = session.ledger_path
        if not path.exists():
            yield Check("ledger", "note", f"none at {path}", "venice-billing sync makes one; without it, spend walks")
            return
        until = session.ledger.coverage().until
        if is_reachable and _is_anothers(session):
            advice = "name the ledger of this key by --ledger or in the configuration file, or use the key of this one"
            yield Check("ledger", "wrong", f"{path}: its first charge is none of this account", advice)
            return
    except (CommandError, LedgerError) as error:
        yield Check("ledger", "wrong", str(error))
        return
    if until is None:
        yield Check("ledger", "note", f"{path} is empty", "venice-billing sync")
    elif (session.now - until).days >= _STALE_DAYS:
        days = (session.now - until).days
        yield Check(
            "ledger", "note", f"{path} covers all until {until:%Y-%m-%d}, {days} days ago", "venice-billing sync"
        )
    else:
        yield Check("ledger", "ok", f"{path} covers all until {until:%Y-%m-%d %H:%M} UTC")


def _is_anothers(session: Session) -> bool:
    """Tell whether the account lacks the first charge of the ledger; where it cannot be told, it does not."""
    first = first_charge(session.ledger)
    if first is None:
        return False
    try:
        return not has_charge(session.client, first)
    except (APIError, APIConnectionError, BillingTimeoutError):
        return False
