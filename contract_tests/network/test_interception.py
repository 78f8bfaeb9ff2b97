"""What tests and monitoring do to httpx takes effect on the clients: respx, pytest-httpx, OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import respx
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from contract_tests.support.scripted_server import BALANCE
from venice_billing import BillingTimeoutError, RateLimitError
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from pytest_httpx import HTTPXMock

    from contract_tests.support.flavours import Flavour

pytestmark = pytest.mark.anyio
KEY = "SeCrEtAdm1nKey_0123456789abcdef"
URL = "https://api.venice.ai/api/v1/billing/balance"
JSON = {"content-type": "application/json"}


async def test_respx_intercepts_the_default_client(flavour: Flavour) -> None:
    face = flavour.open(KEY)
    with respx.mock:
        route = respx.get(URL).respond(content=BALANCE, headers=JSON)
        assert (await face.call("get_balance")).can_consume
        assert route.calls.last.request.headers["authorization"] == f"Bearer {KEY}"
        respx.get(URL).mock(side_effect=httpx.ReadTimeout)
        with pytest.raises(BillingTimeoutError):
            await face.call("get_balance")
    await face.close()


async def test_pytest_httpx_intercepts_the_default_client(flavour: Flavour, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, content=BALANCE, headers=JSON, match_headers={"Authorization": f"Bearer {KEY}"})
    httpx_mock.add_response(url=URL, status_code=429, headers={"retry-after": "3600"}, json={"error": "slow down"})
    face = flavour.open(KEY)
    assert (await face.call("get_balance")).can_consume
    with pytest.raises(RateLimitError, match="slow down"):
        await face.call("get_balance")
    await face.close()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Instrument httpx, and return what collects the spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    HTTPXClientInstrumentor().instrument(tracer_provider=provider)
    yield exporter
    HTTPXClientInstrumentor().uninstrument()


async def test_opentelemetry_sees_each_request_of_the_default_client(
    flavour: Flavour, spans: InMemorySpanExporter
) -> None:
    """A retry is a span of its own; no span has the key; the server is sent the trace."""
    fake = FakeVenice(20, admin_key=KEY)
    fake.quirks.faults = [faults.status(503)]
    with fake.serve() as server:
        face = flavour.open(KEY, base_url=server.base_url, max_wait=0)
        await face.call("get_usage_history", page_size=20)
        await face.close()
    finished = spans.get_finished_spans()
    assert [told(span) for span in finished] == [("GET", 503), ("GET", 200)]
    for span, request in zip(finished, fake.requests, strict=True):
        assert span.kind is SpanKind.CLIENT
        assert str((span.attributes or {})["http.url"]).endswith("/billing/usage-history?pageSize=20")
        assert request.headers["traceparent"].split("-")[1:3] == [
            f"{span.context.trace_id:032x}",
            f"{span.context.span_id:016x}",
        ]
        assert KEY not in span.to_json()


async def test_the_deadline_cuts_an_instrumented_request(flavour: Flavour, spans: InMemorySpanExporter) -> None:
    fake = FakeVenice(20)
    fake.quirks.faults = [faults.trickle_headers(20)]
    with fake.serve() as server:
        face = flavour.open(fake.admin_key, base_url=server.base_url, timeout=0.4)
        with pytest.raises(BillingTimeoutError):
            await face.call("get_balance")
        await face.close()
    (span,) = spans.get_finished_spans()
    assert "http.status_code" not in (span.attributes or {})


def told(span: ReadableSpan) -> tuple[object, object]:
    attributes = span.attributes or {}
    return attributes["http.method"], attributes["http.status_code"]
