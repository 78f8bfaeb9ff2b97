"""Digests in a contract, by which a later run finds what was changed since: the contract itself, or what it is made of.

The head has a digest of the body, and one of the content of each overlay. The foot has two characters for each line
above it: only with them can an edited line be named where nothing but the edited contract is at hand.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from pipeline.canonical import sorted_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

_WIDTH = 2  # characters per line: of 4096 edits, one is found by the digest alone, without its line
_PER_ROW = 54
_BODY = "Body"
_FOOT = "# Two characters for each line above; `scripts/regenerate.py --check` names the lines that they do not fit."
_ROW = re.compile(r"# ([A-Za-z0-9+/]{2}){1,54}")
_DIGEST = re.compile(r"# (?P<name>\S+) sha256: +(?P<digest>[0-9a-f]{64})")
_SHOWN = 5  # edited lines


def sealed(head: str, body: str, overlays: Mapping[str, Any]) -> str:
    """Return the text of a contract: a head of comment lines, ended by the digests, then the body, then the foot.

    Args:
        head: The words of the head.
        body: The contract as YAML.
        overlays: The content of each overlay by the name of its file.
    """
    named = {_BODY: _digest(body.splitlines()), **{name: content_digest(each) for name, each in overlays.items()}}
    width = max(map(len, named)) + 1
    rows = [*head.splitlines(), *(f"{name} sha256: {' ' * (width - len(name))}{named[name]}" for name in named)]
    lines = [*(f"# {row}".rstrip() for row in rows), *body.splitlines()]
    checks = "".join(map(_check, lines))
    step = _WIDTH * _PER_ROW
    foot = [_FOOT, *(f"# {checks[start : start + step]}" for start in range(0, len(checks), step))]
    return "\n".join([*lines, *foot, ""])


def content_digest(content: Any) -> str:
    """Return the digest of what a YAML document says: comments, layout and the order of keys do not count."""
    return hashlib.sha256(json.dumps(sorted_data(content), ensure_ascii=False).encode()).hexdigest()


def edits(text: str) -> list[str]:
    """Return what was edited in a contract after it was made, as `LINE: what`; nothing if it is as it was made.

    The line is a number, `end`, or a `?` where the foot does not tell.
    """
    lines = text.splitlines()
    kept, checks = _without_foot(lines)
    found = list(_edited_lines(kept, checks)) if checks else ["?: the check characters at its end are gone"]
    length = _length_of_head(lines)
    is_body_as_made = _recorded(lines).get(_BODY) == _digest([line for number, line in kept if number > length])
    if not found and not is_body_as_made:
        return ["?: its lines do not fit the digest in its head"]
    if checks and is_body_as_made and checks[:length] == [_check(line) for _, line in kept[:length]] and found:
        return ["?: its lines are as they were made, and the check characters at its end are not"]
    return found


def changed_overlays(text: str, overlays: Mapping[str, Any]) -> list[str]:
    """Return the names of the overlays that say something else than when the contract was made.

    Of an overlay whose digest is not in the head nothing is known: the missing line is one of the `edits`.
    """
    recorded = _recorded(text.splitlines())
    return [
        name for name, content in overlays.items() if recorded.get(name, digest := content_digest(content)) != digest
    ]


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _check(line: str) -> str:
    return base64.b64encode(hashlib.sha256(line.encode()).digest())[:_WIDTH].decode()


def _length_of_head(lines: Sequence[str]) -> int:
    return next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))


def _recorded(lines: Sequence[str]) -> dict[str, str]:
    """Return the digests in the head by their names."""
    found = filter(None, map(_DIGEST.fullmatch, lines[: _length_of_head(lines)]))
    return {match["name"]: match["digest"] for match in found}


def _without_foot(lines: Sequence[str]) -> tuple[list[tuple[int, str]], list[str]]:
    """Return all other lines with their numbers, and the check characters in the foot."""
    if _FOOT not in lines:
        return list(enumerate(lines, 1)), []
    start = end = lines.index(_FOOT)
    while end + 1 < len(lines) and _ROW.fullmatch(lines[end + 1]):
        end += 1
    checks = "".join(line.removeprefix("# ") for line in lines[start + 1 : end + 1])
    kept = [(number, line) for number, line in enumerate(lines, 1) if not start < number <= end + 1]
    return kept, [checks[at : at + _WIDTH] for at in range(0, len(checks), _WIDTH)]


def _edited_lines(kept: Sequence[tuple[int, str]], checks: Sequence[str]) -> Iterator[str]:
    """Yield each edited line, up to a few, and where lines are missing."""
    matcher = SequenceMatcher(None, checks, [_check(line) for _, line in kept], autojunk=False)
    shown = 0
    for kind, old_start, old_end, start, end in matcher.get_opcodes():
        if kind == "delete":
            place = str(kept[start][0]) if start < len(kept) else "end"
            yield f"{place}: {_lines(old_end - old_start)} removed before this one"
        elif kind != "equal":
            here = kept[start:end]
            yield from (f"{number}: {line.strip()}" for number, line in here[: max(0, _SHOWN - shown)])
            shown += len(here)
    if shown > _SHOWN:
        yield f"?: and {_lines(shown - _SHOWN)} besides"


def _lines(number: int) -> str:
    return f"{number} line{'' if number == 1 else 's'}"
