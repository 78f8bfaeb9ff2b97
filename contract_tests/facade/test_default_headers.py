"""Headers of the user's own: sent with each request, checked at once, never in the way of those the client sets."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from contract_tests.support.flavours import Face, Flavour, receive
from venice_billing import InvalidParameterError, __version__

if TYPE_CHECKING:
    from venice_billing.testing import FakeVenice

pytestmark = pytest.mark.anyio
KEY = "SeCrEtAdm1nKey_0123456789abcdef"
OURS = f"venice-billing/{__version__} python-httpx/{httpx.__version__}"


async def test_every_request_of_calls_and_walks_has_the_headers(fake: FakeVenice, flavour: Flavour) -> None:
    face = flavour.connect(fake, default_headers={"X-Team": "billing", "CF-Access-Client-Id": "gate.access"})
    await face.call("get_balance")
    await receive(face.client.iter_usage_history(page_size=200, concurrency=3))
    assert len(fake.requests) > 3
    for request in fake.requests:
        assert (request.headers["x-team"], request.headers["cf-access-client-id"]) == ("billing", "gate.access")
        assert request.headers["accept"] == "application/json"


async def test_a_user_agent_is_put_before_the_one_of_the_client(fake: FakeVenice, flavour: Flavour) -> None:
    face = flavour.connect(fake, default_headers={"user-AGENT": "reports/2.1 (nightly)"})
    await face.call("get_balance")
    await Face(face.client.with_options(default_headers={"User-Agent": "audit/1"})).call("get_balance")
    await flavour.connect(fake).call("get_balance")
    agents = [request.headers["user-agent"] for request in fake.requests]
    assert agents == [f"reports/2.1 (nightly) {OURS}", f"audit/1 {OURS}", OURS]


async def test_with_options_adds_headers_and_replaces_those_of_the_same_name(
    fake: FakeVenice, flavour: Flavour
) -> None:
    face = flavour.connect(fake, default_headers={"X-Team": "billing", "X-Run": "1"})
    other = Face(face.client.with_options(default_headers={"x-run": "2", "X-More": ""}))
    await other.call("get_balance")
    await Face(other.client.with_options(timeout=3)).call("get_balance")
    await face.call("get_balance")
    sent = [[request.headers.get(name) for name in ("x-team", "x-run", "x-more")] for request in fake.requests]
    assert sent == [["billing", "2", ""], ["billing", "2", ""], ["billing", "1", None]]


async def test_they_replace_headers_of_a_given_http_client(fake: FakeVenice, flavour: Flavour) -> None:
    http = flavour.http(transport=fake.transport(), headers={"X-Team": "theirs", "X-Kept": "yes"})
    face = flavour.open(fake.admin_key, http_client=http, default_headers={"x-team": "ours"})
    await face.call("get_balance")
    headers = fake.requests[0].headers
    assert (headers["x-team"], headers["x-kept"]) == ("ours", "yes")
    assert http.headers["x-team"] == "theirs"


async def test_a_changed_mapping_changes_no_client(fake: FakeVenice, flavour: Flavour) -> None:
    headers = httpx.Headers({"X-Team": "billing"})
    face = flavour.connect(fake, default_headers=headers)
    headers["x-team"] = "other"
    headers["authorization"] = "Bearer other"
    await face.call("get_balance")
    assert (fake.requests[0].headers["x-team"], fake.requests[0].key) == ("billing", "admin")


class Text(str, Enum):  # noqa: UP042 - a StrEnum is already formatted as its value
    NAME = "X-Team"
    VALUE = "billing"


async def test_members_of_text_enums_are_sent_as_their_values(fake: FakeVenice, flavour: Flavour) -> None:
    await flavour.connect(fake, default_headers={Text.NAME: Text.VALUE}).call("get_balance")
    assert fake.requests[0].headers["x-team"] == "billing"


WRONG: dict[str, tuple[Any, str]] = {
    "no mapping": (["X-Team: billing"], "default_headers must be a mapping of names to texts; got .*list"),
    "no text as a name": ({1: "billing"}, "a name in default_headers must be a header name.*; got 1"),
    "space in a name": ({"X Team": "billing"}, "header name.*X Team"),
    "line break in a name": ({"X-Team\r\nX-Other": "billing"}, "header name"),
    "empty name": ({"": "billing"}, "header name"),
    "name with an umlaut": ({"X-T\u00e4m": "billing"}, "header name"),
    "two spellings of a name": ({"X-Team": "a", "x-team": "b"}, "names each header once.*x-team"),
    "no text as a value": ({"X-Team": 7}, re.escape("default_headers['x-team'] must be printable ASCII")),
    "None as a value": ({"X-Team": None}, re.escape("default_headers['x-team'] must be printable ASCII")),
    "line break in a value": ({"X-Team": "a\r\nAuthorization: b"}, "printable ASCII"),
    "NUL in a value": ({"X-Team": "a\0b"}, "printable ASCII"),
    "space around a value": ({"X-Team": " a "}, "printable ASCII"),
    "value with an umlaut": ({"X-Team": "\u00e4"}, "printable ASCII"),
    "user agent with an umlaut": ({"User-Agent": "b\u00fccher/1"}, "user-agent.*printable ASCII"),
    "empty user agent": ({"User-Agent": ""}, "user-agent.*printable ASCII"),
    **{
        name: ({name: "anything"}, f"default_headers must be without {name.lower()}, .*; got '{name}'")
        for name in (
            "Authorization",
            "Host",
            "Accept",
            "ACCEPT-ENCODING",
            "Content-Length",
            "Content-Type",
            "Transfer-Encoding",
            "Connection",
            "Proxy-Authorization",
            "Expect",
        )
    },
    **{name: ({name: "anything"}, f"without {name.lower()}: a part") for name in ("Range", "If-None-Match")},
    "the key in a value": ({"X-Key": f"k={KEY}"}, re.escape("default_headers['x-key'] must be without the API key")),
    "the key as a name": ({KEY: "a"}, "without the API key in it; got a value that is not shown"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_headers_that_cannot_be_sent_are_refused_by_name(flavour: Flavour, wrong: str) -> None:
    headers, message = WRONG[wrong]
    with pytest.raises(InvalidParameterError, match=message) as caught:
        flavour.open(KEY, default_headers=headers)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("wrong", WRONG)
def test_with_options_refuses_them_too(flavour: Flavour, wrong: str) -> None:
    client = flavour.open(KEY).client
    with pytest.raises(InvalidParameterError, match="default_headers") as caught:
        client.with_options(default_headers=WRONG[wrong][0])
    assert KEY not in str(caught.value)


def test_no_error_and_no_repr_shows_a_value(flavour: Flavour) -> None:
    """A value may be a password of a gateway."""
    with pytest.raises(InvalidParameterError) as caught:
        flavour.open(KEY, default_headers={"X-Password": "s3sam\u00e9"})
    assert "s3sam" not in repr(caught.value)
    client = flavour.open(KEY, default_headers={"X-Password": "s3same"}).client
    assert "s3same" not in repr([client, client._configuration, client._policy])
