"""The type of a fault."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from venice_billing.testing._responses import Response


@frozen
class Fault:
    """A named change of a response."""

    name: str
    apply: Callable[[Response], Response]

    def __str__(self) -> str:
        return self.name


def unpacked(response: Response) -> Response:
    """Return the response without compression."""
    if response.header("content-encoding") != "gzip":
        return response
    headers = tuple(pair for pair in response.headers if pair[0].lower() != "content-encoding")
    return evolve(response, headers=headers, body=gzip.decompress(response.body))
