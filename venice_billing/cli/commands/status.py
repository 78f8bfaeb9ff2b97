"""`status`: one line for a prompt or a status bar, from a cache; imports no more than it needs to be quick."""

from __future__ import annotations

import json
import os
import re
import time

from venice_billing.cli.errors import OK, UNKNOWN, UsageError
from venice_billing.cli.places import cache_path, config_path

try:
    from _blake2 import blake2b  # what hashlib has, without OpenSSL, which takes as long to load as all else here
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False  # without typing, see `venice_billing`
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from pathlib import Path
    from typing import Any

    from venice_billing.cli.session import Session

EXAMPLES = """examples:
  venice-billing status                             the balance, at most five minutes old
  venice-billing status --max-age 1h --wait 0.3     for a prompt: waits at most 0.3 s
  PS1='$(venice-billing status --wait 0.2) $ '
"""

_DURATION = re.compile(r"(?P<number>\d{1,6}(?:\.\d{1,3})?)(?P<unit>[smhd]?)", re.ASCII)
_AMOUNT = re.compile(r"-?[0-9]{1,60}(?:\.[0-9]{1,60})?")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MODE = 0o600
_MOST_WAIT = 60


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument("--max-age", default="5m", metavar="5m", help="how old the line may be (s, m, h, d)")
    parser.add_argument("--wait", default="2s", metavar="2s", help="the longest wait for the network")


def run(session: Session) -> int:
    """Print the line: from the cache while it is young enough, else from the API, else the old one with its age."""
    max_age = _duration("--max-age", session.options.max_age)
    wait = _duration("--wait", session.options.wait)
    if not 0 < wait <= _MOST_WAIT:
        raise UsageError(f"--wait {session.options.wait}: more than 0 s, at most {_MOST_WAIT} s")
    if session.options.timezone is not None:
        session.zone  # noqa: B018 - refused if there is none, though no day is shown
    session.key_wait = wait
    cache = None if session.is_demo else _cache(session)
    kept = None if cache is None else _read(cache)
    age = None if kept is None else time.time() - kept["at"]
    if kept is not None and age is not None and age <= max_age:
        return _say(session, kept, None)
    fresh = None if session.options.offline else _ask(session, wait)
    if fresh is not None:
        if cache is not None:
            _write(session, cache, fresh)
        return _say(session, fresh, None)
    return _say(session, kept, age)


def _say(session: Session, balance: dict[str, Any] | None, age: float | None) -> int:
    if session.options.format not in (None, "table"):
        from venice_billing.cli.document import Document  # noqa: PLC0415 - a prompt does without

        rows = [] if balance is None else [balance | {"age_seconds": 0 if age is None else round(age)}]
        session.show(Document(title="Status", columns=("usd", "diem", "at", "age_seconds"), rows=rows))
        return OK if balance is not None else UNKNOWN
    if balance is None:
        print("venice ?", file=session.stdout)
        return UNKNOWN
    parts = [f"{balance[name]} {name.upper()}" for name in ("usd", "diem") if balance[name] is not None]
    old = "" if age is None else f" ({_age(age)} old)"
    demo = " (demo account)" if session.is_demo else ""
    print(f"venice {', '.join(parts) or 'no balance'}{old}{demo}", file=session.stdout)
    return OK


def _ask(session: Session, wait: float) -> dict[str, Any] | None:
    """Return the balance, as the cache keeps it; None: it cannot be told in time."""
    from venice_billing import _exact  # noqa: PLC0415 - only where the cache is too old
    from venice_billing.errors import AuthenticationError, InvalidParameterError, VeniceError  # noqa: PLC0415

    try:
        client = session.client.with_options(timeout=wait, max_retries=0)
        balance = client.get_balance().balances
    except (AuthenticationError, InvalidParameterError):
        raise
    except VeniceError:
        return None
    usd, diem = (None if amount is None else _exact.text(amount) for amount in (balance.usd, balance.diem))
    return {"at": int(session.now.timestamp()), "usd": usd, "diem": diem}


def _cache(session: Session) -> Path:
    return cache_path() / f"status-{_fingerprint(session.options.account)}.json"


def _fingerprint(account: str | None) -> str:
    """Return a text that differs wherever the account, its key or its address may; no command is run for it."""
    path = config_path()
    try:
        stat = path.stat()
        state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except OSError:
        state = (0, 0, 0)
    named = (account, os.environ.get("VENICE_API_KEY"), os.environ.get("VENICE_BASE_URL"), str(path), state)
    return blake2b(repr(named).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """Return what the cache keeps; None where it keeps nothing that can be used, or comes from the future."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        is_usable = 0 <= kept["at"] <= time.time() and all(
            kept[name] is None or _AMOUNT.fullmatch(kept[name]) for name in ("usd", "diem")
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return kept if is_usable else None


def _write(session: Session, path: Path, balance: dict[str, Any]) -> None:
    """Keep a balance, readable by its owner alone; a cache that cannot be written is done without."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, _MODE), "w", encoding="utf-8") as file:
            json.dump(balance, file)
        part.replace(path)
    except OSError as error:
        session.say(f"venice-billing: no cache: {error}")


def _duration(option: str, text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UsageError(f"{option} {text!r}: a time like 30s, 5m, 1h or 2d")
    return float(match["number"]) * _SECONDS[match["unit"]]


def _age(seconds: float) -> str:
    for unit in ("d", "h", "m"):
        if seconds >= _SECONDS[unit]:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{max(0, int(seconds))}s"
