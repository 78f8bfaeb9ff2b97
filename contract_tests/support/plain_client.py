"""FakeVenice over plain httpx, as a program sees it that does not use this package."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venice_billing.testing import FakeVenice

HISTORY, USAGE = "/billing/usage-history", "/billing/usage"
ANALYTICS, BALANCE = "/billing/usage-analytics", "/billing/balance"
Row = dict[str, Any]


def connect(fake: FakeVenice, key: str | None = None, **headers: str) -> httpx.Client:
    """Return a client on the transport of a fake, with its admin key or another."""
    return httpx.Client(
        base_url="https://fake.test/api/v1",
        headers={"authorization": f"Bearer {key or fake.admin_key}", **headers},
        transport=fake.transport(),
        timeout=10.0,
    )


def exact(response: httpx.Response) -> Any:
    """Return the JSON of a successful response, its numbers to the digit."""
    assert response.status_code == 200, response.text
    return json.loads(response.content, parse_float=Decimal)


def walk(client: httpx.Client, **params: str | int) -> Iterator[list[Row]]:
    """Yield the rows of the history, page by page."""
    asked: dict[str, str | int] = params
    while asked is not None:
        page = exact(client.get(HISTORY, params=asked))
        yield page["data"]
        if page["nextCursor"] is None:
            return
        asked = {"cursor": page["nextCursor"]}


def rows_of(client: httpx.Client, **params: str | int) -> list[Row]:
    """Return the rows of the history."""
    return [row for page in walk(client, **params) for row in page]
