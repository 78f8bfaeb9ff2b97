"""The billing interface of the old SDK: its documented calls run, and pages and totals are those of the true ledger."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.flavours import HISTORY, NOW, ORIGINAL, Flavour
from venice_billing import errors, models
from venice_billing.compat import _queries, venice_ai, venice_ai_v1
from venice_billing.compat._values import Value
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.anyio
RANGE = {"startDate": "2026-09-01T00:00:00Z", "endDate": "2026-10-01T00:00:00Z"}


def connect(flavour: Flavour, fake: FakeVenice, **options: Any) -> Any:
    """Return a client with the old interface."""
    module = venice_ai if flavour.name == "async" else venice_ai_v1
    return module.VeniceClient(fake.admin_key, http_client=flavour.http(transport=fake.transport()), **options)


async def result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def collect(walk: Any) -> list[Any]:
    return [item async for item in walk] if hasattr(walk, "__aiter__") else list(walk)


def following_of(walk: Any) -> Callable[[], Any]:
    """Return a function that returns the next item of one iteration."""
    if hasattr(walk, "__aiter__"):
        asynchronous: Callable[[], Any] = aiter(walk).__anext__
        return asynchronous
    iterator = iter(walk)

    async def following() -> Any:
        try:
            return next(iterator)
        except StopIteration:
            raise StopAsyncIteration from None

    return following


async def exhaust(following: Callable[[], Any], into: list[Any]) -> None:
    while True:
        into.append(await following())


def rows_of(values: Sequence[Any]) -> list[dict[str, Any]]:
    return [value.to_dict() for value in values]


def multiset(rows: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


def mixed_fake(**options: Any) -> FakeVenice:
    """An account with charges in four currencies, also the former one."""
    fake = FakeVenice(900, now=NOW, **options)
    for day in range(1, 29):
        fake.book({"timestamp": f"2026-09-{day:02}T00:00:00.000Z", "currency": "VCU", "amount": f"-0.{day}"})
    return fake


async def test_documented_calls_run() -> None:
    """The calls of the old page, with its parameters and its names of values."""
    fake = mixed_fake()
    async with venice_ai.VeniceClient(
        fake.admin_key, http_client=httpx.AsyncClient(transport=fake.transport())
    ) as client:
        usage = await client.billing.get_usage(**RANGE, currency="USD", limit=60, page=2, sortOrder="asc")
        truth = fake.rows(currency="USD", start=RANGE["startDate"], end=RANGE["endDate"])
        assert sum(record.amount for record in usage.data) == sum(row["amount"] for row in truth[60:120])
        assert (usage.pagination.total, usage.pagination.totalPages) == (len(truth), -(-len(truth) // 60))
        assert (usage.pagination.limit, usage.pagination.page) == (60, 2)
        entry = usage.data[0]
        assert entry.pricePerUnitUsd == entry.price_per_unit_usd == truth[60]["pricePerUnitUsd"]
        csv = await client.billing.get_usage(format=venice_ai.BillingFormatEnum.CSV, startDate=RANGE["startDate"])
        assert isinstance(csv, bytes)
        assert len(csv.splitlines()) == 1 + len(fake.rows(start=RANGE["startDate"]))
        first = [entry async for entry in client.billing.iter_usage(page_size=100, max_items=3, currency="USD")]
        assert rows_of(first) == fake.rows(currency="USD")[::-1][:3]
        balance = await client.billing.get_balance()
        assert balance.can_consume is balance.canConsume is True
        assert isinstance(balance.balances.usd, Decimal)
        analytics = await client.billing.get_usage_analytics(startDate="2026-10-01", endDate="2026-10-31")
        assert all(isinstance(day.USD, Decimal) and day.diem == day.DIEM and day.date for day in analytics.byDate)
        assert {model.modelName for model in analytics.byModel} >= set(analytics.topModels)
        assert sum(model.totalUsd for model in analytics.byModel) == sum(day.USD for day in analytics.byDate)
        assert len(analytics.byKey) > 0
        assert len(analytics.byModelDaily) > 0


@pytest.mark.parametrize("original", ["retired", "alive"])
@pytest.mark.parametrize("order", [None, "asc", "desc"])
@pytest.mark.parametrize("currency", [None, "USD", "VCU"])
async def test_pages_and_totals_are_those_of_the_ledger(
    flavour: Flavour, original: Any, order: str | None, currency: str | None
) -> None:
    fake = mixed_fake(original=original)
    truth = fake.rows(currency=currency, start=RANGE["startDate"], end=RANGE["endDate"])
    truth = truth if order == "asc" else truth[::-1]
    billing = connect(flavour, fake).billing
    received, page = [], 0
    while page * 75 < len(truth) + 75:
        page += 1
        usage = await result(billing.get_usage(**RANGE, currency=currency, limit=75, page=page, sortOrder=order))
        assert (usage.pagination.total, usage.pagination.total_pages) == (len(truth), -(-len(truth) // 75))
        received += usage.data
    assert multiset(rows_of(received)) == multiset(truth)
    assert [value.timestamp for value in received] == sorted(
        (value.timestamp for value in received), reverse=order != "asc"
    )
    walked = await collect(billing.iter_usage(**RANGE, currency=currency, sortOrder=order))
    assert multiset(rows_of(walked)) == multiset(truth)


async def test_original_endpoint_is_tried_once(flavour: Flavour) -> None:
    fake = mixed_fake()
    billing = connect(flavour, fake).billing
    for _ in range(3):
        await result(billing.get_usage(limit=1))
    paths = [request.path for request in fake.requests]
    assert paths.count(ORIGINAL) == 1
    assert set(paths[1:]) == {HISTORY}


async def test_defaults_are_those_of_the_old_endpoint(flavour: Flavour) -> None:
    """Newest first, 200 to a page."""
    fake = mixed_fake()
    usage = await result(connect(flavour, fake).billing.get_usage())
    assert (len(usage.data), usage.pagination.limit, usage.pagination.page) == (200, 200, 1)
    assert usage.data[0].timestamp == max(value.timestamp for value in usage.data)


@pytest.mark.parametrize("currency", ["USD", "VCU"])
async def test_csv_is_the_whole_range_in_one_currency(flavour: Flavour, currency: str) -> None:
    fake = mixed_fake()
    billing = connect(flavour, fake).billing
    csv = await result(billing.get_usage(format="csv", currency=currency, **RANGE))
    header, *records = csv.decode().splitlines()
    index = header.split(",").index("currency")
    assert {record.split(",")[index] for record in records} == {currency}
    assert len(records) == len(fake.rows(currency=currency, start=RANGE["startDate"], end=RANGE["endDate"]))


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"page": 0}, "page"),
        ({"currency": "EUR"}, "currency"),
        ({"sortOrder": "down"}, "sortOrder"),
        ({"startDate": "yesterday"}, "startDate"),
        ({"startDate": "2026-10-01", "endDate": "2026-09-01"}, "startDate"),
        ({"endDate": datetime(2026, 10, 1)}, "endDate"),  # noqa: DTZ001
        ({"format": "xml"}, "format"),
        ({"format": "csv", "page": 2}, "page"),
        ({"format": venice_ai.BillingFormatEnum.CSV, "sortOrder": "desc"}, "sortOrder"),
    ],
)
async def test_invalid_arguments_are_refused_by_their_old_names(
    flavour: Flavour, arguments: dict[str, Any], parameter: str
) -> None:
    fake = mixed_fake()
    with pytest.raises(venice_ai.InvalidRequestError) as raised:
        await result(connect(flavour, fake).billing.get_usage(**arguments))
    assert getattr(raised.value, "parameter", None) == parameter
    assert fake.requests == []


@pytest.mark.parametrize("arguments", [{"page_size": 1001}, {"page_size": 0}, {"max_items": 0}, {"sortOrder": "up"}])
async def test_invalid_arguments_of_a_paginator_are_refused(flavour: Flavour, arguments: dict[str, Any]) -> None:
    with pytest.raises(venice_ai.InvalidRequestError):
        connect(flavour, mixed_fake()).billing.iter_usage(**arguments)


async def test_paginator_counts_only_what_it_yields(flavour: Flavour) -> None:
    """Also where the currency is filtered in the client, and with pages smaller than the history has."""
    fake = mixed_fake()
    walk = connect(flavour, fake).billing.iter_usage(currency="VCU", page_size=5, max_items=7, **RANGE)
    for _ in range(2):
        assert rows_of(await collect(walk)) == fake.rows(currency="VCU")[::-1][:7]


@pytest.mark.parametrize("currency", [None, "VCU"])
async def test_an_iteration_that_failed_raises_with_checkpoint(flavour: Flavour, currency: str | None) -> None:
    """A generator would end instead, as if the walk were complete: a loop that tries again would add up too little."""
    fake = mixed_fake()
    walk = connect(flavour, fake, max_retries=0).billing.iter_usage(page_size=100, currency=currency)
    following = following_of(walk)
    received = [await following()]
    fake.quirks.faults = lambda _: faults.status(503)
    with pytest.raises(errors.ServerError):
        await exhaust(following, received)
    fake.quirks.faults = ()
    for _ in range(3):
        with pytest.raises(errors.VeniceError, match="cut short") as caught:
            await following()
        assert caught.value.checkpoint == walk.walk.checkpoint
    with fake.client() as client:
        rest = list(client.iter_usage_history(checkpoint=walk.walk.checkpoint).rows())
    wanted = [row for row in rest if currency in {None, row["currency"]}]
    assert len(received) + len(wanted) == len(fake.rows(currency=currency))


async def test_an_iteration_that_ended_stays_ended(flavour: Flavour) -> None:
    fake = mixed_fake()
    for max_items in (None, 3):
        following = following_of(connect(flavour, fake).billing.iter_usage(currency="VCU", max_items=max_items))
        received: list[Any] = []
        with pytest.raises(StopAsyncIteration):
            await exhaust(following, received)
        assert len(received) == (max_items or len(fake.rows(currency="VCU")))
        with pytest.raises(StopAsyncIteration):
            await following()


@pytest.mark.parametrize("module", [venice_ai, venice_ai_v1])
def test_errors_are_those_of_this_package(module: Any) -> None:
    for name in (
        *("BillingTimeoutError", "InvalidRequestError", "AuthenticationError", "PermissionDeniedError"),
        *("RateLimitError", "APIError", "APIConnectionError", "NotFoundError", "VeniceError"),
    ):
        assert getattr(module, name) is getattr(errors, name)
        assert name in module.__all__
    for name, ours in {
        "APIResponseValidationError": errors.ResponseValidationError,
        "APITimeoutError": errors.BillingTimeoutError,
        "InternalServerError": errors.ServerError,
        "PaymentRequiredError": errors.InsufficientBalanceError,
        "ServiceUnavailableError": errors.ServerError,
        "UnprocessableEntityError": errors.InvalidRequestError,
    }.items():
        assert getattr(module, name) is ours
        assert name in module.__all__


MODELS = [model for name in models.__all__ if attrs.has(model := getattr(models, name))]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_each_field_has_the_name_of_the_contract_and_that_of_this_client(model: Any) -> None:
    fake = mixed_fake()
    with fake.client() as client:
        found = [client.get_balance(), client.get_usage_history(), client.get_usage_analytics()]
    values = [value for source in found for value in every_model(source) if type(value) is model]
    for value in values[:20]:
        wrapped = Value(value)
        for name in value.to_dict().keys() - value.additional_properties.keys():
            assert name in dir(wrapped) or name.isupper()
            assert getattr(wrapped, name) is not Ellipsis
        for field in attrs.fields(model):
            assert field.name in dir(wrapped)


def every_model(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [inner for item in value for inner in every_model(item)]
    if not attrs.has(type(value)):
        return []
    return [value, *every_model([getattr(value, field.name) for field in attrs.fields(type(value))])]


def test_values_compare_copy_and_print_like_their_models() -> None:
    fake = mixed_fake()
    with fake.client() as client:
        one, other = client.get_usage_history().data[:2]
    value: Any = venice_ai.BillingUsageEntry(one)
    copies: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item))]
    for copied in copies:
        assert copied(value) == value
    assert len({value, venice_ai.BillingUsageEntry(one), venice_ai.BillingUsageEntry(other)}) == len({one, other})
    assert repr(value).startswith("BillingUsageEntry(UsageEntry(")
    assert value.to_json() == value.model_dump_json() == one.to_json()
    assert value.model_dump() == one.to_dict()
    with pytest.raises(AttributeError, match="'BillingUsageEntry' object has no attribute 'totalUSDs'"):
        _ = value.totalUSDs
    assert value.timestamp.tzinfo is UTC


def page_of(fake: FakeVenice) -> Any:
    """Return a page in the interface of the first version."""
    client = venice_ai_v1.VeniceClient(fake.admin_key, http_client=httpx.Client(transport=fake.transport()))
    return client.billing.get_usage(limit=50)


def test_values_are_read_like_the_dicts_of_the_first_version() -> None:
    fake = mixed_fake()
    usage = page_of(fake)
    assert "data" in usage
    assert usage["pagination"]["totalPages"] == usage.pagination.totalPages
    assert [entry["pricePerUnitUsd"] for entry in usage["data"]] == [entry.pricePerUnitUsd for entry in usage.data]
    entry = next(entry for entry in usage["data"] if entry["inferenceDetails"])
    assert list(entry) == list(entry.wrapped.to_dict())
    assert dict(entry.items())["inferenceDetails"].requestId == entry["inferenceDetails"].get("requestId")
    assert entry.get("totalUSDs", 3) == 3
    with pytest.raises(KeyError, match="totalUSDs"):
        entry["totalUSDs"]
    assert usage, "a value is true, as a model of pydantic is"


def test_daily_series_are_read_like_dicts() -> None:
    """A name of a model may be any text, also one of an attribute."""
    point: Any = Value(models.DailySeriesPoint.from_dict({"date": 1795392000000, "Z-Image Turbo": 3, "wrapped": 2}))
    assert point["date"] == 1795392000000
    assert dict(point.items()) == {"Z-Image Turbo": 3, "wrapped": 2, "date": 1795392000000}
    assert len(point) == 3


def test_lists_keep_what_a_program_does_to_them() -> None:
    """A program may sort the charges of a page in place."""
    usage = page_of(mixed_fake())
    usage.data.sort(key=lambda entry: entry.amount)
    amounts = [entry.amount for entry in usage.data]
    assert amounts == sorted(amounts)
    assert usage["data"] is usage.data
    for copied in (copy.copy(usage), pickle.loads(pickle.dumps(usage))):
        assert [entry.amount for entry in copied.data] == amounts


def test_fields_that_the_contract_does_not_name_are_values_too() -> None:
    fake = FakeVenice(
        [{"timestamp": "2026-10-01T00:00:00Z", "region": "eu", "_odd": 1}], now=NOW, extra_fields=["region", "_odd"]
    )
    (entry,) = page_of(fake).data
    assert entry.region == entry["region"] == "eu"
    assert entry["_odd"] == 1
    assert {"region", "_odd"} < entry.keys()


def test_model_of_a_charge_is_its_id() -> None:
    """As in this client: a program may group by it."""
    charges = page_of(mixed_fake()).data
    assert [entry.model for entry in charges] == [entry.wrapped.model for entry in charges]
    assert all(isinstance(entry.model, str) for entry in charges)
    assert {"model", "service", "pricePerUnitUsd"} <= set(dir(charges[0]))
    assert "fromDict" not in dir(charges[0])


async def test_history_is_read_page_by_page(flavour: Flavour) -> None:
    """By the methods that later versions of the SDK have."""
    fake = mixed_fake()
    billing = connect(flavour, fake).billing
    window = {"startTimestamp": RANGE["startDate"], "endTimestamp": RANGE["endDate"]}
    page = await result(billing.get_usage_history(**window, currency="USD", pageSize=50))
    received = list(page.data)
    while page.nextCursor is not None:
        page = await result(billing.get_usage_history(cursor=page.nextCursor))
        received += page.data
    truth = fake.rows(currency="USD", start=RANGE["startDate"], end=RANGE["endDate"])
    assert rows_of(received) == truth
    csv = await result(billing.get_usage_history(format=venice_ai.BillingFormatEnum.CSV, **window))
    assert len(csv.splitlines()) == 1 + len(fake.rows(start=RANGE["startDate"], end=RANGE["endDate"]))
    assert rows_of(await collect(billing.iter_usage_history(**window, currency="USD"))) == truth
    assert (
        rows_of(await collect(billing.iter_usage_history(**window, currency="VCU", max_items=9)))
        == (fake.rows(currency="VCU", start=RANGE["startDate"])[:9])
    )


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"pageSize": 9}, "pageSize"),
        ({"startTimestamp": "yesterday"}, "startTimestamp"),
        ({"startTimestamp": "2026-10-01", "endTimestamp": "2026-09-01"}, "startTimestamp"),
        ({"cursor": "abc", "pageSize": 10}, "pageSize"),
        ({"cursor": "abc", "endTimestamp": "2026-09-01"}, "endTimestamp"),
        ({"cursor": "a b"}, "cursor"),
        ({"currency": "EUR"}, "currency"),
        ({"format": "xml"}, "format"),
    ],
)
async def test_invalid_arguments_of_the_history_are_refused_by_their_old_names(
    flavour: Flavour, arguments: dict[str, Any], parameter: str
) -> None:
    fake = mixed_fake()
    with pytest.raises(venice_ai.InvalidRequestError) as raised:
        await result(connect(flavour, fake).billing.get_usage_history(**arguments))
    assert getattr(raised.value, "parameter", None) == parameter
    assert fake.requests == []


async def test_csv_without_a_folder_for_temporary_files(flavour: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    with pytest.raises(errors.ExportError, match="TMPDIR"):
        await result(connect(flavour, mixed_fake()).billing.get_usage(format="csv"))


def test_first_version_has_an_asynchronous_client_too() -> None:
    assert venice_ai_v1.AsyncVeniceClient is venice_ai.VeniceClient


@given(
    st.lists(st.integers(0, 30), max_size=8),
    st.integers(1, 50),
    st.integers(1, 5),
    st.sampled_from([None, "VCU", "USD"]),
)
def test_page_of_a_walk_is_a_slice_of_it(sizes: list[int], limit: int, page: int, currency: str | None) -> None:
    """However the walk is cut into batches."""
    entry = attrs.evolve(_entry(), notes="0")
    entries = [
        attrs.evolve(entry, notes=str(number), currency=models.Currency("VCU" if number % 3 else "USD"))
        for number in range(sum(sizes))
    ]
    wanted = _queries.range_of(("startDate", None), ("endDate", None), currency, ("sortOrder", "desc"))
    answer = _queries.PageOfWalk(_queries.page_query(wanted, limit, page))
    rest = iter(entries)
    for size in sizes:
        batch = [next(rest) for _ in range(size)]
        answer.take(entry for entry in batch if currency in {None, "VCU"} or entry.currency == currency)
    truth = [entry for entry in entries if currency in {None, entry.currency}]
    found: Any = answer.response()
    assert [value.wrapped for value in found.data] == truth[(page - 1) * limit : page * limit]
    assert found.pagination.total == len(truth)


def _entry() -> models.UsageEntry:
    with FakeVenice(1, now=NOW).client() as client:
        return client.get_usage_history().data[0]
