"""What a command works on: the account, its client, its ledger, the clock and the time zone."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from functools import cached_property

from venice_billing.cli.errors import NoKeyError, UsageError
from venice_billing.cli.places import config_path, expanded, ledger_path

TYPE_CHECKING = False  # without typing, see `venice_billing`
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator
    from datetime import datetime, tzinfo
    from pathlib import Path
    from types import TracebackType
    from typing import Any, Self, TextIO

    from venice_billing import VeniceBilling
    from venice_billing.cli import config
    from venice_billing.cli.document import Document
    from venice_billing.ledger import Ledger
    from venice_billing.testing import FakeVenice

__all__ = ["Session"]


class Session:
    """The account that a command line names, opened when it is needed; a context manager.

    Attributes:
        options: The parsed command line.
        stdout: Where data goes.
        stderr: Where progress and remarks go.
        is_synced: Whether this command has synced the ledger already.
        found: The exit code of what was found, once it is known; None: not yet, or nothing to be found.
        key_wait: How many seconds a command that prints the key may take; None: as long as it may elsewhere.
    """

    def __init__(self, options: Namespace, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.options = options
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self.is_synced = False
        self.found: int | None = None
        self.key_wait: float | None = None
        self._stack = ExitStack()

    @property
    def is_demo(self) -> bool:
        """Whether all of it is made up."""
        return bool(self.options.demo)

    @cached_property
    def settings(self) -> config.AccountSettings | None:
        """What the configuration file says of the account; None: nothing."""
        return None if self.is_demo else self._config.account(self.options.account)

    @cached_property
    def zone(self) -> tzinfo:
        """The time zone of days and months."""
        return self._time_zone[1]

    @property
    def timezone(self) -> str:
        """The name of the time zone."""
        return self._time_zone[0]

    @property
    def named_timezone(self) -> str | None:
        """The name of the time zone, if the command line or the configuration names one."""
        return self.timezone if self._is_zone_named else None

    @staticmethod
    def zone_named(name: str) -> tzinfo:
        """Return the time zone of a name that the ledger has."""
        from venice_billing._periods import time_zone  # noqa: PLC0415 - `status` does without

        return time_zone("timezone", name)[1]

    @cached_property
    def now(self) -> datetime:
        """When the command began, in UTC."""
        from datetime import UTC, datetime  # noqa: PLC0415 - `status` does without

        return datetime.fromtimestamp(self._fake.clock.time(), UTC) if self.is_demo else datetime.now(UTC)

    @cached_property
    def client(self) -> VeniceBilling:
        """The client of the account.

        Raises:
            NoKeyError: There is no key.
            UsageError: The API must not be asked.
        """
        from venice_billing import VeniceBilling  # noqa: PLC0415 - offline commands need no HTTP

        if self.is_demo:
            return self._stack.enter_context(self._fake.client())
        settings = self.settings
        options: dict[str, Any] = {} if settings is None else {"base_url": settings.base_url}
        if self.options.offline:
            raise UsageError("--offline: this asks the API")
        key = self._key()
        if key is None and not os.environ.get("VENICE_API_KEY", "").strip():
            raise NoKeyError(
                f"no API key: set VENICE_API_KEY, or name an account with a key_command in {config_path()}; "
                "--demo needs none, and venice-billing doctor tells more"
            )
        return self._stack.enter_context(VeniceBilling(key, **options))

    @property
    def base_url(self) -> str:
        """The address of the API."""
        from venice_billing._arguments import base_url  # noqa: PLC0415 - as above
        from venice_billing._config import BASE_URL  # noqa: PLC0415 - as above

        named = self.settings and self.settings.base_url
        if named:
            return base_url(named)
        return base_url(os.environ.get("VENICE_BASE_URL") or BASE_URL, "VENICE_BASE_URL")

    @property
    def ledger_path(self) -> Path:
        """Where the ledger of the account lies, or would lie."""
        if self.options.ledger is not None:
            return expanded("--ledger", self.options.ledger)
        if self.is_demo:
            return self._demo_folder / "demo.duckdb"
        settings = self.settings
        if settings is not None and settings.ledger is not None:
            return settings.ledger
        return ledger_path(None if settings is None else settings.name)

    @property
    def has_ledger(self) -> bool:
        """Whether the account has a ledger, or one is named."""
        return self.options.ledger is not None or (not self.is_demo and self.ledger_path.exists())

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the account, made where there is none."""
        from venice_billing.ledger import Ledger  # noqa: PLC0415 - DuckDB is needed here alone

        path = self.ledger_path
        if self.options.offline and not path.exists():
            raise UsageError(f"--offline: there is no ledger at {path}; make it with venice-billing sync")
        if self.options.ledger is None and not self.is_demo:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"{path.parent} cannot be made: {error.strerror}; give --ledger PATH") from error
        is_new = not path.exists()
        if is_new:  # without a key there would be an empty one, and `spend` would fill it from then on
            _ = self.client
        ledger = self._stack.enter_context(Ledger(path))
        if not is_new and self._is_made_up(ledger) != self.is_demo:
            raise UsageError(
                f"--demo --ledger {path}: it is no ledger of the demo account; name a file that does not exist, "
                "or leave one of them out"
                if self.is_demo
                else f"{path}: a ledger of the demo account, all of it made up: give --demo, or another file"
            )
        return ledger

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, float | None], None]]:
        """Show progress on stderr, in a terminal only; yields a function of the rows so far and the share done."""
        if not self.stderr.isatty():
            yield lambda _rows, _share: None
            return
        from venice_billing.cli.terminal import progress  # noqa: PLC0415 - rich is needed here alone

        with progress(self.stderr, what) as update:
            yield update

    def show(self, document: Document) -> None:
        """Write a document to stdout, in the format that the command line names."""
        from venice_billing.cli.document import made_up  # noqa: PLC0415 - `status` does without
        from venice_billing.cli.output import write  # noqa: PLC0415 - as above

        shown = made_up(document) if self.is_demo else document
        write(shown, self.options.format or "table", self.stdout)

    def say(self, line: str) -> None:
        """Write a remark for people to stderr."""
        print(line, file=self.stderr)

    def _is_made_up(self, ledger: Ledger) -> bool:
        """Tell whether the first row of a ledger is one of the demo account: else made-up and real rows mix."""
        from venice_billing.cli.accounts import first_charge, has_charge  # noqa: PLC0415 - as above

        first = first_charge(ledger)
        if first is None:
            return False
        if self.is_demo and has_charge(self.client, first):
            return True
        from venice_billing.testing._fake import demo_day  # noqa: PLC0415 - as above

        with demo_day(first.timestamp).client() as demo:
            return has_charge(demo, first)

    @cached_property
    def _config(self) -> config.Config:
        from venice_billing.cli import config  # noqa: PLC0415 - `status` does without

        return config.load(config_path())

    @cached_property
    def _time_zone(self) -> tuple[str, tzinfo]:
        from venice_billing._periods import time_zone  # noqa: PLC0415 - `status` does without

        named = self.options.timezone
        if named is None and not self.is_demo:
            named = (self.settings and self.settings.timezone) or self._config.timezone
            if named is not None:
                return time_zone(f"{self._config.path}: timezone", named)
        return time_zone("--timezone", "UTC" if named is None else named)

    @property
    def _is_zone_named(self) -> bool:
        if self.options.timezone is not None:
            return True
        return not self.is_demo and bool((self.settings and self.settings.timezone) or self._config.timezone)

    @cached_property
    def _fake(self) -> FakeVenice:
        from venice_billing.testing import demo_account  # noqa: PLC0415 - for `--demo` alone

        return demo_account()

    @cached_property
    def _demo_folder(self) -> Path:
        from pathlib import Path  # noqa: PLC0415 - for `--demo` alone
        from tempfile import TemporaryDirectory  # noqa: PLC0415 - as above

        return Path(self._stack.enter_context(TemporaryDirectory(prefix="venice-billing-")))

    def _key(self) -> str | None:
        """Return the key of a named account, else that of the environment; None leaves it to the client."""
        settings = self.settings
        if settings is None or (self.options.account is None and os.environ.get("VENICE_API_KEY")):
            return None
        from venice_billing.cli import config  # noqa: PLC0415 - `status` does without

        wait = self.key_wait
        key = config.key_of(settings) if wait is None else config.key_of(settings, wait)
        if key is None:
            raise UsageError(f"account {settings.name!r} has no key: give it key_command in {self._config.path}")
        return key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
