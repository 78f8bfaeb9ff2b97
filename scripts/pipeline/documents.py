"""Read OpenAPI documents as they are written: from a path or a URL, YAML or JSON, dates and keys left as text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import yaml

from contract.document import Document, UnreadableDocumentError

try:
    from yaml import CSafeLoader as _SafeLoader  # a tenth of the time, where PyYAML was built with libyaml
except ImportError:  # pragma: no cover
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

_SECONDS = 60.0  # for a whole download
_LARGEST = 64 * 2**20  # bytes; the published document has one megabyte
_TEXT_TAG = "tag:yaml.org,2002:str"
_MERGE_TAG = "tag:yaml.org,2002:merge"


class _PlainLoader(_SafeLoader):
    """YAML without the timestamp resolver: upstream writes bare ISO dates, and they are text to JSON Schema."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _SafeLoader.yaml_implicit_resolvers.items()
}


def load_document(source: str | Path) -> Document:
    """Return the OpenAPI document at a path or an http(s) URL.

    Raises:
        UnreadableDocumentError: It cannot be read, is neither YAML nor JSON, or has no `paths`.
    """
    return parse_document(read_source(source), named(source))


def parse_document(text: bytes, source: str) -> Document:
    """Return the OpenAPI document in `text`; `source` names it in errors."""
    document = parse_yaml(text, source)
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise UnreadableDocumentError(f"{source}: not an OpenAPI document: it has no 'paths' object")
    return document


def parse_yaml(text: bytes, source: str) -> Any:
    """Return the YAML or JSON in `text`, dates and keys left as text; `source` names it in errors.

    Raises:
        UnreadableDocumentError: It is neither, or an object has a key twice, of which one would be lost in silence.
    """
    try:
        loader = _PlainLoader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _make_keys_texts(root, source)
        return loader.construct_document(root)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableDocumentError(f"{source}: neither YAML nor JSON: {error}") from error


def read_source(source: str | Path) -> bytes:
    """Return the bytes at a path or an http(s) URL.

    Raises:
        UnreadableDocumentError: There is nothing to read there, too much, or it comes too slowly.
    """
    try:
        if _is_url(source):
            return _downloaded(str(source))
        return Path(source).read_bytes()
    except httpx.HTTPStatusError as error:
        status = f"HTTP {error.response.status_code} {error.response.reason_phrase}".strip()
        raise UnreadableDocumentError(f"{named(source)}: cannot be read: {status}") from error
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableDocumentError(f"{named(source)}: cannot be read: {reason}") from error


def named(source: str | Path) -> str:
    """Return what names a source in a message: a URL without the user, the password and the query."""
    if not _is_url(source):
        return str(source)
    parts = urlsplit(str(source))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _is_url(source: str | Path) -> bool:
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def _downloaded(url: str) -> bytes:
    """Return what is at a URL, in bounded time and memory."""
    end = time.monotonic() + _SECONDS
    content = bytearray()
    with httpx.stream("GET", url, follow_redirects=True, timeout=min(30.0, _SECONDS)) as response:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > _LARGEST:
                raise UnreadableDocumentError(f"{named(url)}: cannot be read: larger than {_LARGEST} bytes")
            if time.monotonic() > end:
                raise UnreadableDocumentError(f"{named(url)}: cannot be read: not complete after {_SECONDS:g} seconds")
    return bytes(content)


def _make_keys_texts(root: yaml.Node, source: str) -> None:
    """Make every key the text that is written, as in JSON (`200`, `on`), and refuse a key that an object has twice."""
    waiting, seen = [root], {id(root)}  # an anchored node is met once for each alias
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, source)
        children = [child for child in _children(node) if id(child) not in seen]
        seen.update(map(id, children))
        waiting += children


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_keys(node: yaml.MappingNode, source: str) -> None:
    keys: set[str] = set()
    for key, _ in node.value:
        line = f"{source}: line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise UnreadableDocumentError(f"{line}: a key is no text")
        if key.value in keys:
            raise UnreadableDocumentError(f"{line}: the key {key.value!r} is there twice")
        keys.add(key.value)
        if key.tag != _MERGE_TAG:
            key.tag = _TEXT_TAG
