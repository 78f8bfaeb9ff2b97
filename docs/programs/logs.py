"""Log charges with structlog, as lines of JSON: money as text, since readers of JSON round numbers."""

import structlog

from venice_billing import VeniceBilling

structlog.configure(
    processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer(default=str)],
)
log = structlog.get_logger()

with VeniceBilling() as client:
    for row in client.iter_usage_history(start_timestamp="2026-10-31", end_timestamp="2026-11-01").rows():
        log.info("charge", **row)  # Decimal and datetime become text by default=str, to the digit
