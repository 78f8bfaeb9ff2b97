"""The parser of the command line, and what becomes of errors: one line on stderr and an exit code."""

from __future__ import annotations

import argparse
import os
import re
import sys
from importlib import import_module

from venice_billing import __version__
from venice_billing.cli.errors import OK, CommandError, UsageError, code_of
from venice_billing.cli.formats import FORMATS
from venice_billing.cli.help import HelpFormatter
from venice_billing.cli.streams import discard_output

TYPE_CHECKING = False  # without typing, see `venice_billing`
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn, Self

    from venice_billing.errors import VeniceError

__all__ = ["COMMANDS", "parser", "run"]

_PROGRAM = "venice-billing"
_SHORTEST_KEY = 8
_PATHS = ("ledger", "target", "file", "log", "output")
_NEGATIVE = re.compile(r"-\.?\d")
_LONG_OPTION = re.compile(r"--[a-z-]+")
_SHELLS = ("bash", "zsh", "fish")

_EPILOG = """examples:
  venice-billing --demo spend             a made-up account, without a key
  venice-billing spend last-month --by model
  venice-billing check --max-spend 50USD  for cron: exit code 1 on a breach
  venice-billing COMMAND --help           what a command does, with examples

exit codes: 0 fine, 1 a finding, 2 a wrong command line or file, 3 it could not be told
"""

COMMANDS: Mapping[str, tuple[str, str]] = {
    "balance": ("balance", "what is left, and how much of the DIEM epoch is used"),
    "spend": ("spend", "what was spent, by day, week, month, model, service, sku, key or currency"),
    "check": ("check", "whether limits of spend and balance hold, for cron and CI"),
    "report": ("report", "a page or picture of a period, for a browser: charts, tables, totals to the digit"),
    "export": ("export", "write the charges of a period to a file, a dataset or a pipe"),
    "sync": ("sync", "bring the local ledger up to date"),
    "close": ("close", "close a month, and write its statement"),
    "adjustments": ("adjustments", "what syncs have changed in time that was covered before"),
    "reconcile": ("reconcile", "compare your own log of requests with the ledger"),
    "verify": ("verify", "compare the ledger with the API's own analytics, day by day"),
    "status": ("status", "one line for a prompt, from a cache"),
    "doctor": ("doctor", "what is wrong with key, network, clock and ledger, and what to do"),
    "serve-fake": ("serve_fake", "a made-up account as a server, for programs in any language"),
}
"""Of each command: its module in `venice_billing.cli.commands`, and what it does."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line, and return its exit code."""
    try:
        if any(_masked(argument) != argument for argument in arguments):
            raise UsageError("an argument holds the API key; give it in VENICE_API_KEY alone")
        options = parser().parse_args(_joined(arguments))
        if options.version:
            print(f"{_PROGRAM} {__version__}")  # noqa: T201 - the output of the command
            return OK
        if options.print_completion is not None:
            return _complete(options.print_completion)
        if options.command is None:
            raise UsageError(f"name a command: {', '.join(COMMANDS)}; or --help")
        if options.format is not None and options.format not in options.formats:
            raise UsageError(f"--format {options.format!r}: one of {', '.join(options.formats)}")
        return _run(options)
    except CommandError as error:
        _complain(str(error))
        return error.code


def _joined(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which `--last -1d` is `--last=-1d`: no option begins with a digit, and a value may."""
    joined: list[str] = []
    for argument in arguments:
        if joined and _NEGATIVE.match(argument) and _LONG_OPTION.fullmatch(joined[-1]):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _run(options: argparse.Namespace) -> int:
    from venice_billing.cli.session import Session  # noqa: PLC0415 - `--help` needs no account

    try:
        with Session(options) as session:
            try:
                found: int = options.run(session)
                session.stdout.flush()
            except BrokenPipeError:
                if session.found is None:
                    raise
                found = session.found  # what was found stays found, whether or not somebody reads it to the end
                discard_output()
            return found
    except Exception as error:
        code = _told(error)
        if code is None:
            raise
        return code


def _told(error: Exception) -> int | None:
    """Say what an error of the library is, and return the exit code; None: it is none of them."""
    from venice_billing import errors  # noqa: PLC0415 - rare

    if not isinstance(error, errors.VeniceError):
        return None
    is_plain = isinstance(error, errors.InvalidParameterError | errors.LedgerError | errors.ExportError)
    name = "" if is_plain else f"{type(error).__name__}: "
    _complain(f"{name}{error}{_advice(error)}")
    return code_of(error)


def _advice(error: VeniceError) -> str:
    from venice_billing import errors  # noqa: PLC0415 - rare

    if isinstance(error, errors.RateLimitError) and error.retry_after is not None:
        return f"; the API asks to wait {error.retry_after:g} s"
    is_setting = isinstance(error, errors.AuthenticationError | errors.NotFoundError | errors.APIConnectionError)
    return "; venice-billing doctor tells what is wrong" if is_setting else ""


def _complete(shell: str) -> int:
    """Print what makes a shell complete command lines."""
    try:
        shtab = import_module("shtab")
    except ImportError:
        raise UsageError("completion needs the extra `cli`: pip install 'venice-billing[cli]'") from None
    if shell not in _SHELLS:
        raise UsageError(f"--print-completion {shell!r}: one of {', '.join(_SHELLS)}")
    root = parser()
    for action in root._actions:  # noqa: SLF001 - argparse has no other way to the parsers of the commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for command in action.choices.values():
                _offer_values(command.fill(), shtab)
    _offer_values(root, shtab)
    print(shtab.complete(root, shell=shell))  # noqa: T201 - the output of the command
    return OK


def _offer_values(parser: argparse.ArgumentParser, shtab: Any) -> None:
    """Tell what completes the arguments; the parser itself has no choices, since its errors would be long ones."""
    from venice_billing.cli.periods import WORDS  # noqa: PLC0415 - for completion alone

    formats = parser.get_default("formats") or FORMATS
    values = {"format": formats, "period": WORDS, **(parser.get_default("values") or {})}
    for action in parser._actions:  # noqa: SLF001 - as above
        if action.dest in _PATHS:
            vars(action)["complete"] = shtab.FILE
        elif action.dest in values:
            action.choices = tuple(values[action.dest])


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; that of a command is filled when it is asked for."""
    root = _Parser(
        prog=_PROGRAM,
        description="What your Venice.ai usage costs: every charge once, to the last digit.",
        epilog=_EPILOG,
    )
    root.add_argument("--version", action="store_true", help="print the version and end")
    root.add_argument("--print-completion", metavar="SHELL", help="print the completion for bash, zsh or fish and end")
    _add_common(root, FORMATS, default=None)
    commands = root.add_subparsers(dest="command", metavar="COMMAND", prog=_PROGRAM, parser_class=_CommandParser)
    for name, (module, what) in COMMANDS.items():
        commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.", module=module)
    return root


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=HelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


class _CommandParser(_Parser):
    """The parser of a command, filled by its module when a command line names it."""

    def __init__(self, *, module: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._module = module
        self._is_filled = self._is_intermixed = False

    def fill(self) -> Self:
        """Add the arguments of the command."""
        if not self._is_filled:
            self._is_filled = True
            self.set_defaults(formats=FORMATS)
            command = import_module(f"venice_billing.cli.commands.{self._module}")
            command.configure(self)
            self.set_defaults(run=command.run, values=getattr(command, "VALUES", {}))
            _add_common(self, self.get_default("formats"), default=argparse.SUPPRESS)
            # Else the parsing of intermixed arguments would set it, and format a percent sign in it.
            self.usage = HelpFormatter(self.prog).usage(self._actions)
        return self

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] # it has overloads
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Parse the arguments of the command; what has no name may stand before and behind any option."""
        filled = self.fill()
        if self._is_intermixed:  # argparse calls back, for the options first
            return super().parse_known_args(args, namespace)
        self._is_intermixed = True
        try:
            return filled.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_intermixed = False


def _add_common(parser: argparse.ArgumentParser, formats: Sequence[str], default: Any) -> None:
    """Add the options of all commands, which may stand before and behind the command."""
    group = parser.add_argument_group("options of all commands")
    whose = group.add_mutually_exclusive_group()
    whose.add_argument("--account", metavar="NAME", default=default, help="an account of the configuration file")
    whose.add_argument("--ledger", metavar="PATH", default=default, help="the file of a ledger, made if there is none")
    group.add_argument(
        "--demo",
        action="store_true",
        default=False if default is None else default,
        help="a made-up account, the same in every run: no key, no network",
    )
    group.add_argument(
        "--format",
        metavar="FORMAT",
        default=default,
        help=f"one of {', '.join(formats)}{' (default: table)' if 'table' in formats else ''}",
    )
    group.add_argument("--timezone", metavar="ZONE", default=default, help="the IANA time zone of days (default: UTC)")
    group.add_argument(
        "--offline",
        action="store_true",
        default=False if default is None else default,
        help="read the ledger as it is, without a sync",
    )


def _masked(text: str) -> str:
    """Return a text without the key of the environment; one of a few characters may be a part of any word."""
    key = os.environ.get("VENICE_API_KEY", "").strip()
    return text.replace(key, "[key]") if len(key) >= _SHORTEST_KEY else text


def _complain(message: str) -> None:
    from venice_billing._table import printable  # noqa: PLC0415 - most commands end without a complaint

    line = _masked(printable(" ".join(message.split()), widest=None))
    print(f"{_PROGRAM}: {line}", file=sys.stderr)  # noqa: T201 - the output of the command
