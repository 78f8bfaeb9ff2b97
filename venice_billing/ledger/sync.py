"""A sync: which stretch to read, pages into the staging file, and the swap at the end."""

from __future__ import annotations

import hashlib
from contextlib import aclosing, closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve

from venice_billing import _arguments as arguments
from venice_billing._event_loops import in_thread
from venice_billing._walk.lost import BrokenWalkError
from venice_billing.errors import InvalidParameterError, LedgerError
from venice_billing.ledger import _entries
from venice_billing.ledger._extent import extent
from venice_billing.ledger._staging import Staging, Stretch
from venice_billing.ledger._swap import MiscountedRowsError, StrangeRowsError, swap
from venice_billing.ledger.results import SyncProgress, SyncReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from venice_billing.client import AsyncVeniceBilling, VeniceBilling
    from venice_billing.ledger._database import Database
    from venice_billing.ledger._extent import Extent
    from venice_billing.ledger._swap import Swapped
    from venice_billing.walks import AsyncUsageWalk, EntryPage, UsageWalk

_Pass = Literal["pending", "latest", "everything"]
"""What to read next: the rest of a sync that was cut short, if there is one; the latest stretch; the whole account."""


class Sync:
    """One sync of a ledger with an account, pass by pass: nearly always it is one.

    A pass that was cut short is taken up first, and then the latest stretch is read once more, since charges may have
    been booked late meanwhile. A pass that finds none of the rows that were there reads everything, to find out
    whether the key is that of another account. A pass whose pages are not what the API has begins anew.
    """

    def __init__(
        self,
        database: Database,
        client: VeniceBilling | AsyncVeniceBilling,
        *,
        overlap: timedelta,
        full: bool,
        concurrency: int,
        progress: Callable[[SyncProgress], object] | None,
    ) -> None:
        self._database = database
        self._client: Any = client
        self._overlap = arguments.duration("overlap", overlap)
        self._is_full = _checked_flag(full)
        self._concurrency = arguments.integer("concurrency", concurrency, *arguments.CONCURRENCY)
        arguments.callback("progress", progress, "a SyncProgress")
        self._progress = progress
        configuration = vars(client)["_configuration"]
        self._clock = configuration.policy.clock
        self._account = f"{configuration.base_url}\n{configuration.key.digest()}"
        self._extent: Extent | None = None
        self._report: SyncReport | None = None
        self._next: _Pass | None = "pending"
        self._resumed = 0

    def run(self) -> SyncReport:
        """Sync, with a client of blocking calls."""
        self._database.refuse_read_only()
        with self._database.alone(), closing(Staging(self._database.path)) as staging:
            while self._begin(staging):
                with self._restarted_if_broken(staging):
                    walk: UsageWalk = self._walk(staging)
                    for page in walk.pages():
                        self._keep(staging, page, walk.checkpoint)
                        self._tell(staging, page)
                    self._finish(staging)
            return self._reported()

    async def run_async(self) -> SyncReport:
        """Sync, with a client of asyncio or trio; files are written in threads."""
        self._database.refuse_read_only()
        with self._database.alone():
            staging = await in_thread(lambda: Staging(self._database.path), undo=Staging.close)
            with closing(staging):
                while await in_thread(partial(self._begin, staging)):
                    with self._restarted_if_broken(staging):
                        walk: AsyncUsageWalk = self._walk(staging)
                        pages: Any = walk.pages()
                        async with aclosing(pages):
                            async for page in pages:
                                await in_thread(partial(self._keep, staging, page, walk.checkpoint))
                                self._tell(staging, page)
                        await in_thread(partial(self._finish, staging))
                return self._reported()

    @contextmanager
    def _restarted_if_broken(self, staging: Staging) -> Iterator[None]:
        """Drop the pages of a pass that are not what the API has; a pass that was taken up is then read anew."""
        try:
            yield
        except BrokenWalkError:
            stretch, was_resumed = staging.stretch, self._resumed > 0
            staging.discard()
            if stretch is None or not was_resumed:
                raise
            self._next = "everything" if stretch.start is None else "latest"

    def _walk(self, staging: Staging) -> Any:
        stretch = staging.stretch
        walk = partial(self._client.iter_usage_history, concurrency=self._concurrency)
        if stretch is not None and staging.checkpoint is not None:
            try:
                return walk(checkpoint=staging.checkpoint)
            except InvalidParameterError:  # of a version that wrote other checkpoints
                staging.begin(stretch)
                self._resumed = 0
        return walk(start_timestamp=None if stretch is None else stretch.start)

    def _begin(self, staging: Staging) -> bool:
        """Make the staging file ready for the next pass; False: there is none."""
        if self._next is None:
            return False
        latest = _latest_sync(self._database)
        owner = self._owner(latest)
        if self._next == "pending" and self._goes_on(staging, owner):
            self._resumed = staging.rows
            return True
        began_at = datetime.fromtimestamp(self._clock.time(), UTC)
        is_full = self._is_full or self._next == "everything"
        self._extent = extent(self._database, began_at)
        start = None if is_full else self._extent.start(self._overlap)
        staging.begin(Stretch(start, began_at, self._is_full, owner, latest[0] + 1))
        self._resumed = 0
        return True

    def _owner(self, latest: tuple[int, ...]) -> str:
        """Return a digest of what pages are for: no other account, ledger, or earlier copy of it, goes on with them."""
        owner = f"{self._account}\n{self._database.ledger_id}\n{latest}"
        return hashlib.blake2b(owner.encode(), digest_size=16).hexdigest()

    def _goes_on(self, staging: Staging, owner: str) -> bool:
        """Tell whether a pass that was cut short can be taken up: of this state of the ledger, and of all if asked."""
        stretch = staging.stretch
        if stretch is None or not staging.rows or stretch.owner != owner or (self._is_full and not stretch.is_full):
            return False
        self._extent = extent(self._database, stretch.began_at)
        return self._extent.adjoins(stretch.start)

    def _keep(self, staging: Staging, page: EntryPage, checkpoint: str) -> None:
        if page:
            staging.append(_entries.page(page.data, staging.rows), len(page), checkpoint)

    def _tell(self, staging: Staging, page: EntryPage) -> None:
        stretch = staging.stretch
        if self._progress is not None and stretch is not None and page:
            latest = page[-1].timestamp
            self._progress(
                SyncProgress(
                    rows=staging.rows, latest=latest, covered_from=stretch.start, covered_until=stretch.began_at
                )
            )
            staging.refuse_child()  # at once, if the callback has forked

    def _finish(self, staging: Staging) -> None:
        """Swap the stretch in the ledger for the pages that are here, and say which pass comes next."""
        stretch, known = staging.stretch, self._extent
        if stretch is None or known is None:
            raise LedgerError("a pass ends that was not begun")
        if stretch.owner != self._owner(_latest_sync(self._database)):  # changed by other means since the pass began
            staging.discard()
            self._next = "latest"
            return
        try:
            with self._database.transaction() as cursor:
                swapped = swap(
                    cursor, stretch, staging.documents(), rows=staging.rows, settled_until=known.settled_until
                )
        except MiscountedRowsError as error:
            miscounted = self._miscounted(error.found, staging.rows)
            staging.discard()
            raise miscounted from None
        except StrangeRowsError:
            staging.discard()
            if stretch.start is None:
                raise self._another_account() from None
            self._next = "everything"
            return
        self._add(stretch, staging.rows, swapped)
        staging.discard()
        is_behind = self._resumed > 0 and stretch.began_at < datetime.fromtimestamp(self._clock.time(), UTC)
        self._next = "latest" if is_behind else None

    def _miscounted(self, found: int, rows: int) -> LedgerError:
        return LedgerError(
            f"{self._database.path}: {rows} rows were read, but the pages kept beside it have {found}: something else "
            "has written to them. They are dropped, and the ledger is as it was; sync again"
        )

    def _another_account(self) -> LedgerError:
        return LedgerError(
            f"{self._database.path}: the API knows none of the rows of this ledger, so the key is probably another "
            "account's: use a key of the account that the ledger is of, or another path. If it is of that account, the "
            "API has removed or renamed all of them: keep this file, and sync into a new one. The ledger is as it was"
        )

    def _add(self, stretch: Stretch, rows: int, swapped: Swapped) -> None:
        report = SyncReport(
            covered_from=stretch.start,
            covered_until=stretch.began_at,
            rows_read=rows,
            rows_added=swapped.added,
            resumed_rows=self._resumed,
            late=swapped.late,
            altered=swapped.altered,
            vanished=swapped.vanished,
            is_full=stretch.start is None,
        )
        before = self._report
        if before is not None:
            report = evolve(
                report,
                covered_from=before.covered_from,
                rows_read=before.rows_read + rows,
                rows_added=before.rows_added + swapped.added,
                resumed_rows=before.resumed_rows,
                late=before.late + swapped.late,
                altered=before.altered + swapped.altered,
                vanished=before.vanished + swapped.vanished,
                is_full=before.is_full,
            )
        self._report = report

    def _reported(self) -> SyncReport:
        if self._report is None:
            raise LedgerError("a sync ended without a pass")
        return self._report


def _latest_sync(database: Database) -> tuple[int, ...]:
    """Return the number of the latest sync that ended, 0 if there was none, and what tells it from others."""
    query = "SELECT sync, epoch_us(synced_at), epoch_us(covered_until), rows_read FROM syncs ORDER BY sync DESC LIMIT 1"
    with database.reading() as cursor:
        found = cursor.execute(query).fetchall()
    return tuple(found[0]) if found else (0,)


def _checked_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidParameterError("full", value, "True or False")
    return value
