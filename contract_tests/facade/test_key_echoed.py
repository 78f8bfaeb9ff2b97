"""Where a response repeats the key, it is masked in values, errors, files and logs."""

from __future__ import annotations

import html
import logging
import pickle
import re
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest

from contract_tests.support.flavours import Flavour, receive
from venice_billing import InvalidRequestError, ResponseValidationError, UsageHistoryPage, VeniceError, _drift
from venice_billing._runtime.json_text import decode_json
from venice_billing._secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

KEY = "vn-Sesame0penUp4711"
"""Never a local variable of a test, because `shown` shows local variables."""


def shown(error: BaseException) -> list[object]:
    """Return the texts, attributes and pickle of an error, and its traceback with local variables."""
    trace = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return [str(error), repr(error), vars(error), pickle.dumps(error), trace]


def spelled(spelling: str) -> str:
    """Return the key in one encoding."""
    return {
        "plain": KEY,
        "json": "".join(f"\\u{ord(letter):04x}" for letter in KEY),
        "percent": "".join(f"%{ord(letter):02X}" for letter in KEY),
        "html": "".join(f"&#{ord(letter)};" for letter in KEY),
    }[spelling]


ROW = (
    '{"timestamp": "2026-09-01T00:00:00.000Z", "sku": "x", "pricePerUnitUsd": 1, "units": 1, "amount": -1,'
    ' "currency": "USD", "notes": "", "inferenceDetails": null}'
)

PAGE = f'{{"data": [{ROW}], "nextCursor": null}}'

JSON, CSV, HTML = "application/json", "text/csv", "text/html"
ECHOES: dict[str, tuple[int, str, str]] = {
    "field name": (200, JSON, PAGE.replace('"sku"', '"KEY": 1, "sku"')),
    "field of the page": (200, JSON, PAGE.replace('"nextCursor"', '"KEY": {}, "nextCursor"')),
    "value": (200, JSON, PAGE.replace('"notes": ""', '"notes": "for KEY"')),
    "value of an unknown field": (200, JSON, PAGE.replace('"sku"', '"who": {"KEY": ["KEY"]}, "sku"')),
    "unknown currency": (200, JSON, PAGE.replace("USD", "KEY")),
    "cursor": (200, JSON, PAGE.replace("null}", '"KEY"}')),
    "mistyped number": (200, JSON, PAGE.replace("-1", '"KEY"')),
    "mistyped time": (200, JSON, PAGE.replace("2026-09-01T00:00:00.000Z", "KEY")),
    "mistyped list": (200, JSON, '{"data": "KEY", "nextCursor": null}'),
    "no json": (200, JSON, "KEY"),
    "media type": (200, "text/KEY", "KEY"),
    "csv header": (200, CSV, "timestamp,KEY\n2026-09-01T00:00:00.000Z,1\n"),
    "csv time": (200, CSV, "timestamp,a\nKEY,1\n"),
    "csv record": (200, CSV, "timestamp,a\n2026-09-01T00:00:00.000Z,KEY,2\n"),
    "message": (400, JSON, '{"error": "no such key: KEY"}'),
    "details": (400, JSON, '{"error": "no", "details": {"KEY": {"_errors": ["KEY"]}}, "issues": [{"path": ["KEY"]}]}'),
    "envelope": (401, JSON, '{"error": {"message": "KEY", "param": "KEY"}}'),
    "title": (502, HTML, "<html><title>for KEY</title></html>"),
    "gateway timeout": (504, JSON, '{"error": "KEY"}'),
    "odd status": (522, "text/plain", "KEY"),
    "redirect": (302, HTML, ""),
    "large failure": (500, "text/plain", "x" * (64 * 1024 - 10) + "KEY"),
}


@pytest.mark.parametrize("spelling", ["plain", "json", "percent", "html"])
@pytest.mark.parametrize("name", ECHOES)
async def test_response_that_repeats_the_key_does_not_expose_it(
    flavour: Flavour,
    name: str,
    spelling: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The key is in no error, model, file or log, neither plain nor after decoding every escape."""
    monkeypatch.setattr(_drift, "_noted", set())
    status, media_type, body = ECHOES[name]

    def handle(request: httpx.Request) -> httpx.Response:
        headers = {
            "content-type": media_type.replace("KEY", spelled(spelling)),
            "content-disposition": f"attachment; filename={spelled(spelling)}.csv",
            "location": f"https://elsewhere.invalid/?key={spelled(spelling)}",
            "x-request-id": spelled(spelling),
            f"x-{KEY}": "1",
        }
        return httpx.Response(status, headers=headers, content=body.replace("KEY", spelled(spelling)).encode())

    face = flavour.mocked(handle, KEY, max_retries=0)
    told: list[object] = []

    async def run(method: str, *args: Any, **kwargs: Any) -> None:
        try:
            value = await face.call(method, *args, **kwargs)
            told.extend([value, vars(value) if hasattr(value, "__dict__") else None])
        except VeniceError as error:
            told.extend(shown(error))

    with caplog.at_level(logging.DEBUG, "venice_billing"):
        await run("get_balance")
        await run("get_usage_history")
        await run("get_usage_history", format="csv")
        await run("export_usage_csv", tmp_path / "usage.csv")
        try:
            told.extend(await receive(face.client.iter_usage(), 5))
        except VeniceError as error:
            told.extend(shown(error))
    told += [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    told += [f"{record.getMessage()} {vars(record)}" for record in caplog.records if record.name == "venice_billing"]
    text = "\n".join(f"{thing!r} {thing!s}" for thing in told)
    read_again = html.unescape(unquote(re.sub(r"\\+u00([0-9a-fA-F]{2})", r"%\1", text)))
    assert KEY.lower() not in f"{text} {read_again}".lower()


@pytest.mark.parametrize("short", ["data", "sku", "USD", "json", "200", "1"])
async def test_short_key_changes_no_response(flavour: Flavour, short: str) -> None:
    """Even if the key equals a word of the data or of its media type, or a number."""

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "application/json"}, content=PAGE.encode())

    page = await flavour.mocked(handle, short).call("get_usage_history")
    assert page.to_dict() == UsageHistoryPage.from_dict(decode_json(PAGE.encode())).to_dict()


@pytest.mark.parametrize("short", ["abc", "key"])
async def test_short_key_is_masked_as_a_word_in_messages(
    flavour: Flavour, short: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_drift, "_noted", set())
    bodies = iter([PAGE.replace('"sku"', f'"{short}": 1, "sku"'), PAGE.replace("-1", f'"no {short}"')])

    def handle(request: httpx.Request) -> httpx.Response:
        if body := next(bodies, ""):
            return httpx.Response(200, headers={"content-type": "application/json"}, content=body.encode())
        body = f'{{"error": "refused:\\n{short} in {short}board", "details": {{"{short}": "{short}"}}}}'
        return httpx.Response(400, headers={"x-refused": short, "retry-after": "7"}, content=body.encode())

    face = flavour.mocked(handle, short, max_retries=0)
    with caplog.at_level(logging.DEBUG, "venice_billing"):
        await face.call("get_usage_history")
        with pytest.raises(ResponseValidationError) as mistyped:
            await face.call("get_usage_history")
        with pytest.raises(InvalidRequestError) as refused:
            await face.call("get_usage_history")
    mask = Secret(short).masked(short)
    assert f"got text 'no {mask}'" in str(mistyped.value)
    assert refused.value.message == f"refused: {mask} in {short}board"
    assert refused.value.details == {mask: mask}
    assert refused.value.headers["x-refused"] == mask
    told = [record for record in caplog.records if record.name == "venice_billing"]
    assert [record.getMessage() for record in told if record.levelno == logging.INFO] == [
        f"not in the contract, kept as data: field of UsageEntry '{mask}'"
    ]
