"""How the value of a parameter or a header is written as text: what OpenAPI's `style`, `explode` and `content` say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.patterns import texts_covered
from contract.schemas import types_of

if TYPE_CHECKING:
    from contract.model import Parameter
    from contract.schemas import Reader, Schema

_SCALARS = frozenset({"boolean", "integer", "null", "number", "string"})
_RESERVED = ":/?#[]@!$&'()*+,;="
_SIGNS_OF_FORMATS = {"date": "-", "date-time": "-:.+", "uuid": "-"}


def written_as(reader: Reader, parameter: Parameter) -> str:
    """Name the form of a value: `plain`, or its media type; a scalar as text/plain is plain as well."""
    is_plain = parameter.media_type is None or (parameter.media_type == "text/plain" and is_scalar(reader, parameter))
    return "plain" if is_plain else str(parameter.media_type)


def style(parameter: Parameter) -> str:
    """Return the style, the default of its place where it names none."""
    return str(parameter.raw.get("style", "form" if parameter.place in {"query", "cookie"} else "simple"))


def is_exploded(parameter: Parameter) -> bool:
    """Tell whether a list or an object is written as several parameters, the default of its style included."""
    return bool(parameter.raw.get("explode", style(parameter) == "form"))


def shows_explosion(reader: Reader, parameter: Parameter) -> bool:
    """Tell whether `explode` makes a difference: none for a scalar, nor for a list that is joined by commas anyway."""
    types = set(types_of(reader.level(parameter.schema)))
    return not types <= (_SCALARS | {"array"} if style(parameter) == "simple" else _SCALARS)


def is_scalar(reader: Reader, parameter: Parameter) -> bool:
    """Tell whether the value is never a list or an object."""
    return set(types_of(reader.level(parameter.schema))) <= _SCALARS


def is_unreserved(level: Schema) -> bool:
    """Tell whether no value holds a reserved character, so that there is nothing to percent-encode."""
    return _lacks(level, _RESERVED)


def single_item(reader: Reader, parameter: Parameter) -> Any:
    """Return the schema of an item where a list of one is written as the item alone; None elsewhere.

    Where items are joined by commas, a text with a comma in it would be read as several.
    """
    level = reader.level(parameter.schema)
    if parameter.media_type or types_of(level) != ["array"] or style(parameter) not in {"form", "simple"}:
        return None
    if level.get("minItems", 0) > 1 or level.get("maxItems", 1) < 1 or not isinstance(level.get("items"), dict):
        return None
    is_joined = style(parameter) == "simple" or not is_exploded(parameter)
    item = reader.level(level["items"])
    return None if is_joined and not _lacks(item, ",") else level["items"]


def _lacks(level: Schema, signs: str) -> bool:
    """Tell whether it is certain that no text which a level admits holds one of the signs."""
    if "string" not in types_of(level):
        return True
    if "enum" in level:
        return not any(set(str(value)) & set(signs) for value in level["enum"])
    if level.get("format") in _SIGNS_OF_FORMATS:
        return not set(_SIGNS_OF_FORMATS[level["format"]]) & set(signs)
    without = {"pattern": "^[^{}]*$".format("".join(f"\\{sign}" for sign in signs))}
    return texts_covered(without, level) is True
