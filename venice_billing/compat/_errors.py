"""The errors of the old SDK that billing calls may end in: the errors of this client under the old names."""

from venice_billing.errors import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    BillingTimeoutError,
    InsufficientBalanceError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ResponseValidationError,
    ServerError,
    VeniceError,
)

APIResponseValidationError = ResponseValidationError
APITimeoutError = BillingTimeoutError
InternalServerError = ServerError
PaymentRequiredError = InsufficientBalanceError
ServiceUnavailableError = ServerError
UnprocessableEntityError = InvalidRequestError

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APITimeoutError",
    "AuthenticationError",
    "BillingTimeoutError",
    "InternalServerError",
    "InvalidRequestError",
    "NotFoundError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServiceUnavailableError",
    "UnprocessableEntityError",
    "VeniceError",
]
