"""Tell what changed for a consumer of the billing API between two OpenAPI documents.

OLD and NEW are full upstream documents or bundles, paths or URLs; only billing operations count. A change is
  breaking    an operation is gone, moved, or lost its 2xx or a media type we ask for; a request parameter is gone,
              newly required, accepts less, or is written otherwise; what a response always held may be absent, null,
              or of another type or format; the authentication or the server changed
  compatible  any other change of meaning
  cosmetic    prose, examples, titles, tags, order, the same set of values in other words

A request pattern that no tool can compare is "not proven to accept all it did", and breaking.

Exit code: 0, or 1 when something is breaking, or 2 when a document cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from attrs import asdict

from contract.diff import diff, verdict
from contract.diff_rows import Change, Severity
from contract.document import UnreadableDocumentError
from contract.readable import readable
from pipeline.documents import load_document, named

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Change", "Severity", "diff", "main", "verdict"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the difference of two documents and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        old, new = (readable(load_document(source), named(source)).document for source in (options.old, options.new))
        changes = diff(old, new)
    except UnreadableDocumentError as error:
        print(f"contract_diff: {error}", file=sys.stderr)
        return 2
    print(_as_json(changes) if options.format == "json" else _as_text(changes))
    return 1 if verdict(changes) == Severity.BREAKING else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="contract_diff", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", metavar="OLD", help="the document consumers were written for")
    parser.add_argument("new", metavar="NEW", help="the document that replaces it")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser


def _as_json(changes: Sequence[Change]) -> str:
    rows = [asdict(change) for change in changes]
    return json.dumps({"verdict": verdict(changes), "rows": rows}, indent=2, ensure_ascii=False)


def _as_text(changes: Sequence[Change]) -> str:
    rows = [(change.severity, change.operation, change.location, change.kind) for change in changes]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    return "\n".join([*lines, f"verdict: {verdict(changes)}"])


if __name__ == "__main__":
    sys.exit(main())
