"""`doctor`: a line for each thing that must be right, and what to do where it is not."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import metadata
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from attrs import frozen

from venice_billing.cli import config
from venice_billing.cli.document import Document
from venice_billing.cli.errors import FINDING, OK, CommandError
from venice_billing.errors import (
    AuthenticationError,
    BillingTimeoutError,
    InvalidParameterError,
    LedgerError,
    VeniceError,
)

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
_STALE_DAYS = 3


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
    checks = [*_versions(), *_configuration(session), *_network(session), *_ledger(session)]
    if session.options.format in (None, "table"):
        session.stdout.writelines(f"{_line(check)}\n" for check in checks)
    else:
        session.show(_document(checks))
    return FINDING if any(check.status == "wrong" for check in checks) else OK


def _line(check: Check) -> str:
    mark = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}[check.status]
    advice = f"\n      -> {check.advice}" if check.advice else ""
    return f"{mark} {check.name}: {check.found}{advice}"


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


def _configuration(session: Session) -> Iterator[Check]:
    if session.is_demo:
        yield Check("account", "note", "the demo account: made up, without a network")
        return
    try:
        path = config.config_path()
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
        yield Check("client", "wrong", str(error))
    except (CommandError, AuthenticationError) as error:
        yield Check("key", "wrong", str(error), "make an ADMIN key at Venice.ai, then: export VENICE_API_KEY=...")
    else:
        yield from _key(session)


def _way(base_url: str) -> Iterator[Check]:
    """Look at the way to the server: its name, a proxy, an answer without a key, the clock."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxy = next((name for name in _PROXIES if os.environ.get(name)), None)
    if proxy is not None:
        yield Check("proxy", "note", f"{proxy} is set: requests go through it", "unset it if that is not wanted")
    else:
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            yield Check("name", "wrong", f"{host} does not resolve: {error}", "check the network, DNS and the base URL")
            return
        yield Check("name", "ok", f"{host} resolves")
    import httpx  # noqa: PLC0415 - not for `--help`

    try:
        answer = httpx.get(f"{base_url}/billing/balance", timeout=10, follow_redirects=False)
    except httpx.HTTPError as error:
        advice = "check the network, the proxy, and the certificates that SSL_CERT_FILE names"
        yield Check("connection", "wrong", f"{base_url}: {type(error).__name__}: {error}", advice)
        return
    yield Check("connection", "ok", f"{base_url} answers ({answer.status_code} without a key)")
    yield from _clock(answer.headers.get("date"))


def _clock(date: str | None) -> Iterator[Check]:
    try:
        theirs = parsedate_to_datetime(date or "")
    except ValueError:
        return
    skew = round((datetime.now(UTC) - theirs.astimezone(UTC)).total_seconds())
    if abs(skew) <= _MOST_SKEW:
        yield Check("clock", "ok", f"{abs(skew)} s from the server's")
        return
    where = "ahead of" if skew > 0 else "behind"
    yield Check(
        "clock", "wrong", f"{abs(skew)} s {where} the server's", "set this machine's clock: periods depend on it"
    )


def _key(session: Session) -> Iterator[Check]:
    try:
        session.client.get_balance()
    except AuthenticationError:
        yield _refused_key(session)
    except BillingTimeoutError as error:
        yield Check("key", "wrong", f"no answer in time: {error}", "try again; is the network slow?")
    except VeniceError as error:
        yield Check("key", "wrong", f"{type(error).__name__}: {error}")
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


def _ledger(session: Session) -> Iterator[Check]:
    try:
        path = session.ledger_path
        if not path.exists():
            yield Check("ledger", "note", f"none at {path}", "venice-billing sync makes one; without it, spend walks")
            return
        until = session.ledger.coverage().until
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
