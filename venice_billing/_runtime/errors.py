"""The base of all errors, and the errors that generated code raises, besides httpx's own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_EXCERPT = 200
_LONGEST_VALUE = 80


class VeniceError(Exception):
    """Base of every error of this package; nothing else escapes a public call.

    Attributes:
        checkpoint: In a walk, the text that continues the walk with exactly the rest; otherwise None.
    """

    __module__ = "venice_billing.errors"  # its public place
    checkpoint: str | None = None

    def __reduce__(self) -> tuple[Callable[..., VeniceError], tuple[Any, ...]]:
        """Pickle by class, arguments and attributes: keyword-only constructors do not survive the default."""
        return _restore, (type(self), self.args, dict(self.__dict__))


def _restore(kind: type[VeniceError], args: tuple[Any, ...], state: dict[str, Any]) -> VeniceError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UnexpectedStatus(Exception):  # noqa: N818 - the name that users of generated clients know
    """The status is undocumented, and the client was told to raise on undocumented statuses."""

    def __init__(self, status_code: int, content: bytes) -> None:
        super().__init__(status_code, content)
        self.status_code = status_code
        self.content = content

    def __str__(self) -> str:
        excerpt = self.content[:_LONGEST_EXCERPT].decode(errors="replace")
        return f"unexpected status code {self.status_code}: {excerpt}"


class DecodeError(VeniceError, ValueError):
    """A text or a dict given to `from_json` or `from_dict` is not what the model consists of.

    The client itself raises `ResponseValidationError` for an answer that breaks the contract.

    Attributes:
        location: Where the problem is, like `data[3].amount`; empty for the body as a whole.
        problem: What is wrong there, as a bounded text.
    """

    __module__ = "venice_billing.errors"  # its public place

    def __init__(self, location: str, problem: str) -> None:
        super().__init__(location, problem)
        self.location = location
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.location or 'the body'}: {self.problem}"


def within(error: DecodeError, parent: str) -> DecodeError:
    """Return the same error as seen from one level up."""
    joint = "." if parent and error.location and not error.location.startswith("[") else ""
    return DecodeError(f"{parent}{joint}{error.location}", error.problem)


def mistyped(expected: str, value: Any) -> DecodeError:
    """Return the error of a value of another type or form than expected."""
    return DecodeError("", f"expected {expected}, got {described(value)}")


def described(value: Any) -> str:
    """Return what a decoded value is, in the words of JSON and at a bounded length."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"text {cut(value)!r}"
    if isinstance(value, (int, float, Decimal)):
        return f"the number {cut(_digits(value))}"
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def _digits(number: float | Decimal) -> str:
    """Return the text of a number; for an integer with more digits than Python converts, only its size."""
    try:
        return str(number)
    except ValueError:
        return "of thousands of digits"


def cut(text: str) -> str:
    """Return the beginning of a text that may be of any length."""
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


__all__ = ["DecodeError", "UnexpectedStatus", "VeniceError", "cut", "described", "mistyped", "within"]
