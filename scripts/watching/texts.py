"""The texts of pull requests and issues. Pure.

What others have written (a published document, the live API) stands in code spans and code blocks only: there it
links nothing, mentions nobody and closes no issue.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from attrs import frozen

from watching.decision import Notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from contract.diff_rows import Change
    from watching.decision import Observation
    from watching.live_report import LiveReport

_MOST = 40
"""Rows and lines of each part; GitHub takes 65,536 characters."""
_LONGEST_CELL = 160
_LONGEST_LINE = 300
_MARKER = "<!-- watched: {} -->"
_MARKED = re.compile(r"\n*<!-- watched: ([0-9a-f]{64}) -->")


@frozen
class Origin:
    """Where the findings come from: the published document, and the run of the workflow, if it is one."""

    source: str
    run: str = ""

    def line(self, what: str) -> str:
        """Return a sentence about it."""
        return f"{what} {code(self.source)}." + (f" Found by [this run]({self.run})." if self.run else "")


def pull_request_notice(observation: Observation, origin: Origin) -> Notice:
    """Return the text of the pull request that takes over a published document."""
    kind = "breaking" if observation.is_breaking else "compatible"
    suite = "green" if observation.is_suite_green else "red"
    parts = [
        origin.line(f"Contract and client, regenerated from version {code(observation.version)} of"),
        f"The change is **{kind}**, and the contract suite is **{suite}** on the new contract and client.",
        "## What changed",
        _table(observation.rows) if observation.rows else "Nothing that an operation says: see the files.",
        *(["## What the contract suite found", _block(observation.suite)] if observation.suite else ()),
        *(["## What the pipeline said", _block(observation.notes)] if observation.notes else ()),
        _CHECKS,
    ]
    shape = (observation.substance, suite, *map(str, observation.rows), *observation.suite, *observation.notes)
    return _notice(f"Take over a {kind} change of the published contract", parts, shape)


def upstream_issue_notice(observation: Observation, origin: Origin) -> Notice:
    """Return the text of the issue about a published document that breaks consumers, or that cannot be taken over."""
    document = origin.line(f"Version {code(observation.version)} of")
    if observation.failure:
        parts = [document, "No contract and no client can be made of it:", _block([observation.failure])]
        return _notice("The published document cannot be taken over", parts, ("failure", observation.failure))
    breaking = [row for row in observation.rows if row.severity == "breaking"]
    parts = [
        document,
        "It breaks consumers of the contract. A pull request holds the regenerated contract and client.",
        *([_table(breaking)] if breaking else ()),
        *(["The contract suite is red:", _block(observation.suite)] if not observation.is_suite_green else ()),
    ]
    shape = (observation.substance, *map(str, breaking), *observation.suite)
    return _notice("The published document breaks the contract", parts, shape)


def live_notice(report: LiveReport, origin: Origin) -> Notice:
    """Return the text of the issue about a live check that is red or has found drift."""
    found = (*report.broken, *report.drifts)
    rows = [
        f"| {each.verdict} | {code(each.operation)} | {code(each.location)} | {code(each.what)} |" for each in found
    ]
    opening = (
        f"At {code(report.checked_at)} the live check held the API against contract {code(report.contract)}."
        if report.checked_at
        else "The live check of the API is red."
    )
    parts = [
        opening + (f" Found by [this run]({origin.run})." if origin.run else ""),
        *([f"Not checked: {code(report.obstacles)}"] if report.obstacles else ()),
        *(["\n".join(["| verdict | operation | where | what |", "|---|---|---|---|", *_cut(rows)])] if rows else ()),
        *([_DRIFT] if report.drifts else ()),
    ]
    title = "The live API fails its check" if report.is_red else "The live API has drifted from the contract"
    return _notice(title, parts, (report.obstacles, *sorted(map(str, found))))


def fingerprint_in(body: str | None) -> str:
    """Return the fingerprint of the notice in a body; nothing if it holds none.

    The last one counts: what stands above it may quote others.
    """
    found = _MARKED.findall(body or "")
    return str(found[-1]) if found else ""


def without_fingerprint(body: str | None) -> str:
    """Return a body without its fingerprint, so that the same findings open a new notice when they come back."""
    return _MARKED.sub("", body or "")


def code(text: str) -> str:
    """Return a text as a code span that fits into a cell of a table."""
    cell = text.replace("`", "'").replace("\\|", "\\¦").replace("|", "\\|")  # no cell can hold an escaped pipe
    line = _short(" ".join(cell.split()), _LONGEST_CELL)
    return f"`{line}`" if line else "(nothing)"


_CHECKS = (
    "The checks of a pull request that a workflow opens may wait for a maintainer: approve them, or close and reopen"
    " it. A pull request closed without merging is not opened again for the same change."
)
_DRIFT = "Drift is no failure: the client copes. The contract wants an update, in `openapi/corrections.yaml`."


def _notice(title: str, parts: Iterable[str], shape: Iterable[str]) -> Notice:
    fingerprint = hashlib.sha256("\0".join((title, *shape)).encode()).hexdigest()
    return Notice(title, "\n\n".join([*parts, _MARKER.format(fingerprint)]), fingerprint)


def _table(rows: Sequence[Change]) -> str:
    cells = [f"| {row.severity} | {code(row.operation)} | {code(row.location)} | {code(row.kind)} |" for row in rows]
    return "\n".join(["| severity | operation | where | change |", "|---|---|---|---|", *_cut(cells)])


def _block(lines: Sequence[str]) -> str:
    shown = [_short(line, _LONGEST_LINE) for line in _cut(lines)]
    runs = re.findall("`+", "\n".join(shown))
    fence = "`" * max(3, *(len(run) + 1 for run in runs), 3)
    return "\n".join([f"{fence}text", *shown, fence])


def _cut(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _MOST
    return [*lines[:_MOST], f"… and {more} more"] if more > 0 else list(lines)


def _short(line: str, limit: int) -> str:
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
