"""Fields that the contract demands and the fake knows nothing of: filled in with a value that the contract allows."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from venice_billing_api.samples import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def missing_fields(schema: str, known: Collection[str]) -> dict[str, Any]:
    """Return the fields that an object must have beside those that are known."""
    return {name: deepcopy(value) for name, value in REQUIRED.get(schema, {}).items() if name not in known}


def whole(schema: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with all fields that it must have."""
    return {**fields, **missing_fields(schema, fields)}
