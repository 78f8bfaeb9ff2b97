"""The local ledger: every charge of an account once, on your own disk, in one DuckDB file. Needs the extra `ledger`."""

from venice_billing.ledger.results import (
    Adjustment,
    Change,
    Coverage,
    CoveredStretch,
    SyncProgress,
    SyncReport,
)
from venice_billing.ledger.statement import Opening, Restatement, StatedChange, StatedCoverage, Statement
from venice_billing.ledger.store import Ledger

__all__ = [
    "Adjustment",
    "Change",
    "Coverage",
    "CoveredStretch",
    "Ledger",
    "Opening",
    "Restatement",
    "StatedChange",
    "StatedCoverage",
    "Statement",
    "SyncProgress",
    "SyncReport",
]
