"""Compare how an operation is reached: its method, its URLs, and the ways to authenticate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.diff_rows import Pair, Severity, described, without_prose
from contract.model import security

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.diff_rows import Change
    from contract.document import Document
    from contract.model import Credential, Operation

_BREAKING, _COMPATIBLE, _COSMETIC = Severity.BREAKING, Severity.COMPATIBLE, Severity.COSMETIC


def place_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    """Yield a row for every URL at which the operation is no longer served, and for each that is new."""
    if not (old.servers and new.servers):  # where one document names no server, only the paths compare
        if old.key != new.key:
            yield pair.row("path", f"operation moved: {_call(old, old.path)} -> {_call(new, new.path)}", _BREAKING)
        elif old.servers != new.servers:
            yield pair.row("servers", "servers added" if new.servers else "servers removed", _COMPATIBLE)
        return
    before, after = ([_call(each, url) for url in each.urls] for each in (old, new))
    gone, added = ([call for call in one if call not in other] for one, other in ((before, after), (after, before)))
    if before[0] in gone:
        yield pair.row("path", f"operation moved: {before[0]} -> {after[0]}", _BREAKING)
    for call in (call for call in gone if call != before[0]):
        yield pair.row("servers", f"server removed: {call}", _BREAKING)
    if before[0] not in gone:
        yield from (pair.row("servers", f"server added: {call}", _COMPATIBLE) for call in added)
        if before[0] != after[0]:
            yield pair.row("servers", described("default server", before[0], after[0]), _COMPATIBLE)
        elif not (gone or added):
            yield from _server_rows(pair, old, new)


def _server_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    """Yield what changed about servers that have the same URLs as before."""
    before, after = ([server.get("variables") or {} for server in each.servers] for each in (old, new))
    if without_prose(before) != without_prose(after):
        yield pair.row("servers", "variables of a server changed", _COMPATIBLE)
    elif old.servers != new.servers:
        yield pair.row("servers", "worded differently", _COSMETIC)


def _call(operation: Operation, url: str) -> str:
    return f"{operation.method.upper()} {url}"


def security_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    """Yield a row where a way to authenticate is gone; an additional way breaks no client."""
    before, after = ([_requirements(way) for way in each.ways] for each in (old, new))
    if not all(any(_satisfies(way, other) for other in after) for way in before):
        yield pair.row("security", "authentication changed", _BREAKING)
    elif not all(way in before for way in after):
        yield pair.row("security", "way to authenticate added", _COMPATIBLE)
    elif old.ways != new.ways or security(old.raw, pair.old.document) != security(new.raw, pair.new.document):
        yield pair.row("security", "worded differently", _COSMETIC)


def _requirements(way: tuple[Credential, ...]) -> list[tuple[Document, list[str]]]:
    """Return what a way asks for: each scheme by what it is, not by its name, with its scopes."""
    schemes = [(_plain(credential.scheme), sorted(map(str, credential.scopes or ()))) for credential in way]
    return sorted(schemes, key=str)


def _satisfies(held: list[tuple[Document, list[str]]], asked: list[tuple[Document, list[str]]]) -> bool:
    """Tell whether the credentials of one way are enough for another: the same schemes, no further scopes."""
    return [scheme for scheme, _ in held] == [scheme for scheme, _ in asked] and all(
        set(wanted) <= set(scopes) for (_, scopes), (_, wanted) in zip(held, asked, strict=True)
    )


def _plain(scheme: Document) -> Document:
    said = ("description", "bearerFormat")  # prose
    return {
        key: _lower(value) if key in {"scheme", "name"} and scheme.get("in") != "query" else value
        for key, value in scheme.items()
        if key not in said and not key.startswith("x-")
    }


def _lower(value: Any) -> str:
    return str(value).lower()
