"""What a fault is."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from venice_billing.testing._answers import Answer


@frozen
class Fault:
    """A named change of an answer."""

    name: str
    apply: Callable[[Answer], Answer]

    def __str__(self) -> str:
        return self.name


def unpacked(answer: Answer) -> Answer:
    """Return the answer without compression."""
    if answer.header("content-encoding") != "gzip":
        return answer
    headers = tuple(pair for pair in answer.headers if pair[0].lower() != "content-encoding")
    return evolve(answer, headers=headers, body=gzip.decompress(answer.body))
