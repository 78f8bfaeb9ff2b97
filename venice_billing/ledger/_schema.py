"""The tables and views of a ledger file, and how a file of an earlier version becomes one of this version.

A version is never changed once it is released: a change is a new version, with the statements that lead to it. The kind
of a row is stored as `spend.kind_of` told it, so another rule there is a new version here, which tells it anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = 3

ROW_COLUMNS: Mapping[str, str] = {
    "timestamp": "TIMESTAMPTZ",
    "sku": "VARCHAR",
    "currency": "VARCHAR",
    "amount": "DECIMAL(38, 28)",
    "amount_text": "VARCHAR",
    "units": "DECIMAL(38, 28)",
    "units_text": "VARCHAR",
    "price_per_unit_usd": "DECIMAL(38, 28)",
    "price_per_unit_usd_text": "VARCHAR",
    "notes": "VARCHAR",
    "kind": "VARCHAR",
    "api_key_id": "VARCHAR",
    "api_key_id_is_null": "BOOLEAN",
    "has_inference_details": "BOOLEAN",
    "request_id": "VARCHAR",
    "prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "inference_execution_time": "BIGINT",
    "additional_properties": "JSON",
    "entry_json": "VARCHAR",
    "is_exact": "BOOLEAN",
}
"""The columns of a row. `entry_json` is the whole entry where the others do not hold all of it; `is_exact` tells
whether DuckDB may group and sum the row by its columns."""

_COLUMNS = ", ".join(f"{name} {kind}" for name, kind in ROW_COLUMNS.items())

_TABLES = (
    f"CREATE TABLE usage_rows (seq BIGINT, {_COLUMNS})",
    "CREATE TABLE skus (sku VARCHAR PRIMARY KEY, model VARCHAR, service VARCHAR)",
    """CREATE TABLE syncs (sync BIGINT PRIMARY KEY, covered_from TIMESTAMPTZ, covered_until TIMESTAMPTZ,
        synced_at TIMESTAMPTZ, is_full BOOLEAN, rows_read BIGINT, late BIGINT, altered BIGINT, vanished BIGINT)""",
    """CREATE TABLE changes (adjustment BIGINT PRIMARY KEY, sync BIGINT, seen_at TIMESTAMPTZ, change VARCHAR)""",
    f"CREATE TABLE changed_rows (adjustment BIGINT, side VARCHAR, {_COLUMNS})",
)
FIRST_TABLES = frozenset({"usage_rows", "skus", "syncs", "changes", "changed_rows"})
"""The tables of every version; a file without them is no ledger."""
_TABLES_OF_CLOSINGS = (
    """CREATE TABLE closed_months (closing BIGINT PRIMARY KEY, month VARCHAR, timezone VARCHAR, revision BIGINT,
        period_start TIMESTAMPTZ, period_end TIMESTAMPTZ, is_complete BOOLEAN, digest VARCHAR, row_count BIGINT,
        sync BIGINT, last_adjustment BIGINT, statement VARCHAR)""",
)
_VIEWS_OF_CLOSINGS = (
    """CREATE VIEW closings AS
        SELECT month, timezone, revision, period_start, period_end, is_complete, digest, row_count, sync, statement
        FROM closed_months""",
    """CREATE VIEW closing_totals AS
        SELECT month, revision, unnest(from_json(json_extract(statement, '$.totals'),
            '[{"currency": "VARCHAR", "debits": "VARCHAR", "refunds": "VARCHAR", "purchases": "VARCHAR",
            "credits": "VARCHAR", "net": "VARCHAR", "count": "BIGINT"}]'), recursive := true)
        FROM closed_months""",
)
_VIEWS = (
    """CREATE VIEW entries AS
        SELECT timestamp, rows.sku, model, service, kind, units, price_per_unit_usd, amount, currency,
            notes, api_key_id, request_id, prompt_tokens, completion_tokens, inference_execution_time,
            additional_properties, amount_text, units_text, price_per_unit_usd_text
        FROM usage_rows AS rows LEFT JOIN skus ON skus.sku = rows.sku""",
    """CREATE VIEW adjustments AS
        SELECT change, seen_at, changes.sync, coalesce(a.timestamp, b.timestamp) AS timestamp,
            coalesce(a.sku, b.sku) AS sku, coalesce(a.currency, b.currency) AS currency,
            b.amount AS amount_before, a.amount AS amount_after,
            b.amount_text AS amount_before_text, a.amount_text AS amount_after_text,
            coalesce(a.request_id, b.request_id) AS request_id, coalesce(a.api_key_id, b.api_key_id) AS api_key_id
        FROM changes
        LEFT JOIN changed_rows AS b ON b.adjustment = changes.adjustment AND b.side = 'before'
        LEFT JOIN changed_rows AS a ON a.adjustment = changes.adjustment AND a.side = 'after'""",
)
_COMMENTS: Mapping[str, str] = {
    "VIEW entries": "Every charge of the account, one row each: identical rows are several charges. "
    "Never add up two currencies.",
    "COLUMN entries.timestamp": "When it was booked.",
    "COLUMN entries.sku": "What was sold, as sent.",
    "COLUMN entries.model": "The id of the model; the whole SKU where it does not name one by habit.",
    "COLUMN entries.service": "llm, image, tts, asr or video; NULL where the SKU names none.",
    "COLUMN entries.kind": "debit, refund, purchase or credit.",
    "COLUMN entries.units": "How many units; millions of tokens for language models. NULL where it does not fit.",
    "COLUMN entries.price_per_unit_usd": "The price of a unit in US dollars. NULL where it does not fit.",
    "COLUMN entries.amount": "Negative: a debit. NULL where the number does not fit: amount_text has every digit.",
    "COLUMN entries.currency": "The currency of the amount.",
    "COLUMN entries.notes": "A remark of the service.",
    "COLUMN entries.api_key_id": "The key that was used; NULL for the web app and for rows that are no usage.",
    "COLUMN entries.request_id": "The id of the request: one request books several rows.",
    "COLUMN entries.prompt_tokens": "Tokens read.",
    "COLUMN entries.completion_tokens": "Tokens generated.",
    "COLUMN entries.inference_execution_time": "Milliseconds of computing.",
    "COLUMN entries.additional_properties": "JSON of the fields that the API does not document; NULL: there is none.",
    "COLUMN entries.amount_text": "The amount to the digit.",
    "COLUMN entries.units_text": "The units to the digit.",
    "COLUMN entries.price_per_unit_usd_text": "The price to the digit.",
    "VIEW adjustments": "What syncs changed in time that was covered before: charges that came late, were altered, or "
    "vanished.",
    "COLUMN adjustments.change": "late, altered or vanished.",
    "COLUMN adjustments.seen_at": "When the sync that saw it began.",
    "COLUMN adjustments.sync": "The number of that sync, as in the table syncs.",
    "COLUMN adjustments.timestamp": "When the charge was booked.",
    "COLUMN adjustments.sku": "What was sold, as sent.",
    "COLUMN adjustments.currency": "The currency of both amounts.",
    "COLUMN adjustments.request_id": "The id of the request.",
    "COLUMN adjustments.api_key_id": "The key that was used.",
    "COLUMN adjustments.amount_before_text": "The amount before, to the digit.",
    "COLUMN adjustments.amount_after_text": "The amount since, to the digit.",
    "COLUMN adjustments.amount_before": "The amount in the ledger before; NULL: late, or the number does not fit.",
    "COLUMN adjustments.amount_after": "The amount since; NULL: vanished, or the number does not fit.",
    "TABLE syncs": "Every sync that ended, and the stretch of time that it read: from covered_from (NULL: the "
    "beginning) to covered_until.",
    "TABLE usage_rows": "What the view entries shows, as stored; seq orders rows of one instant.",
    "TABLE skus": "What a SKU says, by habit.",
    "TABLE changes": "What the view adjustments shows, as stored.",
    "TABLE changed_rows": "The rows before and after each change.",
}

_COMMENTS_OF_CLOSINGS: Mapping[str, str] = {
    "VIEW closings": "Every month that was closed, and what was recorded then. A later revision shows the month after "
    "a change; what was closed first stays.",
    "COLUMN closings.month": "The month, as in 2026-10.",
    "COLUMN closings.timezone": "The IANA time zone of the month.",
    "COLUMN closings.revision": "1: the first closing. Only these, with their adjustments, count each charge once.",
    "COLUMN closings.period_start": "The beginning of the month, included.",
    "COLUMN closings.period_end": "The end of the month, excluded.",
    "COLUMN closings.is_complete": "Whether all of it had been read again after late charges had been waited for.",
    "COLUMN closings.digest": "SHA-256 of the canonical rows of the month, in hexadecimal digits.",
    "COLUMN closings.row_count": "How many charges the month had.",
    "COLUMN closings.sync": "The number of the latest sync then, as in the table syncs.",
    "COLUMN closings.statement": "The statement as JSON, as it was recorded.",
    "VIEW closing_totals": "The totals of every closing, by currency: texts, to the digit. "
    "Never add up two currencies.",
    "COLUMN closing_totals.month": "The month, as in 2026-10.",
    "COLUMN closing_totals.revision": "The revision of the closing, as in the view closings.",
    "COLUMN closing_totals.currency": "The currency of the sums.",
    "COLUMN closing_totals.debits": "What was charged.",
    "COLUMN closing_totals.refunds": "Charges given back.",
    "COLUMN closing_totals.purchases": "Credits that were bought.",
    "COLUMN closing_totals.credits": "Any other gain.",
    "COLUMN closing_totals.net": "The sum of all signed amounts: negative where more was spent than came in.",
    "COLUMN closing_totals.count": "How many charges.",
    "TABLE closed_months": "What the view closings shows, as stored; last_adjustment is the latest one then.",
}


_NEW_ID = "CAST(uuid() AS VARCHAR)"
_COMMENT_OF_ID = "COMMENT ON COLUMN venice_ledger.ledger_id IS 'Made with the ledger: tells its datasets from others.'"


def _comments(texts: Mapping[str, str]) -> Sequence[str]:
    return [f"COMMENT ON {what} IS '{text}'" for what, text in texts.items()]


def creation() -> Sequence[str]:
    """Return the statements that make an empty ledger of this version."""
    tables, views = (*_TABLES, *_TABLES_OF_CLOSINGS), (*_VIEWS, *_VIEWS_OF_CLOSINGS)
    mark = (
        "CREATE TABLE venice_ledger (schema_version INTEGER, ledger_id VARCHAR)",
        "COMMENT ON TABLE venice_ledger IS 'A ledger of the Python package venice-billing: the version of its tables.'",
        _COMMENT_OF_ID,
        f"INSERT INTO venice_ledger VALUES ({VERSION}, {_NEW_ID})",
    )
    return [*tables, *views, *_comments(_COMMENTS), *_comments(_COMMENTS_OF_CLOSINGS), *mark]


MIGRATIONS: Mapping[int, Sequence[str]] = {
    1: [*_TABLES_OF_CLOSINGS, *_VIEWS_OF_CLOSINGS, *_comments(_COMMENTS_OF_CLOSINGS)],
    2: [
        "ALTER TABLE venice_ledger ADD COLUMN ledger_id VARCHAR",
        f"UPDATE venice_ledger SET ledger_id = {_NEW_ID}",
        _COMMENT_OF_ID,
    ],
}
"""For each version, the statements that make it the next one."""


def migration(version: int) -> Sequence[str]:
    """Return the statements that bring a ledger of an earlier version to this one, for one transaction."""
    statements = [statement for step in range(version, VERSION) for statement in MIGRATIONS[step]]
    return [*statements, f"UPDATE venice_ledger SET schema_version = {VERSION}"]
