"""Models as flat rows with fixed columns: for data frames, `csv.DictWriter` and SQL."""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import attrs

from venice_billing._runtime.codec import write_any
from venice_billing._runtime.json_text import encode_json
from venice_billing._runtime.models import JsonModel
from venice_billing._runtime.sku import split_sku

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST = ("timestamp", "sku", "units", "price_per_unit_usd", "amount", "currency", "notes")
_FROM_SKU = ("model", "service")
_LEADING = ("timestamp", "sku", *_FROM_SKU)
_UNKNOWN = "additional_properties"
_NO_COLUMNS = frozenset({_UNKNOWN, "explicit_nulls"})


class EntryModel(JsonModel):
    """A row of the ledger. A field of the contract with the name of one of these properties replaces it."""

    __slots__ = ()

    @property
    def model(self) -> str:
        """The id of the model, by the habit of SKUs; the whole SKU where it does not name one."""
        return split_sku(_sku_of(self)).model

    @property
    def service(self) -> str | None:
        """The service, by the habit of SKUs: llm, image, tts, asr or video; None where the SKU does not name one."""
        return split_sku(_sku_of(self)).service

    def row(self) -> dict[str, Any]:
        """Return the entry as a flat dict whose columns are the same for each entry.

        The columns are the attributes, those of `inference_details` and what the SKU says among them, each None where
        the API sent nothing. Numbers are `Decimal` or int, the timestamp is an aware datetime in UTC, the currency is
        text, and `additional_properties` is JSON text of the fields that the contract does not name, or None.
        """
        unknown: dict[str, Any] = dict(getattr(self, _UNKNOWN, {}))
        found: dict[str, Any] = dict.fromkeys(_LEADING)
        model: Any = type(self)
        for name, inner in _columns(model):
            value = getattr(self, name)
            if not inner:
                found[name] = _flat(value)
                continue
            for column, attribute in inner.items():
                found[column] = None if value is None else _flat(getattr(value, attribute))
            further = getattr(value, _UNKNOWN, None)
            if further:
                unknown[name] = further
        found |= {name: _flat(getattr(self, name)) for name in _FROM_SKU}
        found[_UNKNOWN] = encode_json(unknown) if unknown else None
        return found


class PageModel(JsonModel):
    """A page of the ledger."""

    __slots__ = ()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Iterate over the entries as flat dicts with fixed columns: see `UsageEntry.row`."""
        page: Any = self  # `data` is a field of the generated subclass
        return (entry.row() for entry in page.data)


def column_names(model: Any) -> list[str]:
    """Return the names of the columns of `row()`, in their order."""
    names = dict.fromkeys(_LEADING)
    for name, inner in _columns(model):
        names |= dict.fromkeys(inner or [name])
    return [*names, _UNKNOWN]


def _sku_of(entry: Any) -> str:
    sku: str = entry.sku  # a field of the generated subclass
    return sku


@cache
def _columns(model: Any) -> tuple[tuple[str, dict[str, str]], ...]:
    """Return the fields of a model; for a field that holds a model, its columns and the attributes they show."""
    names = [field.name for field in attrs.fields(model) if field.name not in _NO_COLUMNS]
    names.sort(key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    hints = get_type_hints(model)
    return tuple((name, _inner_columns(name, hints[name], names)) for name in names)


def _inner_columns(name: str, hint: Any, taken: list[str]) -> dict[str, str]:
    inner: list[Any] = [
        kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and issubclass(kind, JsonModel)
    ]
    fields = [field.name for kind in inner for field in attrs.fields(kind) if field.name not in _NO_COLUMNS]
    return {f"{name}_{field}" if field in taken else field: field for field in fields}


def _flat(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return encode_json(write_any(value)) if isinstance(value, list | dict | JsonModel) else value
