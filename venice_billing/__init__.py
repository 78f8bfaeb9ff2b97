"""A typed client for the Venice.ai billing API: what your usage costs, every charge once, to the last digit.

Start with `VeniceBilling`, or with `AsyncVeniceBilling` for asyncio and trio.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from venice_billing._version import __version__

if TYPE_CHECKING:
    from venice_billing.client import AsyncVeniceBilling, VeniceBilling
    from venice_billing.csv_export import CsvExport
    from venice_billing.errors import (
        AdminKeyRequiredError,
        APIConnectionError,
        APIError,
        AuthenticationError,
        BillingTimeoutError,
        ClientClosedError,
        CursorRejectedError,
        EndpointRetiredError,
        ExportError,
        InsufficientBalanceError,
        InvalidParameterError,
        InvalidRequestError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitError,
        ResponseValidationError,
        ServerError,
        VeniceError,
    )
    from venice_billing.models import (
        ApiKeyUsage,
        Balance,
        Balances,
        Currency,
        DailyUsage,
        InferenceDetails,
        ModelUsage,
        ModelUsageBreakdown,
        Pagination,
        UsageAnalytics,
        UsageCsv,
        UsageEntry,
        UsageHistoryPage,
        UsagePage,
    )
    from venice_billing.walks import AsyncUsageWalk, EntryPage, UsageWalk

__all__ = [
    "APIConnectionError",
    "APIError",
    "AdminKeyRequiredError",
    "ApiKeyUsage",
    "AsyncUsageWalk",
    "AsyncVeniceBilling",
    "AuthenticationError",
    "Balance",
    "Balances",
    "BillingTimeoutError",
    "ClientClosedError",
    "CsvExport",
    "Currency",
    "CursorRejectedError",
    "DailyUsage",
    "EndpointRetiredError",
    "EntryPage",
    "ExportError",
    "InferenceDetails",
    "InsufficientBalanceError",
    "InvalidParameterError",
    "InvalidRequestError",
    "ModelUsage",
    "ModelUsageBreakdown",
    "NotFoundError",
    "Pagination",
    "PermissionDeniedError",
    "RateLimitError",
    "ResponseValidationError",
    "ServerError",
    "UsageAnalytics",
    "UsageCsv",
    "UsageEntry",
    "UsageHistoryPage",
    "UsagePage",
    "UsageWalk",
    "VeniceBilling",
    "VeniceError",
    "__version__",
]

# Each name is loaded when it is first used: who imports an error class needs no HTTP client for it.
_HOMES = {
    "client": (
        "AsyncVeniceBilling",
        "VeniceBilling",
    ),
    "csv_export": ("CsvExport",),
    "errors": (
        "AdminKeyRequiredError",
        "APIConnectionError",
        "APIError",
        "AuthenticationError",
        "BillingTimeoutError",
        "ClientClosedError",
        "CursorRejectedError",
        "EndpointRetiredError",
        "ExportError",
        "InsufficientBalanceError",
        "InvalidParameterError",
        "InvalidRequestError",
        "NotFoundError",
        "PermissionDeniedError",
        "RateLimitError",
        "ResponseValidationError",
        "ServerError",
        "VeniceError",
    ),
    "models": (
        "ApiKeyUsage",
        "Balance",
        "Balances",
        "Currency",
        "DailyUsage",
        "InferenceDetails",
        "ModelUsage",
        "ModelUsageBreakdown",
        "Pagination",
        "UsageAnalytics",
        "UsageCsv",
        "UsageEntry",
        "UsageHistoryPage",
        "UsagePage",
    ),
    "walks": (
        "AsyncUsageWalk",
        "EntryPage",
        "UsageWalk",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
