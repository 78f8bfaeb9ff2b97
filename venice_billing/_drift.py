"""Notice what no document names: unknown fields and values are data, kept, and logged once each at INFO."""

from __future__ import annotations

import logging
import re
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import attrs

from venice_billing_api import models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = logging.getLogger("venice_billing")
_KEPT = 1000
_NAME_LIMIT = 80
_OPEN_MAPS = (models.DailySeriesPoint,)  # whose other keys are display names, chosen by the account holder
_noted: set[tuple[str, str]] = set()


def note_drift(value: object) -> None:
    """Log each field and each enum value in a model that the contract does not know, once in this process."""
    _note([value])


def note(kind: str, name: str) -> None:
    """Log one thing that no document names, unless it was logged before."""
    name = name[:_NAME_LIMIT]
    if (kind, name) not in _noted and len(_noted) < _KEPT:
        _noted.add((kind, name))
        _log.info("not in the contract, kept as data: %s %r", kind, name)


def _note(values: Sequence[Any]) -> None:
    """Look through values of one kind: attribute by attribute, which is many times faster than one by one."""
    kind = type(values[0])
    if issubclass(kind, list):
        _note_column([item for value in values for item in value])
    elif issubclass(kind, Enum):
        for value in set(values):
            if value.value not in kind._value2member_map_:
                note(f"{kind.__name__} value", value.value)
    elif attrs.has(kind):
        for read in _worth_a_look(kind):
            _note_column(list(map(read, values)))
        if kind not in _OPEN_MAPS:
            _note_unknown_fields(kind, values)


def _note_column(column: Sequence[object]) -> None:
    """Look through the values of one attribute: a model or null, an enum or nothing, a list of either."""
    for kind in set(map(type, column)):
        _note([value for value in column if type(value) is kind])


def _note_unknown_fields(kind: type, values: Sequence[Any]) -> None:
    for fields in filter(None, map(attrgetter("additional_properties"), values)):
        for name in fields:
            note(f"field of {kind.__name__}", name)


@cache
def _worth_a_look(kind: type[attrs.AttrsInstance]) -> tuple[Callable[[Any], Any], ...]:
    """Return what reads the attributes that hold models or enums, by their annotations: most hold plain values."""
    names = set(models.__all__)
    return tuple(
        attrgetter(attribute.name)
        for attribute in attrs.fields(kind)
        if names.intersection(re.findall(r"\w+", str(attribute.type)))
    )
