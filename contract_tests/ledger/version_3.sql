-- The statements that make a ledger of version 2, with three rows, an adjustment and a closed month: kept as they were released.

CREATE TABLE usage_rows (seq BIGINT, timestamp TIMESTAMPTZ, sku VARCHAR, currency VARCHAR, amount DECIMAL(38, 28), amount_text VARCHAR, units DECIMAL(38, 28), units_text VARCHAR, price_per_unit_usd DECIMAL(38, 28), price_per_unit_usd_text VARCHAR, notes VARCHAR, kind VARCHAR, api_key_id VARCHAR, api_key_id_is_null BOOLEAN, has_inference_details BOOLEAN, request_id VARCHAR, prompt_tokens BIGINT, completion_tokens BIGINT, inference_execution_time BIGINT, additional_properties JSON, entry_json VARCHAR, is_exact BOOLEAN);
CREATE TABLE skus (sku VARCHAR PRIMARY KEY, model VARCHAR, service VARCHAR);
CREATE TABLE syncs (sync BIGINT PRIMARY KEY, covered_from TIMESTAMPTZ, covered_until TIMESTAMPTZ,
        synced_at TIMESTAMPTZ, is_full BOOLEAN, rows_read BIGINT, late BIGINT, altered BIGINT, vanished BIGINT);
CREATE TABLE changes (adjustment BIGINT PRIMARY KEY, sync BIGINT, seen_at TIMESTAMPTZ, change VARCHAR);
CREATE TABLE changed_rows (adjustment BIGINT, side VARCHAR, timestamp TIMESTAMPTZ, sku VARCHAR, currency VARCHAR, amount DECIMAL(38, 28), amount_text VARCHAR, units DECIMAL(38, 28), units_text VARCHAR, price_per_unit_usd DECIMAL(38, 28), price_per_unit_usd_text VARCHAR, notes VARCHAR, kind VARCHAR, api_key_id VARCHAR, api_key_id_is_null BOOLEAN, has_inference_details BOOLEAN, request_id VARCHAR, prompt_tokens BIGINT, completion_tokens BIGINT, inference_execution_time BIGINT, additional_properties JSON, entry_json VARCHAR, is_exact BOOLEAN);
CREATE TABLE closed_months (closing BIGINT PRIMARY KEY, month VARCHAR, timezone VARCHAR, revision BIGINT,
        period_start TIMESTAMPTZ, period_end TIMESTAMPTZ, is_complete BOOLEAN, digest VARCHAR, row_count BIGINT,
        sync BIGINT, last_adjustment BIGINT, statement VARCHAR);
CREATE VIEW entries AS
        SELECT timestamp, rows.sku, model, service, kind, units, price_per_unit_usd, amount, currency,
            notes, api_key_id, request_id, prompt_tokens, completion_tokens, inference_execution_time,
            additional_properties, amount_text, units_text, price_per_unit_usd_text
        FROM usage_rows AS rows LEFT JOIN skus ON skus.sku = rows.sku;
CREATE VIEW adjustments AS
        SELECT change, seen_at, changes.sync, coalesce(a.timestamp, b.timestamp) AS timestamp,
            coalesce(a.sku, b.sku) AS sku, coalesce(a.currency, b.currency) AS currency,
            b.amount AS amount_before, a.amount AS amount_after,
            b.amount_text AS amount_before_text, a.amount_text AS amount_after_text,
            coalesce(a.request_id, b.request_id) AS request_id, coalesce(a.api_key_id, b.api_key_id) AS api_key_id
        FROM changes
        LEFT JOIN changed_rows AS b ON b.adjustment = changes.adjustment AND b.side = 'before'
        LEFT JOIN changed_rows AS a ON a.adjustment = changes.adjustment AND a.side = 'after';
CREATE VIEW closings AS
        SELECT month, timezone, revision, period_start, period_end, is_complete, digest, row_count, sync, statement
        FROM closed_months;
CREATE VIEW closing_totals AS
        SELECT month, revision, unnest(from_json(json_extract(statement, '$.totals'),
            '[{"currency": "VARCHAR", "debits": "VARCHAR", "refunds": "VARCHAR", "purchases": "VARCHAR",
            "credits": "VARCHAR", "net": "VARCHAR", "count": "BIGINT"}]'), recursive := true)
        FROM closed_months;
COMMENT ON VIEW entries IS 'Every charge of the account, one row each: identical rows are several charges. Never add up two currencies.';
COMMENT ON COLUMN entries.timestamp IS 'When it was booked.';
COMMENT ON COLUMN entries.sku IS 'What was sold, as sent.';
COMMENT ON COLUMN entries.model IS 'The id of the model; the whole SKU where it does not name one by habit.';
COMMENT ON COLUMN entries.service IS 'llm, image, tts, asr or video; NULL where the SKU names none.';
COMMENT ON COLUMN entries.kind IS 'debit, refund, purchase or credit.';
COMMENT ON COLUMN entries.units IS 'How many units; millions of tokens for language models. NULL where it does not fit.';
COMMENT ON COLUMN entries.price_per_unit_usd IS 'The price of a unit in US dollars. NULL where it does not fit.';
COMMENT ON COLUMN entries.amount IS 'Negative: a debit. NULL where the number does not fit: amount_text has every digit.';
COMMENT ON COLUMN entries.currency IS 'The currency of the amount.';
COMMENT ON COLUMN entries.notes IS 'A remark of the service.';
COMMENT ON COLUMN entries.api_key_id IS 'The key that was used; NULL for the web app and for rows that are no usage.';
COMMENT ON COLUMN entries.request_id IS 'The id of the request: one request books several rows.';
COMMENT ON COLUMN entries.prompt_tokens IS 'Tokens read.';
COMMENT ON COLUMN entries.completion_tokens IS 'Tokens generated.';
COMMENT ON COLUMN entries.inference_execution_time IS 'Milliseconds of computing.';
COMMENT ON COLUMN entries.additional_properties IS 'JSON of the fields that the API does not document; NULL: there is none.';
COMMENT ON COLUMN entries.amount_text IS 'The amount to the digit.';
COMMENT ON COLUMN entries.units_text IS 'The units to the digit.';
COMMENT ON COLUMN entries.price_per_unit_usd_text IS 'The price to the digit.';
COMMENT ON VIEW adjustments IS 'What syncs changed in time that was covered before: charges that came late, were altered, or vanished.';
COMMENT ON COLUMN adjustments.change IS 'late, altered or vanished.';
COMMENT ON COLUMN adjustments.seen_at IS 'When the sync that saw it began.';
COMMENT ON COLUMN adjustments.sync IS 'The number of that sync, as in the table syncs.';
COMMENT ON COLUMN adjustments.timestamp IS 'When the charge was booked.';
COMMENT ON COLUMN adjustments.sku IS 'What was sold, as sent.';
COMMENT ON COLUMN adjustments.currency IS 'The currency of both amounts.';
COMMENT ON COLUMN adjustments.request_id IS 'The id of the request.';
COMMENT ON COLUMN adjustments.api_key_id IS 'The key that was used.';
COMMENT ON COLUMN adjustments.amount_before_text IS 'The amount before, to the digit.';
COMMENT ON COLUMN adjustments.amount_after_text IS 'The amount since, to the digit.';
COMMENT ON COLUMN adjustments.amount_before IS 'The amount in the ledger before; NULL: late, or the number does not fit.';
COMMENT ON COLUMN adjustments.amount_after IS 'The amount since; NULL: vanished, or the number does not fit.';
COMMENT ON TABLE syncs IS 'Every sync that ended, and the stretch of time that it read: from covered_from (NULL: the beginning) to covered_until.';
COMMENT ON TABLE usage_rows IS 'What the view entries shows, as stored; seq orders rows of one instant.';
COMMENT ON TABLE skus IS 'What a SKU says, by habit.';
COMMENT ON TABLE changes IS 'What the view adjustments shows, as stored.';
COMMENT ON TABLE changed_rows IS 'The rows before and after each change.';
COMMENT ON VIEW closings IS 'Every month that was closed, and what was recorded then. A later revision shows the month after a change; what was closed first stays.';
COMMENT ON COLUMN closings.month IS 'The month, as in 2026-10.';
COMMENT ON COLUMN closings.timezone IS 'The IANA time zone of the month.';
COMMENT ON COLUMN closings.revision IS '1: the first closing. Only these, with their adjustments, count each charge once.';
COMMENT ON COLUMN closings.period_start IS 'The beginning of the month, included.';
COMMENT ON COLUMN closings.period_end IS 'The end of the month, excluded.';
COMMENT ON COLUMN closings.is_complete IS 'Whether all of it had been read again after late charges had been waited for.';
COMMENT ON COLUMN closings.digest IS 'SHA-256 of the canonical rows of the month, in hexadecimal digits.';
COMMENT ON COLUMN closings.row_count IS 'How many charges the month had.';
COMMENT ON COLUMN closings.sync IS 'The number of the latest sync then, as in the table syncs.';
COMMENT ON COLUMN closings.statement IS 'The statement as JSON, as it was recorded.';
COMMENT ON VIEW closing_totals IS 'The totals of every closing, by currency: texts, to the digit. Never add up two currencies.';
COMMENT ON COLUMN closing_totals.month IS 'The month, as in 2026-10.';
COMMENT ON COLUMN closing_totals.revision IS 'The revision of the closing, as in the view closings.';
COMMENT ON COLUMN closing_totals.currency IS 'The currency of the sums.';
COMMENT ON COLUMN closing_totals.debits IS 'What was charged.';
COMMENT ON COLUMN closing_totals.refunds IS 'Charges given back.';
COMMENT ON COLUMN closing_totals.purchases IS 'Credits that were bought.';
COMMENT ON COLUMN closing_totals.credits IS 'Any other gain.';
COMMENT ON COLUMN closing_totals.net IS 'The sum of all signed amounts: negative where more was spent than came in.';
COMMENT ON COLUMN closing_totals.count IS 'How many charges.';
COMMENT ON TABLE closed_months IS 'What the view closings shows, as stored; last_adjustment is the latest one then.';
CREATE TABLE venice_ledger (schema_version INTEGER, ledger_id VARCHAR);
COMMENT ON TABLE venice_ledger IS 'A ledger of the Python package venice-billing: the version of its tables.';
COMMENT ON COLUMN venice_ledger.ledger_id IS 'Made with the ledger: tells its datasets from others.';
INSERT INTO venice_ledger VALUES (3, '6f1b0f0e-3a3c-4a52-9a3e-0d5f4f2f9b11');
INSERT INTO usage_rows VALUES ('1', '2026-11-01 07:00:00+00', 'zai-org-glm-5-1-llm-output-mtoken', 'USD', '-0.0006356000000000000000000000', '-0.0006356', '0.0010000000000000000000000000', '0.001', '0.6356000000000000000000000000', '0.6356', 'API Inference', 'debit', 'key', 'false', 'true', 'r1', '10', '20', '30', NULL, NULL, 'true');
INSERT INTO usage_rows VALUES ('2', '2026-11-01 09:00:00+00', 'zai-org-glm-5-1-llm-output-mtoken', 'USD', NULL, '1E-30', '1.0000000000000000000000000000', '1', '1.0000000000000000000000000000', '1', '', 'credit', NULL, 'true', 'false', NULL, NULL, NULL, NULL, NULL, NULL, 'false');
INSERT INTO usage_rows VALUES ('3', '2026-11-01 11:00:00+00', 'account-credit', 'USD', '25.0000000000000000000000000000', '25', '25.0000000000000000000000000000', '25', '1.0000000000000000000000000000', '1', 'Credit purchase', 'purchase', NULL, 'true', 'false', NULL, NULL, NULL, NULL, NULL, NULL, 'true');
INSERT INTO skus VALUES ('account-credit', 'account-credit', NULL);
INSERT INTO skus VALUES ('zai-org-glm-5-1-llm-output-mtoken', 'zai-org-glm-5-1', 'llm');
INSERT INTO syncs VALUES ('1', NULL, '2026-11-01 12:00:00+00', '2026-11-01 12:00:00+00', 'false', '2', '0', '0', '0');
INSERT INTO syncs VALUES ('2', '2026-10-30 11:00:00+00', '2026-11-01 13:00:00+00', '2026-11-01 13:00:00+00', 'false', '3', '1', '0', '0');
INSERT INTO changes VALUES ('1', '2', '2026-11-01 13:00:00+00', 'late');
INSERT INTO changed_rows VALUES ('1', 'after', '2026-11-01 09:00:00+00', 'zai-org-glm-5-1-llm-output-mtoken', 'USD', NULL, '1E-30', '1.0000000000000000000000000000', '1', '1.0000000000000000000000000000', '1', '', 'credit', NULL, 'true', 'false', NULL, NULL, NULL, NULL, NULL, NULL, 'false');
INSERT INTO closed_months VALUES (1, '2026-11', 'UTC', 1, '2026-11-01 00:00:00+00', '2026-12-01 00:00:00+00', false, 'da82003606245b26b9215debe6525171468877fc672c93123c0a8baf43b1be3b', 3, 2, 1, '{"format": 1, "month": "2026-11", "timezone": "UTC", "start": "2026-11-01T00:00:00.000Z", "end": "2026-12-01T00:00:00.000Z", "revision": 1, "is_closed": true, "is_complete": false, "coverage": {"covered_from": null, "covered_until": "2026-11-01T13:00:00.000Z", "sync": 2, "synced_at": "2026-11-01T13:00:00.000Z", "overlap_seconds": 172800}, "digest": "da82003606245b26b9215debe6525171468877fc672c93123c0a8baf43b1be3b", "count": 3, "opening": {"month": null, "revision": null, "digest": null, "open_months": [], "totals": []}, "totals": [{"currency": "USD", "debits": "0.0006356", "refunds": "0", "purchases": "25", "credits": "0.000000000000000000000000000001", "net": "24.999364400000000000000000000001", "count": 3}], "by_model": [{"model": "account-credit", "currency": "USD", "debits": "0", "refunds": "0", "purchases": "25", "credits": "0", "net": "25", "count": 1}, {"model": "zai-org-glm-5-1", "currency": "USD", "debits": "0.0006356", "refunds": "0", "purchases": "0", "credits": "0.000000000000000000000000000001", "net": "-0.000635599999999999999999999999", "count": 2}], "by_key": [{"key": "key", "currency": "USD", "debits": "0.0006356", "refunds": "0", "purchases": "0", "credits": "0", "net": "-0.0006356", "count": 1}, {"key": null, "currency": "USD", "debits": "0", "refunds": "0", "purchases": "25", "credits": "0.000000000000000000000000000001", "net": "25.000000000000000000000000000001", "count": 2}], "closing_totals": [{"currency": "USD", "debits": "0.0006356", "refunds": "0", "purchases": "25", "credits": "0.000000000000000000000000000001", "net": "24.999364400000000000000000000001", "count": 3}], "adjustments": [], "adjustment_totals": [], "restatement": null}');
