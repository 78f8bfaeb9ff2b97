"""The places of the contract that mutations edit, and a parameter they add."""

from __future__ import annotations

SCHEMAS = "components schemas"
ENTRY = f"{SCHEMAS} UsageEntry"
DETAILS = f"{SCHEMAS} InferenceDetails"
BALANCE = f"{SCHEMAS} Balance"
ANALYTICS = f"{SCHEMAS} UsageAnalytics"
HISTORY_PAGE = f"{SCHEMAS} UsageHistoryPage"
PAGE = f"{SCHEMAS} UsagePage"
BALANCE_CALL = "paths /billing/balance get"
USAGE_CALL = "paths /billing/usage get"
ANALYTICS_CALL = "paths /billing/usage-analytics get"
HISTORY_CALL = "paths /billing/usage-history get"
NEW_PARAMETER = {"name": "apiKeyId", "in": "query", "schema": {"type": "string"}}
