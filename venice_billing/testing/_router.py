"""The server's side of the contract: a request in, a response out. Waits, 429s and faults are added in `_fake`."""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, localcontext
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from venice_billing.testing._analytics import analytics_document
from venice_billing.testing._cursor import Cursor, CursorMint, CursorRefusedError
from venice_billing.testing._parameters import (
    HistoryQuery,
    QueryRefusedError,
    UsageQuery,
    read_analytics_query,
    read_balance_query,
    read_history_query,
    read_usage_query,
)
from venice_billing.testing._quirks import CsvLayout, CursorPlace, Quirks, SeenRequest
from venice_billing.testing._required import missing_fields, whole
from venice_billing.testing._responses import CSV, JSON, Headers, RequestedPage, Response, error_response, json_response
from venice_billing.testing._stuck import next_instant, stuck_entries, stuck_instant
from venice_billing.testing._text import CSV_COLUMNS, DAY, Row, format_instant, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venice_billing.testing._account import Account, Entry, Position

PREFIX = "/api/v1"
ORIGINAL_LEDGER = f"{PREFIX}/billing/usage"
NEVER = float("inf")

_RETIRED_HEADERS: Headers = (
    ("link", '</api/v1/billing/usage-history>; rel="successor-version"'),
    ("deprecation", "@1783555200"),
    ("sunset", "Wed, 16 Sep 2026 00:00:00 GMT"),
)
_NARROW = 15 * 60 * 1_000_000
_ANALYTICS_CACHE_SECONDS = 600
# Numbers that no entry has: such a position sorts before all entries of its instant.
_AT_THE_START, _STUCK = -2, -1
_CSV_ACCEPTED = re.compile(r"(^|,)\s*text/csv\s*(;(?!\s*q=0(\.0*)?\s*(,|$))[^,]*)?(,|$)", re.IGNORECASE)


@frozen
class Service:
    """The operations that this server still has."""

    original: Literal["retired", "alive"]
    history: bool


_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


class Router:
    """Answers requests from the data of an account."""

    def __init__(self, account: Account, service: Service, owner: str) -> None:
        self.balance: Row | None = None
        self._account = account
        self._service = service
        self._mint = CursorMint(owner)
        self._analytics_cache: dict[str, tuple[float, Response]] = {}
        self._csv_responses = 0

    def respond(self, request: SeenRequest, quirks: Quirks) -> Response:
        """Return the response of the API, before any fault or wait."""
        routes = {
            f"{PREFIX}/billing/balance": self._balance,
            f"{PREFIX}/billing/usage-analytics": self._analytics,
            ORIGINAL_LEDGER: self._usage,
        }
        if self._service.history:
            routes[f"{PREFIX}/billing/usage-history"] = self._history
        route = routes.get(request.path)
        if route is None:
            return error_response(404, "Not found")
        if request.method != "GET":
            return error_response(405, "Method not allowed", (("allow", "GET"),))
        try:
            return self._retired(request) or _unauthorized(request) or route(request, quirks)
        except QueryRefusedError as refusal:
            details: dict[str, list[str]] = {}
            for issue in refusal.issues:
                details.setdefault(issue.parameter, []).append(issue.message)
            return error_response(400, "Invalid request parameters", details=details)
        except CursorRefusedError as refusal:
            return error_response(400, str(refusal), details={"cursor": [str(refusal)]})

    def _retired(self, request: SeenRequest) -> Response | None:
        if request.path != ORIGINAL_LEDGER or self._service.original == "alive":
            return None
        message = (
            "Retired on 2026-09-16. Use GET /api/v1/billing/usage-history, with pageSize and "
            "cursor for limit and page, startTimestamp and endTimestamp for startDate and endDate."
        )
        return error_response(410, message, _RETIRED_HEADERS)

    def _balance(self, request: SeenRequest, _: Quirks) -> Response:
        read_balance_query(request.params)
        return json_response(200, self.balance_at(request.time))

    def balance_at(self, time: float) -> Row:
        """Return the balance: in USD the sum of the ledger, in DIEM the rest of today's allocation."""
        if self.balance is not None:
            return self.balance
        today = round(time) * 1_000_000 // DAY * DAY
        with localcontext(_EXACT):  # not the caller's context, which may round
            return self._balance_of(today)

    def _balance_of(self, today: int) -> Row:
        spent = sum((e.row["amount"] for e in self._account.select(currency="DIEM", start=today)), Decimal(0))
        usd = sum((e.row["amount"] for e in self._account.select(currency="USD")), Decimal(0))
        allocation = Decimal(100)
        diem = max(Decimal(0), allocation + min(Decimal(0), spent))
        balance = {
            "canConsume": diem > 0 or usd > 0,
            "consumptionCurrency": "DIEM" if diem > 0 else "USD" if usd > 0 else None,
            "balances": whole("Balances", {"diem": diem, "usd": usd}),
            "diemEpochAllocation": allocation,
        }
        return whole("Balance", balance)

    def _analytics(self, request: SeenRequest, quirks: Quirks) -> Response:
        query = read_analytics_query(request.params, _instant(request))
        cached = self._analytics_cache.get(query.lookback)
        if quirks.analytics_cached and cached and request.time < cached[0] + _ANALYTICS_CACHE_SECONDS:
            return cached[1]
        rows = [entry.row for entry in self._account.select(start=query.start, end=query.end)]
        response = json_response(200, whole("UsageAnalytics", {"lookback": query.lookback, **analytics_document(rows)}))
        self._analytics_cache[query.lookback] = (request.time, response)
        return response

    def _usage(self, request: SeenRequest, quirks: Quirks) -> Response:
        query = read_usage_query(request.params)
        entries = self._account.select(currency=query.currency, start=query.start, end=query.end)
        if _never_answered(query.start, query.end, entries, request, quirks):
            return Response(200).transmitted(headers_wait=NEVER)
        skip = (query.page - 1) * query.limit
        if query.descending:
            chosen = entries[max(0, len(entries) - skip - query.limit) : max(0, len(entries) - skip)][::-1]
        else:
            chosen = entries[skip : skip + query.limit]
        total = len(entries)
        requested = RequestedPage(
            currency=query.currency,
            start=query.start,
            end=query.end,
            descending=query.descending,
            first=query.page == 1,
            last=skip + query.limit >= total,
        )
        kind = quirks.no_progress
        if kind and (instant := stuck_instant(kind, requested, entries, _instant(request))) is not None:
            chosen = stuck_entries(kind, requested, next_instant(kind, requested, instant, query.page), query.limit)
            total = (query.page + 1) * query.limit
        return evolve(self._usage_response(request, query, chosen, total, quirks), requested=requested)

    def _usage_response(
        self, request: SeenRequest, query: UsageQuery, chosen: Sequence[Entry], total: int, quirks: Quirks
    ) -> Response:
        pages = -(-total // query.limit)
        numbers = {"limit": query.limit, "page": query.page, "total": total, "totalPages": pages}
        headers: Headers = (
            ("x-pagination-limit", str(query.limit)),
            ("x-pagination-page", str(query.page)),
            ("x-pagination-total", str(total)),
            ("x-pagination-total-pages", str(pages)),
        )
        if _wants_csv(request):
            return self._csv_response(chosen, "billing_usage.csv", headers, quirks)
        return _rows_response("UsagePage", chosen, {"pagination": whole("Pagination", numbers)}, headers)

    def _history(self, request: SeenRequest, quirks: Quirks) -> Response:
        query = read_history_query(request.params)
        walk = self._walk(query, request, quirks)
        if walk.page and _is_dead(walk, quirks):
            return error_response(500, "An unknown error occurred").transmitted(headers_wait=quirks.dead_cursor_hang)
        more = self._account.select(
            currency=walk.currency,
            start=None if walk.page else query.start,
            end=walk.end,
            after=walk.after if walk.page else None,
            limit=walk.page_size + 1,
        )
        if not walk.page and _never_answered(query.start, query.end, more, request, quirks):
            return Response(200).transmitted(headers_wait=NEVER)
        entries, after = _page(walk, query, more, request, quirks)
        token = None
        if after is not None:
            token = self._mint.write(evolve(walk, page=walk.page + 1, after=after))
            if query.cursor and _nth(walk.page + 1, quirks.repeat_cursor_every):
                token = query.cursor
        requested = RequestedPage(
            currency=walk.currency, start=query.start, end=walk.end, first=not walk.page, last=token is None
        )
        return evolve(self._history_response(request, entries, token, quirks), requested=requested)

    def _walk(self, query: HistoryQuery, request: SeenRequest, quirks: Quirks) -> Cursor:
        """Return the state of the walk; its `issued` fields are for the cursor that this response may carry."""
        if query.cursor is None:
            start = Cursor(0, (0, 0), query.end, query.currency, query.page_size, 0.0, 0)
            return evolve(start, issued_at=request.time, issued_by=request.number)
        cursor = self._mint.read(query.cursor)
        age, requests = request.time - cursor.issued_at, request.number - cursor.issued_by
        if (quirks.cursor_lives_seconds is not None and age > quirks.cursor_lives_seconds) or (
            quirks.cursor_lives_requests is not None and requests > quirks.cursor_lives_requests
        ):
            raise CursorRefusedError("Cursor expired")
        return evolve(cursor, issued_at=request.time, issued_by=request.number)

    def _history_response(
        self, request: SeenRequest, entries: Sequence[Entry], token: str | None, quirks: Quirks
    ) -> Response:
        if not _wants_csv(request):
            return _rows_response("UsageHistoryPage", entries, {"nextCursor": token})
        stamp = re.sub("[-:.]", "", format_instant(_instant(request) // 1000 * 1000))
        headers = () if token is None else (("x-next-cursor", token),)
        return self._csv_response(entries, f"billing-usage-history-{stamp}.csv", headers, quirks)

    def _csv_response(self, entries: Sequence[Entry], filename: str, headers: Headers, quirks: Quirks) -> Response:
        layout = quirks.csv_layouts[self._csv_responses % len(quirks.csv_layouts)]
        self._csv_responses += 1
        disposition = ("content-disposition", f"attachment; filename={filename}")
        return Response(200, (("content-type", CSV), disposition, *headers), _csv_document(entries, layout))


def _page(
    walk: Cursor, query: HistoryQuery, more: Sequence[Entry], request: SeenRequest, quirks: Quirks
) -> tuple[Sequence[Entry], Position | None]:
    """Return the entries of a page, and the position after which the next page begins; None on the last page.

    Args:
        walk: The state of the walk.
        query: The query of the request.
        more: The entries of the page, and one more if there is a next one.
        request: The request.
        quirks: The quirks of the service.
    """
    kind = quirks.no_progress
    if kind and walk.page >= quirks.no_progress_after:
        requested = RequestedPage(currency=walk.currency, start=walk.after[0] if walk.page else query.start)
        if walk.page and walk.after[1] == _STUCK:
            instant: int | None = next_instant(kind, requested, walk.after[0])
        else:
            instant = stuck_instant(kind, requested, more, _instant(request))
        if instant is not None:
            return stuck_entries(kind, requested, instant, walk.page_size), (instant, _STUCK)
    if quirks.empty_first_page and not walk.page:
        return (), (0 if query.start is None else query.start, _AT_THE_START)
    entries = more[: walk.page_size]
    return entries, entries[-1].position if len(more) > len(entries) else None


def _unauthorized(request: SeenRequest) -> Response | None:
    if request.key in ("none", "wrong"):
        return error_response(401, "Authentication failed")
    if request.key == "inference" and not request.path.endswith("/usage-analytics"):
        return error_response(401, "Admin API key required")
    return None


def _never_answered(
    start: int | None, end: int | None, entries: Sequence[Entry], request: SeenRequest, quirks: Quirks
) -> bool:
    """Tell whether this is one of the ledger requests that the live service never answers."""
    if quirks.empty_result_hangs and not entries:
        return True
    until = _instant(request) if end is None else end
    return quirks.narrow_window_hangs and start is not None and until - start < _NARROW


def _is_dead(cursor: Cursor, quirks: Quirks) -> bool:
    if _nth(cursor.page, quirks.dead_cursor_every):
        return True
    place = CursorPlace(cursor.page, format_instant(cursor.after[0]), cursor.after[1])
    return quirks.dead_cursors is not None and quirks.dead_cursors(place)


def _nth(number: int, every: int | None) -> bool:
    return every is not None and number % every == 0


def _wants_csv(request: SeenRequest) -> bool:
    """Tell whether `text/csv` is named in the Accept header: naming it beside others is enough."""
    return _CSV_ACCEPTED.search(request.headers.get("accept", "")) is not None


def _rows_response(schema: str, entries: Sequence[Entry], rest: Row, headers: Headers = ()) -> Response:
    tail = to_json({**rest, **missing_fields(schema, {"data", *rest})}).encode()
    body = b'{"data":[' + b",".join([entry.json for entry in entries]) + b"]," + tail.removeprefix(b"{")
    return Response(200, (("content-type", JSON), *headers), body)


def _csv_document(entries: Sequence[Entry], layout: CsvLayout) -> bytes:
    line_break = layout.line_break.encode()
    header = (layout.header or ",".join(CSV_COLUMNS)).encode()
    document = line_break.join([header, *(entry.csv for entry in entries)])
    return (b"\xef\xbb\xbf" if layout.bom else b"") + document + (line_break if layout.final_line_break else b"")


def _instant(request: SeenRequest) -> int:
    return round(request.time * 1_000_000)
