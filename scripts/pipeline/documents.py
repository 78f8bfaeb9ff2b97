"""Read OpenAPI documents as they are written: from a path or a URL, YAML or JSON, dates left as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from contract.document import Document, UnreadableDocumentError

try:
    from yaml import CSafeLoader as _SafeLoader  # a tenth of the time, where PyYAML was built with libyaml
except ImportError:  # pragma: no cover
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]


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
    return parse_document(read_source(source), str(source))


def parse_document(text: bytes, source: str) -> Document:
    """Return the OpenAPI document in `text`; `source` names it in errors."""
    document = parse_yaml(text, source)
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise UnreadableDocumentError(f"{source}: not an OpenAPI document: it has no 'paths' object")
    return document


def parse_yaml(text: bytes, source: str) -> Any:
    """Return the YAML or JSON in `text`, dates left as text; `source` names it in errors."""
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader with one resolver less
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableDocumentError(f"{source}: neither YAML nor JSON: {error}") from error


def read_source(source: str | Path) -> bytes:
    """Return the bytes at a path or an http(s) URL.

    Raises:
        UnreadableDocumentError: There is nothing to read there.
    """
    try:
        if urlsplit(str(source)).scheme in {"http", "https"}:
            response = httpx.get(str(source), follow_redirects=True, timeout=30.0)
            return response.raise_for_status().content
        return Path(source).read_bytes()
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreadableDocumentError(f"{source}: cannot be read: {error}") from error
