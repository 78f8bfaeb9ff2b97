"""The nine traps of the published document and of the stock generator: ours avoids each, stock falls into it.

A check takes a layer, ours or the stock output for the uncorrected document in `stock/`; it passes on the
first and fails on the second, in the manner the table names.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import jsonschema_rs
import pytest
from attrs import frozen

import venice_billing_api.models
from contract.schemas import Reader
from contract.structure import objects
from contract_tests.support.paths import CONTRACT, ROOT
from contract_tests.support.regeneration import UPSTREAM
from contract_tests.support.scripted_server import GOOD, ScriptedServer, say
from pipeline.documents import load_document
from venice_billing_api import AuthenticatedClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract.document import Document

_ENTRY = (
    b'{"timestamp":"2026-06-15T19:05:10.504Z","sku":"s","pricePerUnitUsd":2.80,"units":0.000227,'
    b'"amount":-0.10,"currency":"USD","notes":"n","inferenceDetails":null}'
)
_DETAILS = b'{"requestId":"r","promptTokens":1,"completionTokens":null,"inferenceExecutionTime":7}'
_BALANCE = b'{"canConsume":true,"consumptionCurrency":"USD","balances":{"diem":null,"usd":1},"diemEpochAllocation":0}'


class Layer(Protocol):
    """What a check needs to know of a generated client."""

    document: Document
    models: Any

    def build(self, operation: str, **arguments: Any) -> dict[str, Any]: ...
    def parse(self, operation: str, response: httpx.Response) -> Any: ...
    def call(self, url: str, seconds: float) -> Any: ...
    async def call_async(self, url: str, seconds: float) -> Any: ...
    def generate(self, target: Path, environment: dict[str, str]) -> None: ...


class _Ours:
    def __init__(self) -> None:
        self.document = load_document(CONTRACT)
        self.models: Any = venice_billing_api.models

    def build(self, operation: str, **arguments: Any) -> dict[str, Any]:
        built: dict[str, Any] = _module("venice_billing_api", operation).build_request(**arguments)
        return built

    def parse(self, operation: str, response: httpx.Response) -> Any:
        return _module("venice_billing_api", operation).parse_response(
            status_code=response.status_code, headers=response.headers, content=response.content
        )

    def call(self, url: str, seconds: float) -> Any:
        with AuthenticatedClient(url, token="t", timeout=seconds) as client:
            return _module("venice_billing_api", "get_billing_balance").sync(client=client)

    async def call_async(self, url: str, seconds: float) -> Any:
        async with AuthenticatedClient(url, token="t", timeout=seconds) as client:
            return await _module("venice_billing_api", "get_billing_balance").asyncio(client=client)

    def generate(self, target: Path, environment: dict[str, str]) -> None:
        command = [sys.executable, str(ROOT / "scripts" / "regenerate.py"), "--output", str(target)]
        subprocess.run(command, check=True, env=environment)


class _Stock:
    def __init__(self, folder: Path) -> None:
        self.document = load_document(UPSTREAM)
        _generate_stock(folder / "stock_client", dict(os.environ), "post_hooks: []\n")
        sys.path.insert(0, str(folder))
        self.models: Any = importlib.import_module("stock_client.models")

    def build(self, operation: str, **arguments: Any) -> dict[str, Any]:
        built: dict[str, Any] = _module("stock_client", operation)._get_kwargs(**arguments)
        return built

    def parse(self, operation: str, response: httpx.Response) -> Any:
        client = importlib.import_module("stock_client").Client("https://venice.test")
        return _module("stock_client", operation)._build_response(client=client, response=response).parsed

    def call(self, url: str, seconds: float) -> Any:
        with importlib.import_module("stock_client").Client(url, timeout=httpx.Timeout(seconds)) as client:
            return _module("stock_client", "get_billing_balance").sync(client=client)

    async def call_async(self, url: str, seconds: float) -> Any:
        async with importlib.import_module("stock_client").Client(url, timeout=httpx.Timeout(seconds)) as client:
            return await _module("stock_client", "get_billing_balance").asyncio(client=client)

    def generate(self, target: Path, environment: dict[str, str]) -> None:
        _generate_stock(target, environment, "")


def trap_1_defaults_are_sent(layer: Layer) -> None:
    assert layer.build("get_billing_usage_history", cursor="abc")["params"] == {"cursor": "abc"}
    dates = {"start_date": "2026-01-01", "end_date": "2026-01-02"}
    assert layer.build("get_billing_usage_analytics", **dates)["params"].keys() == {"startDate", "endDate"}


def trap_2_times_are_sent_without_z(layer: Layer) -> None:
    request = layer.build("get_billing_usage_history", start_timestamp=datetime(2026, 1, 2, tzinfo=UTC))
    assert request["params"]["startTimestamp"] == "2026-01-02T00:00:00.000Z"


def trap_3_csv_is_read_as_json(layer: Layer) -> None:
    answer = httpx.Response(200, headers={"content-type": "text/csv"}, content=b"timestamp,sku\r\n")
    assert layer.parse("get_billing_usage_history", answer) == b"timestamp,sku\r\n"


def trap_3_an_unusual_status_raises(layer: Layer) -> None:
    assert layer.parse("get_billing_usage_history", httpx.Response(522, text="<html>")) is None


def trap_3_an_html_error_raises(layer: Layer) -> None:
    assert layer.parse("get_billing_usage_history", httpx.Response(502, html="<html>")) is None


def trap_4_an_unknown_currency_loses_the_page(layer: Layer) -> None:
    entries = [_ENTRY, _ENTRY.replace(b'"USD"', b'"VCU"'), _ENTRY.replace(b'"USD"', b'"SHELLS"')]
    assert [entry.currency for entry in _page(layer, *entries).data] == ["USD", "VCU", "SHELLS"]


def trap_4_a_half_filled_object_is_a_raw_dict(layer: Layer) -> None:
    whole = _page(layer, _ENTRY.replace(b"null}", _DETAILS + b"}"))
    assert whole.data[0].inference_details.prompt_tokens == 1
    half = _ENTRY.replace(b"null}", _DETAILS.replace(b'"promptTokens":1,', b"") + b"}")
    with pytest.raises(ValueError, match="promptTokens"):
        _page(layer, half)


def trap_5_unknown_fields_vanish(layer: Layer) -> None:
    page = _page(layer, _ENTRY.replace(b'{"timestamp"', b'{"novelty":[1],"timestamp"'))
    assert page.to_dict()["data"][0]["novelty"] == [1]


def trap_5_money_is_a_float(layer: Layer) -> None:
    amount = _page(layer, _ENTRY.replace(b"-0.10", b"-0.1234567890123456789")).data[0].amount
    assert isinstance(amount, Decimal)
    assert str(amount) == "-0.1234567890123456789"


def trap_6_examples_break_their_schemas(layer: Layer) -> None:
    found = [(kind, one) for kind, one in objects(layer.document) if "example" in one]
    assert found
    for kind, one in found:
        schema = {key: value for key, value in one.items() if key != "example"}
        schema = schema if kind == "schema" else schema["schema"]
        Reader(layer.document).validator(schema).validate(one["example"])


def trap_7_inline_schemas_have_made_up_names(layer: Layer) -> None:
    assert [name for name in layer.models.__all__ if re.search(r"\d|Item|Type|Response", name)] == []


def trap_8_any_ruff_on_the_path_is_run(layer: Layer, tmp_path: Path) -> None:
    marker, fake = tmp_path / "was-run", tmp_path / "bin" / "ruff"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\ntouch {marker}\n")
    fake.chmod(0o755)
    layer.generate(tmp_path / "made", {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"})
    assert not marker.exists()


def trap_9_a_trickle_outlasts_the_timeout(layer: Layer) -> None:
    _assert_cut(lambda url: layer.call(url, seconds=0.3))


def trap_9_a_trickle_outlasts_the_timeout_async(layer: Layer) -> None:
    _assert_cut(lambda url: asyncio.run(layer.call_async(url, seconds=0.3)))


@frozen
class Trap:
    """A check, and how the stock output fails it."""

    check: Callable[..., None]
    stock_fails_with: type[BaseException] | tuple[type[BaseException], ...]


_NOT_RAISED = pytest.fail.Exception
_TRAPS = [
    Trap(trap_1_defaults_are_sent, AssertionError),
    Trap(trap_2_times_are_sent_without_z, AssertionError),
    Trap(trap_3_csv_is_read_as_json, ValueError),
    Trap(trap_3_an_unusual_status_raises, ValueError),
    Trap(trap_3_an_html_error_raises, ValueError),
    Trap(trap_4_an_unknown_currency_loses_the_page, ValueError),
    Trap(trap_4_a_half_filled_object_is_a_raw_dict, _NOT_RAISED),
    Trap(trap_5_unknown_fields_vanish, KeyError),
    Trap(trap_5_money_is_a_float, AssertionError),
    Trap(trap_6_examples_break_their_schemas, jsonschema_rs.ValidationError),
    Trap(trap_7_inline_schemas_have_made_up_names, AssertionError),
    Trap(trap_8_any_ruff_on_the_path_is_run, AssertionError),
    Trap(trap_9_a_trickle_outlasts_the_timeout, _NOT_RAISED),
    Trap(trap_9_a_trickle_outlasts_the_timeout_async, _NOT_RAISED),
]
_each_trap = pytest.mark.parametrize("trap", _TRAPS, ids=lambda trap: trap.check.__name__)


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> _Stock:
    return _Stock(tmp_path_factory.mktemp("stock"))


@_each_trap
def test_our_layer_avoids_the_trap(trap: Trap, tmp_path: Path) -> None:
    _run(trap, _Ours(), tmp_path)


@_each_trap
def test_the_stock_output_falls_into_the_trap(trap: Trap, stock: _Stock, tmp_path: Path) -> None:
    with pytest.raises(trap.stock_fails_with):
        _run(trap, stock, tmp_path)


def test_every_trap_has_a_check() -> None:
    numbers = {int(trap.check.__name__.split("_")[1]) for trap in _TRAPS}
    assert numbers == set(range(1, 10))


def _run(trap: Trap, layer: Layer, tmp_path: Path) -> None:
    wants_folder = "tmp_path" in trap.check.__code__.co_varnames
    trap.check(layer, tmp_path) if wants_folder else trap.check(layer)


def _page(layer: Layer, *entries: bytes) -> Any:
    body = b'{"data":[' + b",".join(entries) + b'],"nextCursor":null}'
    return layer.parse(
        "get_billing_usage_history", httpx.Response(200, headers={"content-type": "application/json"}, content=body)
    )


def _assert_cut(call: Callable[[str], Any]) -> None:
    """Assert that a call with a timeout of 0.3 s is cut although bytes keep coming for longer than a second."""
    answer = GOOD % (len(_BALANCE), _BALANCE)
    with ScriptedServer(say(answer, slowly_from=len(answer) - 25)) as server:
        started = time.monotonic()
        with pytest.raises(httpx.TimeoutException):
            call(server.url)
        assert time.monotonic() - started < 30


def _module(package: str, operation: str) -> Any:
    return importlib.import_module(f"{package}.api.billing.{operation}")


def _generate_stock(target: Path, environment: dict[str, str], config: str) -> None:
    config_file = target.parent / "config.yml"
    config_file.write_text(f"package_name_override: {target.name}\n{config}")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    command += ["--path", str(UPSTREAM), "--output-path", str(target)]
    command += ["--config", str(config_file)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
