"""`serve-fake`: FakeVenice as a server on loopback, for programs in any language."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from attrs import fields

from venice_billing.cli.errors import OK, CommandError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Mapping

    from venice_billing.cli.session import Session
    from venice_billing.testing import FakeVenice, Quirks

EXAMPLES = """examples:
  venice-billing serve-fake --port 8080
  venice-billing serve-fake --entries 50000 --seed 7 --quirk narrow_window_hangs --quirk rate_limit_every=5
  curl -H "Authorization: Bearer fake-admin-key" http://127.0.0.1:8080/api/v1/billing/balance
"""

_MOST_ENTRIES = 1_000_000
_PORTS = 65_535
_SWITCH: Callable[[str], float] = bool
_READERS: Mapping[str, Callable[[str], float]] = {
    "bool": _SWITCH,
    "int": int,
    "int | None": int,
    "float": float,
    "float | None": float,
    "float | tuple[float, float]": float,
}
"""How the text of a quirk is read, by its annotation; what is neither a switch nor a number cannot be given."""


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument("--port", type=int, default=0, metavar="N", help="the port (default: a free one)")
    parser.add_argument(
        "--entries", type=int, metavar="N", help="so many made-up charges over 90 days (default: the demo account)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="what the charges are drawn from (default: 0)")
    parser.add_argument(
        "--quirk",
        action="append",
        default=[],
        metavar="NAME[=N]",
        help="a quirk of the real service, as in venice_billing.testing.Quirks; may be given again",
    )


def run(session: Session) -> int:
    """Serve until interrupted or terminated."""
    options = session.options
    if not 0 <= options.port <= _PORTS:
        raise UsageError(f"--port {options.port}: a number from 0 to {_PORTS}")
    fake = _account(options.entries, options.seed)
    for text in options.quirk:
        _switch(fake.quirks, text)
    stopped = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda _signal, _frame: stopped.set())
    try:
        _serve(session, fake, stopped)
    finally:
        signal.signal(signal.SIGTERM, before)
    return OK


def _serve(session: Session, fake: FakeVenice, stopped: threading.Event) -> None:
    try:
        server = fake.serve(port=session.options.port).__enter__()
    except OSError as error:
        raise CommandError(f"--port {session.options.port}: {error.strerror}") from error
    try:
        print(f"VENICE_BASE_URL={server.base_url}", file=session.stdout)
        print(f"VENICE_API_KEY={fake.admin_key}", file=session.stdout, flush=True)
        session.say(f"{len(fake.ledger):,} made-up charges; stop with Ctrl-C")
        while not stopped.wait(1):  # a wait without an end would not notice Ctrl-C on every system
            pass
    except KeyboardInterrupt:
        pass
    finally:
        server.__exit__(None, None, None)


def _account(entries: int | None, seed: int | None) -> FakeVenice:
    from venice_billing.testing import FakeVenice, demo_account  # noqa: PLC0415 - not for `--help`

    if entries is None and seed is None:
        return demo_account()
    count = 1000 if entries is None else entries
    if not 0 <= count <= _MOST_ENTRIES:
        raise UsageError(f"--entries {count}: a number from 0 to {_MOST_ENTRIES}")
    return FakeVenice(count, seed=seed or 0)


def _switch(quirks: Quirks, text: str) -> None:
    """Set a quirk, a switch or a number."""
    name, equals, value = text.partition("=")
    simple = {one.name: read for one in fields(type(quirks)) if (read := _READERS.get(str(one.type))) is not None}
    if name not in simple:
        raise UsageError(f"--quirk {text!r}: one of {', '.join(sorted(simple))}")
    is_switch = simple[name] is _SWITCH
    if is_switch and equals:
        raise UsageError(f"--quirk {text!r}: {name} is a switch, without a value")
    try:
        setattr(quirks, name, True if is_switch else simple[name](value))
    except (TypeError, ValueError) as error:
        reason = f"; {error}" if value else ""
        raise UsageError(f"--quirk {text!r}: {name}=N, a number{reason}") from None
