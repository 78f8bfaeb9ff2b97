"""A key is masked in every spelling in which a server may repeat it, and no other text is masked."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venice_billing._secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "vn-Sesame0pen/Up+47=11&x"
PLAIN = "vn-Sesame0penUp4711"


def unicode_escaped(key: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in key)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": json.dumps,
    "json with slashes": lambda key: key.replace("/", "\\/"),
    "unicode": unicode_escaped,
    "unicode in capitals": lambda key: "".join(f"\\u{ord(letter):04X}" for letter in key),
    "one letter unicode": lambda key: key.replace("m", "\\u006d"),
    "json in json": lambda key: json.dumps(json.dumps(key.replace("m", "\\u006d"))),
    "hexadecimal escapes": lambda key: "".join(f"\\x{ord(letter):02x}" for letter in key),
    "braces": lambda key: "".join(f"\\u{{{ord(letter):x}}}" for letter in key),
    "percent": lambda key: quote(key, safe=""),
    "percent of every letter": lambda key: "".join(f"%{ord(letter):02x}" for letter in key),
    "json with slashes in percent": lambda key: quote(
        json.dumps(key.replace("m", "\\u006d")).replace("/", "\\/"), safe=""
    ),
    "json with slashes in html": lambda key: key.replace("/", "&#92;/").replace("m", "&#x5c;u006d"),
    "percent twice": lambda key: quote(quote(key, safe=""), safe=""),
    "html": html.escape,
    "html decimal": lambda key: "".join(f"&#{ord(letter)};" for letter in key),
    "html hexadecimal": lambda key: "".join(f"&#x{ord(letter):X};" for letter in key),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 of the header": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "base64 of a pair": lambda key: base64.b64encode(f"ab{key}:".encode()).decode(),
    "base64 for addresses": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "hexadecimal": lambda key: key.encode().hex(),
    "small letters": str.lower,
}
BEFORE = {"base64 of the header": "QmVhcmVyI", "base64 of a pair": "YW"}
"""Base64 letters of the text before the key, which may stay."""
WHOLE = {"base64", "base64 of the header", "base64 of a pair", "base64 for addresses", "hexadecimal", "small letters"}


@pytest.mark.parametrize("key", [KEY, PLAIN])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_masked_in_a_text(spelling: str, key: str) -> None:
    spelled = SPELLINGS[spelling](key)
    masked = Secret(key).masked(f"refused: {spelled} (no such key)")
    bare = masked.replace('"', "").replace("\\", "").replace("%22", "")
    assert bare == f"refused: {BEFORE.get(spelling, '')}[key] (no such key)"
    assert Secret(key).masked_body(spelled.encode()) == Secret(key).masked(spelled).encode()
    assert Secret(key).masked_data({spelled: [spelled, 1, None]}) == {
        Secret(key).masked(spelled): [Secret(key).masked(spelled), 1, None]
    }


@pytest.mark.parametrize("key", [KEY, PLAIN])
@pytest.mark.parametrize("spelling", [name for name in SPELLINGS if name not in WHOLE])
def test_every_escape_is_masked_in_a_body(spelling: str, key: str) -> None:
    spelled = SPELLINGS[spelling](key)
    masked = Secret(key).masked_bytes(f"<{spelled}>".encode())
    assert masked.replace(b'"', b"").replace(b"\\", b"").replace(b"%22", b"") == b"<[key]>"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_utf_16_and_utf_32_bodies_are_masked(encoding: str) -> None:
    for masked in (Secret(KEY).masked_bytes(KEY.encode(encoding)), Secret(KEY).masked_body(KEY.encode(encoding))):
        assert masked.strip(b"\0") == b"[key]"


@settings(deadline=None, max_examples=60)  # each key needs a new pattern
@given(st.text("abcXYZ019-_/+.\"\\&<>'%=", min_size=8, max_size=40), st.data())
def test_any_mixture_of_escapes_is_masked(key: str, data: st.DataObject) -> None:
    """Each letter is escaped or not by itself, since encoders escape only some letters."""
    if not any(letter.isalpha() and letter not in "eE" for letter in key):
        key = "x" + key
    ways: list[Callable[[str], str]] = [
        str,
        lambda letter: f"\\u{ord(letter):04x}",
        lambda letter: f"%{ord(letter):02X}",
        lambda letter: f"&#{ord(letter)};",
    ]
    spelled = "".join(data.draw(st.sampled_from(ways))(letter) for letter in key)
    masks = {"[key]", "***"}
    assert Secret(key).masked(f"({spelled})").strip("()") in masks
    assert Secret(key).masked_bytes(f"({spelled})".encode()).decode().strip("()") in masks


@pytest.mark.parametrize("cut", range(14, 60))
def test_truncated_base64_is_masked(cut: int) -> None:
    """Texts in errors are bounded, so the end of a long text is missing."""
    spelled = base64.b64encode(f"Bearer {PLAIN}".encode()).decode()[: max(cut, 26)]
    assert "c2FtZ" not in Secret(PLAIN).masked(spelled)


@pytest.mark.parametrize("short", ["a", "key", "USD", "amount", "abcdefg", "12345678", "0.00012345", "1e100000"])
def test_key_that_looks_like_data_changes_no_data(short: str) -> None:
    """A total must not change because the key looks like a value of the data."""
    secret = Secret(short)
    body = f'{{"data": [{{"amount": -{short}, "currency": "{short}", "sku": "a{short}b"}}]}}'.encode()
    assert secret.masked_bytes(body) == body
    assert secret.masked_headers({"Content-Type": f"application/{short}"}) == {"content-type": f"application/{short}"}


@pytest.mark.parametrize("short", ["a", "key", "USD", "abcdefg", "ab-cd_e"])
def test_a_short_key_is_masked_as_a_whole_word_in_a_text(short: str) -> None:
    secret = Secret(short)
    mask = secret.masked(short)
    assert short not in mask
    assert secret.masked(f"refused: {short}.") == f"refused: {mask}."
    for around in (f"x{short}", f"{short}s", f"my-{short}", f"{short}_1"):
        assert secret.masked(f"in {around}, in") == f"in {around}, in"


def test_masking_is_idempotent() -> None:
    for key in ("key", "[key]", "***", KEY, "[key][key]"):
        masked = Secret(key).masked(f"<{key}>")
        assert Secret(key).masked(masked) == masked


@pytest.mark.parametrize(
    "body",
    [
        b"\\" * 1_000_000,
        b"%" * 1_000_000,
        b"%25" * 300_000,
        b"%5C" * 300_000,
        b"&#92;" * 200_000,
        b"&" * 1_000_000,
        b"&amp;" * 200_000,
        b"\\u006" * 200_000,
        b"\\u{0" * 200_000 + b"0" * 200_000,
        b"\0" * 1_000_000,
        b"v" * 1_000_000,
        b"v\0" * 500_000,
        b"&#0" + b"0" * 1_000_000,
        b"\\u0076" * 160_000,
    ],
    ids=lambda body: ascii(body[:8].decode()),
)
def test_masking_a_body_takes_linear_time(body: bytes) -> None:
    """Quadratic time would take hours."""
    started = time.monotonic()
    assert Secret(PLAIN).masked_bytes(body) == body
    assert Secret(PLAIN).masked_body(body) == body
    assert time.monotonic() - started < 60


def test_without_a_key_nothing_is_masked() -> None:
    assert Secret("").masked("any text with % and \\") == "any text with % and \\"
    assert Secret("").masked_bytes(b"any") == b"any"


@pytest.mark.parametrize(
    "key", ['sk-SuPerSecret7abc"x9', 'sk-SuPerSecret7abcx9"', '"sk-""SuPerSecret7', "sk-SuPer\\Secret7"]
)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_json_in_a_csv_cell_is_masked_and_the_cell_stays_whole(key: str, depth: int) -> None:
    text = key
    for _ in range(depth):
        text = json.dumps({"key": text})
    file = io.StringIO()
    csv.writer(file).writerows([["a", text, "b"], ["c", "d", "e"]])
    masked = Secret(key).masked_bytes(file.getvalue().encode(), is_csv=True).decode()
    first, second = csv.reader(io.StringIO(masked))
    assert second == ["c", "d", "e"]
    cell = first[1]
    for _ in range(depth):
        cell = json.loads(cell)["key"]
    assert (first[0], cell, first[2]) == ("a", "[key]", "b")


@pytest.mark.parametrize("key", ['sk-SuPerSecret7abc"x9', 'sk-SuPerSecret7abcx9"'])
def test_csv_in_a_json_text_is_masked_and_the_document_stays_whole(key: str) -> None:
    for text in (key, key.replace('"', '""')):
        body = json.dumps({"notes": text, "next": ""}).encode()
        assert json.loads(Secret(key).masked_bytes(body)) == {"notes": "[key]", "next": ""}
