"""Why a walk cannot go on with its pages: it reopens its range, or ends."""

from __future__ import annotations

from typing import Literal, TypeAlias

from venice_billing.errors import ResponseValidationError

Pages: TypeAlias = Literal["as before", "largest", "half"]


class PaginationLostError(Exception):
    """The next page cannot be relied on: a cursor came twice, or pages shifted. The position is still valid."""


class CrowdedInstantError(PaginationLostError):
    """Too many pages in a row brought rows, but none later than one instant. Larger pages may get past it."""


class CheckError(PaginationLostError):
    """The pages may be right; reopening the range at the position settles it. Each matter is settled once.

    Attributes:
        pages: Which pages to reopen the range with: of the size as before, of the largest, or of half of that.
    """

    def __init__(self, message: str, pages: Pages = "as before") -> None:
        super().__init__(message)
        self.pages: Pages = pages


class BrokenWalkError(ResponseValidationError):
    """What the walk has handed on is not what the API has: to go on from there would not be exact."""


class PagesOutOfOrderError(BrokenWalkError):
    """A page went back in time with rows that were not handed on: nothing tells which other rows are missing."""
