"""How a command ends when it does not end well: one line on stderr, and an exit code."""

from __future__ import annotations

__all__ = ["FINDING", "OK", "UNKNOWN", "USAGE", "CommandError", "NoKeyError", "UsageError", "code_of"]

OK = 0
FINDING = 1
"""A breach, a difference, a month that cannot be closed yet."""
USAGE = 2
UNKNOWN = 3
"""It could not be told: the API or the network failed."""


class CommandError(Exception):
    """The command ends here, with one line and an exit code."""

    def __init__(self, message: str, code: int = UNKNOWN) -> None:
        super().__init__(message)
        self.code = code


class NoKeyError(CommandError):
    """There is no API key."""


class UsageError(CommandError):
    """The command line, the configuration or a file is wrong: the line names what was given and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, USAGE)


def code_of(error: Exception) -> int:
    """Return the exit code of an error of the library."""
    from venice_billing import errors  # noqa: PLC0415 - most commands end without one

    if isinstance(error, errors.LedgerUnavailableError):
        return UNKNOWN
    if isinstance(error, errors.ExportError):  # one that fails by the system has its error for a cause
        return USAGE if error.__cause__ is None else UNKNOWN
    return USAGE if isinstance(error, errors.InvalidParameterError | errors.LedgerError) else UNKNOWN
