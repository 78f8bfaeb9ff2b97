"""What people look at: forecasts, charts and pages, made from totals. Nothing here asks the API.

Charts need the extra `report`, and are imported where one is drawn.
"""

from venice_billing.report.collect import make_report
from venice_billing.report.data import CurrencyReport, EpochUse, Report, RequestSpend
from venice_billing.report.files import ReportFormat, render_report, write_report
from venice_billing.report.forecast import Forecast

__all__ = [
    "CurrencyReport",
    "EpochUse",
    "Forecast",
    "Report",
    "ReportFormat",
    "RequestSpend",
    "make_report",
    "render_report",
    "write_report",
]
