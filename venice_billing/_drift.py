"""Notice what no document names: unknown fields and values are data, kept, and logged once each at INFO."""

from __future__ import annotations

import logging
import re
from enum import Enum
from functools import cache
from typing import Any, cast

import attrs

from venice_billing_api import models

_log = logging.getLogger("venice_billing")
_KEPT = 1000
_NAME_LIMIT = 80
_OPEN_MAPS = (models.DailySeriesPoint,)  # whose other keys are display names, chosen by the account holder
_noted: set[tuple[str, str]] = set()


def note_drift(value: object) -> None:
    """Log each field and each enum value in a model that the contract does not know, once in this process."""
    if isinstance(value, list):
        for item in value:
            note_drift(item)
    elif isinstance(value, Enum):
        if value.value not in type(value)._value2member_map_:
            note(f"{type(value).__name__} value", value.value)
    elif attrs.has(type(value)):
        for name in _worth_a_look(cast("type[attrs.AttrsInstance]", type(value))):
            note_drift(getattr(value, name))
        _note_unknown_fields(value)


def note(kind: str, name: str) -> None:
    """Log one thing that no document names, unless it was logged before."""
    name = name[:_NAME_LIMIT]
    if (kind, name) not in _noted and len(_noted) < _KEPT:
        _noted.add((kind, name))
        _log.info("not in the contract, kept as data: %s %r", kind, name)


def _note_unknown_fields(value: Any) -> None:
    if value.additional_properties and not isinstance(value, _OPEN_MAPS):
        for name in value.additional_properties:
            note(f"field of {type(value).__name__}", name)


@cache
def _worth_a_look(kind: type[attrs.AttrsInstance]) -> tuple[str, ...]:
    """Return the attributes that hold models or enums, by their annotations: most hold plain values."""
    names = set(models.__all__)
    return tuple(
        attribute.name
        for attribute in attrs.fields(kind)
        if names.intersection(re.findall(r"\w+", str(attribute.type)))
    )
