"""Construction of clients: no error about an argument shows the key, and a subclass keeps its attributes."""

from __future__ import annotations

import copy
import os
import pickle
import traceback
from enum import Enum
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from contract_tests.support.flavours import NOW, Flavour
from venice_billing import AsyncVeniceBilling, AuthenticationError, InvalidParameterError, VeniceBilling, VeniceError
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

pytestmark = pytest.mark.anyio

KEY = "SeCrEtAdm1nKey_0123456789abcdef"
OTHER = "0ther-s3cret"
WRONG: list[dict[str, Any]] = [
    {"timeout": -1},
    {"timeout": KEY},
    {"max_retries": 11},
    {"max_wait": f"{KEY}"},
    {"base_url": "http://example.com"},
    {"base_url": f"https://example.com/{KEY}"},
    {"base_url": f"https://example.com/?key={KEY}"},
    {"base_url": "https://user:pass-word@example.com"},
    {"base_url": "https://" + "a" * 64 + ".com"},
    {"base_url": [KEY]},
    {"timeout": [KEY]},
    {"http_client": "no client"},
    {"http_client": KEY},
    {"api_key": "https://api.venice.ai/api/v1", "base_url": KEY},
    {"base_url": KEY[:-1] + "X"},
    {"api_key": KEY + "\n"},
    {"api_key": f" {KEY}"},
    {"api_key": f"{KEY}\u200b"},
]


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, dict[str, Any]]]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_frame.f_locals
        trace = trace.tb_next


def _shown(error: BaseException) -> str:
    """Return everything that a tool can read from an error: its chain, and the local variables of our frames."""
    return "\n".join(["".join(traceback.format_exception(error)), *_told(error)])


def _told(error: BaseException) -> list[str]:
    texts = [repr(error), str(error), repr(vars(error))]
    seen: list[BaseException | None] = [error]
    while (last := seen[-1]) is not None:
        for filename, variables in _frames(last.__traceback__):
            if f"{os.sep}venice_billing{os.sep}" in filename:
                texts += [f"{name}={value!r}" for name, value in variables.items()]
        seen.append(last.__cause__ or last.__context__)
    return texts


@pytest.mark.parametrize("wrong", WRONG, ids=[f"{next(iter(case))} {index}" for index, case in enumerate(WRONG)])
@pytest.mark.parametrize("source", ["argument", "environment"])
def test_constructor_error_hides_key_and_environment(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], source: str
) -> None:
    monkeypatch.setenv("OTHER_SECRET", "an0ther-s3cret")
    options = {"api_key": KEY, **wrong}
    if source == "environment":
        monkeypatch.setenv("VENICE_API_KEY", options.pop("api_key"))
        options["api_key"] = None
    with pytest.raises(VeniceError) as caught:
        flavour.open(**options)
    shown = _shown(caught.value)
    for secret in (KEY, "an0ther-s3cret", "pass-word"):
        assert secret not in shown
    assert KEY not in str(pickle.loads(pickle.dumps(caught.value)))


def test_swapped_key_and_base_url_are_told(flavour: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidParameterError, match=r"^api_key must be .* swapped"):
        flavour.open("https://api.venice.ai/api/v1", base_url=KEY)
    monkeypatch.setenv("VENICE_API_KEY", "https://api.venice.ai/api/v1")
    monkeypatch.setenv("VENICE_BASE_URL", KEY)
    with pytest.raises(InvalidParameterError, match=r"^the environment variable VENICE_API_KEY .* swapped") as caught:
        flavour.open(None)  # type: ignore[arg-type] # as a constructor without arguments
    assert KEY not in _shown(caught.value)


def test_text_without_a_scheme_is_no_base_url_and_not_shown(flavour: Flavour) -> None:
    with pytest.raises(InvalidParameterError, match="scheme https:// is missing") as caught:
        flavour.open(KEY, base_url=OTHER)
    assert OTHER not in _shown(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("VENICE_BASE_URL", "api.venice.ai", "the scheme https:// is missing"),
        ("VENICE_BASE_URL", '"https://api.venice.ai/api/v1"', "an https URL"),
        ("VENICE_BASE_URL", "https://[", "an https URL"),
        ("VENICE_BASE_URL", "http://example.com", "loopback"),
        ("VENICE_BASE_URL", f"https://example.com/{KEY}", "without the API key"),
        ("VENICE_API_KEY", f"{KEY}\n", "printable ASCII"),
        ("VENICE_API_KEY", " ", "not empty"),
    ],
)
def test_error_about_an_environment_variable_names_it(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv("VENICE_API_KEY", KEY)
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidParameterError, match=said) as caught:
        flavour.open(None)  # type: ignore[arg-type] # as a constructor without arguments
    assert caught.value.parameter == f"the environment variable {variable}"
    assert KEY not in _shown(caught.value)


class KeyPath:
    """A path whose repr does not show it."""

    def __fspath__(self) -> str:
        return f"/nowhere/{KEY}"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("with_options", {"timeout": KEY}),
        ("with_options", {"max_retries": [KEY]}),
        ("get_usage", {"currency": KEY}),
        ("get_usage", {"start_date": KEY}),
        ("get_usage_history", {"cursor": KEY}),
        ("get_usage_history", {"cursor": f"x{KEY}"}),
        ("get_usage_history", {"format": {"key": KEY}}),
        ("iter_usage", {"checkpoint": KEY}),
        ("iter_usage", {"currency": KEY.encode()}),
        ("iter_usage_history", {"sort_order": KEY}),
        ("iter_usage_history", {"page_size": (KEY,)}),
        ("get_usage_analytics", {"lookback": KEY}),
        ("export_usage_csv", {"path": f"/nowhere/{KEY}"}),
        ("export_usage_csv", {"path": KeyPath()}),
        ("export_usage_csv", {"path": "x.csv", "resume": KEY}),
    ],
)
async def test_key_as_an_argument_of_a_method_is_refused_unsent_and_unshown(
    flavour: Flavour, method: str, arguments: dict[str, Any]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError("a request was sent")

    face = flavour.open(KEY, http_client=flavour.http(transport=httpx.MockTransport(answer)))
    with pytest.raises(InvalidParameterError) as caught:
        await face.call(method, **arguments)
    error = caught.value
    assert error.parameter == list(arguments)[-1]
    assert KEY not in "\n".join(_told(error))
    assert KEY.encode() not in pickle.dumps(error)


async def test_short_key_in_an_argument_is_not_shown_either(flavour: Flavour) -> None:
    face = flavour.open("qk-7")
    with pytest.raises(InvalidParameterError, match="not shown"):
        await face.call("get_usage_history", currency="to qk-7")


def test_copied_client_shares_the_connections_and_closes_nothing() -> None:
    client = Accounted("research", FakeVenice(20, now=NOW))
    twin = copy.copy(client)
    assert type(twin) is Accounted
    assert twin.account == "research"
    twin.close()
    assert client.get_balance() == twin.with_options(timeout=3).get_balance()


def test_client_whose_constructor_failed_has_a_repr(flavour: Flavour) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        flavour.open(KEY, timeout=-1)
    selves = [variables.get("self") for _, variables in _frames(caught.value.__traceback__)]
    client = next(one for one in selves if isinstance(one, VeniceBilling | AsyncVeniceBilling))
    assert repr(client).endswith("of no address>")
    assert "timeout" in "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())


def test_missing_api_key_raises_authentication_error(flavour: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match="VENICE_API_KEY"):
        flavour.open(None)  # type: ignore[arg-type] # as a constructor without arguments


class Text(str, Enum):  # noqa: UP042 - a StrEnum is already formatted as its value
    KEY = KEY
    CURSOR = "cursor-1"
    URL = "https://example.com/api/v1"


async def test_text_enum_members_are_sent_as_their_values(flavour: Flavour) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"data": [], "nextCursor": None})

    http_client = flavour.http(transport=httpx.MockTransport(answer))
    face = flavour.open(Text.KEY, base_url=Text.URL, http_client=http_client)
    await face.call("get_usage_history", cursor=Text.CURSOR)
    (request,) = sent
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert str(request.url) == "https://example.com/api/v1/billing/usage-history?cursor=cursor-1"


class Accounted(VeniceBilling):
    """A subclass in an application, with an attribute of its own."""

    def __init__(self, account: str, fake: FakeVenice) -> None:
        super().__init__(fake.admin_key, http_client=httpx.Client(transport=fake.transport()))
        self.account = account


def test_with_options_keeps_the_attributes_of_a_subclass() -> None:
    client = Accounted("research", FakeVenice(20, now=NOW))
    changed = client.with_options(timeout=3)
    assert type(changed) is Accounted
    assert changed.account == "research"
    assert (changed._policy.timeout, client._policy.timeout) == (3, 10)
    assert changed.get_balance() == client.get_balance()
    changed.close()
    assert client.get_balance().can_consume


def test_client_cannot_be_pickled_or_deep_copied(flavour: Flavour) -> None:
    client = flavour.open(KEY).client
    for way in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="with_options"):
            way(client)
