"""Statements as files, which are never overwritten by another content: somebody may have signed or sent them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venice_billing._files import write_all
from venice_billing._targets import checked_target, explained, replacing
from venice_billing.errors import ExportError, InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Protocol

    class _Written(Protocol):
        """What a statement says as text."""

        def to_json(self) -> str: ...
        def to_markdown(self) -> str: ...


_TEXTS: Mapping[str, Callable[[_Written], str]] = {
    ".json": lambda statement: f"{statement.to_json()}\n",
    ".md": lambda statement: statement.to_markdown(),
}
SUFFIXES = tuple(_TEXTS)


def write_statement(statement: _Written, path: object) -> Path:
    """Write a statement in the format that the suffix of the path names, unless a file with other bytes is there."""
    target = checked_target(path, is_statement=True)
    text_of = _TEXTS.get(target.suffix.lower())
    if text_of is None:
        raise InvalidParameterError("path", str(path), f"a file that ends in {' or '.join(SUFFIXES)}")
    content = text_of(statement).encode()
    with explained(target):
        if target.exists():
            if target.read_bytes() != content:
                raise ExportError(f"{target}: another file is there, which is not overwritten; move it away")
            return target
    with replacing(target) as part:
        write_all(part.file, content)
    return target
