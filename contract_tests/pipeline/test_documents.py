"""Reading documents: keys are texts and stand once, downloads are bounded, messages show no credentials."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

import regenerate
from contract.document import UnreadableDocumentError
from contract_tests.support.paths import ROOT
from pipeline import documents
from pipeline.documents import parse_yaml, read_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Reply = Callable[[BaseHTTPRequestHandler], None]


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3\n", '{"a": 1, "b": {}, "a": 3}', "x: &m {a: 1}\ny: {<<: *m, a: 2, a: 3}"]
)
def test_key_that_stands_twice_is_refused_with_its_line(text: str) -> None:
    line = text.count("\n", 0, text.rindex("a:") if "a:" in text else 0) + 1
    with pytest.raises(UnreadableDocumentError, match=rf"^it: line {line}: the key 'a' is there twice$"):
        parse_yaml(text.encode(), "it")


def test_correction_with_two_updates_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("corrections.yaml", "descriptions.yaml"):
        (tmp_path / name).write_bytes((ROOT / "openapi" / name).read_bytes())
    with (tmp_path / "corrections.yaml").open("a") as file:
        file.write("\n  - target: $.info\n    update: { x-one: 1 }\n    update: { x-two: 2 }\n")
    monkeypatch.setattr(regenerate, "_OPENAPI", tmp_path)
    assert regenerate.main(["--check"]) == 2
    assert "the key 'update' is there twice" in capsys.readouterr().err


def test_merged_key_may_be_replaced() -> None:
    assert parse_yaml(b"x: &m {a: 1, b: 2}\ny: {<<: *m, a: 3}", "it")["y"] == {"a": 3, "b": 2}


def test_keys_are_the_texts_that_are_written() -> None:
    text = b"{200: 1, on: 2, true: 3, null: 4, 1.50: 5, 2026-01-01: 6}"
    assert list(parse_yaml(text, "it")) == ["200", "on", "true", "null", "1.50", "2026-01-01"]


def test_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(UnreadableDocumentError, match=r"^it: line 2: a key is no text$"):
        parse_yaml(b"a: 1\n? [b]\n: 2\n", "it")


def test_aliases_are_followed_once() -> None:
    rows = [f"k{number}: &k{number} [*k{number - 1}, *k{number - 1}]" for number in range(1, 60)]
    assert len(parse_yaml("\n".join(["k0: &k0 [x]", *rows]).encode(), "it")) == 60


@contextmanager
def serving(reply: Reply) -> Iterator[str]:
    """Serve every request with `reply`; the URL has a password and a query."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://user:hunter2@127.0.0.1:{server.server_port}/doc?token=hidden"
    finally:
        server.shutdown()
        server.server_close()


def status(code: int) -> Reply:
    """Return a reply that is nothing but a status."""

    def reply(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        request.end_headers()

    return reply


def endless(pause: float) -> Reply:
    """Return a reply that never ends."""

    def reply(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"# more\n" * (1 if pause else 1000))
                request.wfile.flush()
                time.sleep(pause)
        except OSError:
            pass

    return reply


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (status(404), "HTTP 404 Not Found"),
        (endless(0.01), "not complete after 0.2 seconds"),
        (endless(0), "larger than 100000 bytes"),
    ],
    ids=["status", "slow", "huge"],
)
def test_download_that_fails_is_bounded_and_named_without_credentials(
    reply: Reply, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(documents, "_SECONDS", 0.2 if "seconds" in reason else 30.0)
    monkeypatch.setattr(documents, "_LARGEST", 100_000)
    with serving(reply) as url:
        assert regenerate.main(["--upstream", url]) == 2
    address = url.replace("user:hunter2@", "").partition("?")[0]
    assert capsys.readouterr().err == f"regenerate: {address}: cannot be read: {reason}\n"


def test_missing_file_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocumentError, match=r"^[^:]*/no\.yaml: cannot be read: No such file or directory$"):
        read_source(tmp_path / "no.yaml")
