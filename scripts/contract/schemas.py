"""Read the schemas of OpenAPI 3.0 and 3.1 documents as JSON Schema 2020-12, so that any two can be compared."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import jsonschema_rs
from attrs import evolve, frozen

from contract.document import Document, Trail, UnreadableDocumentError, own_reference, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

Schema = dict[str, Any]

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")

_LOWER_BOUNDS = frozenset({"exclusiveMinimum", "minimum", "minItems", "minLength", "minProperties"})
_UPPER_BOUNDS = frozenset({"exclusiveMaximum", "maximum", "maxItems", "maxLength", "maxProperties"})
_ONE_SCHEMA = frozenset({"additionalProperties", "contains", "items", "not", "propertyNames"})
_SCHEMA_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SCHEMA_MAPS = frozenset({"patternProperties", "properties"})
ASSERTIONS = (
    _LOWER_BOUNDS
    | _UPPER_BOUNDS
    | _ONE_SCHEMA
    | _SCHEMA_LISTS
    | _SCHEMA_MAPS
    | {"enum", "format", "multipleOf", "pattern", "required", "type", "uniqueItems"}
)


class Sender(Enum):
    """The side that sends a value; it never sends the properties that are flagged for the other side."""

    CONSUMER = "readOnly"
    SERVER = "writeOnly"


@frozen
class Reader:
    """Translates the schemas of one document, as they describe what `sender` sends; without one, what either does."""

    document: Document
    sender: Sender | None = None

    def facing(self, sender: Sender | None) -> Reader:
        """Return a reader of the same document for values of another sender."""
        return evolve(self, sender=sender)

    def level(self, schema: Any) -> Schema:
        """Return one level of a schema as 2020-12 words it, references and `allOf` folded in; children stay raw."""
        level = self._level(schema, frozenset())
        return self._without_hidden(level, self.sender) if self.sender and "properties" in level else level

    def _level(self, schema: Any, trail: Trail) -> Schema:
        _check(schema)
        if isinstance(schema, bool):
            return {} if schema else {"not": {}}
        if own_reference(schema) & trail:
            return {}
        # What stands beside a reference counts in 3.1 only.
        own = {} if "$ref" in schema and self._is_3_0 else schema
        parts = [resolve(self.document, schema)] if "$ref" in schema else []
        parts += own.get("allOf", ())
        level = _plain(own)
        trail |= own_reference(schema)
        for part in parts:
            level = _conjunction(level, self._level(part, trail))
        level = self._fold_alternatives(level, trail)
        return _or_null(level) if schema.get("nullable") is True and self._is_3_0 else level

    def translate(self, schema: Any, *, closed: bool = False, trail: Trail = frozenset()) -> Schema:
        """Return the whole schema in 2020-12, stripped of everything that asserts nothing.

        With `closed`, objects hold what they declare and nothing else. A recursion is cut where it repeats.
        """
        if references(schema) & trail:
            return {}
        trail |= references(schema)
        level = self._assertions(schema)
        level = _closed(level) if closed else level
        return _with_children(level, lambda child: self.translate(child, closed=closed, trail=trail))

    def shape(self, schema: Any, *, closed: bool, trail: Trail = frozenset()) -> Schema:
        """Return only what a reader relies on: presence, null, type and format; otherwise as `translate`."""
        if references(schema) & trail:
            return {}
        trail |= references(schema)
        level = self.level(schema)
        kept: Schema = {key: level[key] for key in ("properties", "required", "items", "anyOf") if key in level}
        kept["type"] = types_of(level)
        if "oneOf" in level:  # without their details the alternatives may overlap
            kept["anyOf"] = level["oneOf"]
        if isinstance(level.get("additionalProperties"), dict) or (closed and "additionalProperties" in level):
            kept["additionalProperties"] = level["additionalProperties"]
        kept = _closed(kept) if closed else kept
        if "format" in level and kept["type"] == ["string"]:
            # A reader parses each format in its own way, so two formats count as disjoint sets of texts.
            kept["enum"] = [f"({level['format']})"]
        return _with_children(kept, lambda child: self.shape(child, closed=closed, trail=trail))

    def validator(self, schema: Any) -> jsonschema_rs.Draft202012Validator:
        """Return a validator of one of the document's schemas, formats included, also where it contains itself."""
        keys: dict[str, str] = {}
        definitions: dict[str, Schema] = {}

        def whole(schema: Any) -> Schema:
            return _with_children(self._assertions(schema), child)

        def child(schema: Any) -> Schema:
            for name in own_reference(schema):
                if name not in keys:
                    keys[name] = str(len(keys))  # before its children, which may refer to it again
                    definitions[keys[name]] = whole(schema)
                return {"$ref": f"#/$defs/{keys[name]}"}
            return whole(schema)

        return jsonschema_rs.Draft202012Validator(whole(schema) | {"$defs": definitions}, validate_formats=True)

    def _assertions(self, schema: Any) -> Schema:
        return {key: value for key, value in self.level(schema).items() if key in ASSERTIONS}

    @property
    def _is_3_0(self) -> bool:
        return str(self.document["openapi"]).startswith("3.0")

    def _without_hidden(self, level: Schema, sender: Sender) -> Schema:
        """Return a level without the properties that `sender` does not send; they are not required of it either."""
        children = level["properties"].items()
        shown = {name: child for name, child in children if not self._is_flagged(child, sender.value, frozenset())}
        gone = level["properties"].keys() - shown.keys()
        visible = {**level, "properties": shown}
        if gone and "required" in level:
            visible["required"] = [name for name in level["required"] if name not in gone]
        return visible

    def _is_flagged(self, schema: Any, flag: str, trail: Trail) -> bool:
        if not isinstance(schema, dict) or own_reference(schema) & trail:
            return False
        own = {} if "$ref" in schema and self._is_3_0 else schema
        parts = [resolve(self.document, schema)] if "$ref" in schema else []
        trail |= own_reference(schema)
        return own.get(flag) is True or any(
            self._is_flagged(part, flag, trail) for part in (*parts, *own.get("allOf", ()))
        )

    def _fold_alternatives(self, level: Schema, trail: Trail) -> Schema:
        """Fold 'this or null', however it is written, into the one wording `type: [this, null]`."""
        for word in ("anyOf", "oneOf"):
            branches = [self._level(branch, trail) for branch in level.get(word, ())]
            real = [branch for branch in branches if not _is_null(branch)]
            if len(real) == 1:
                rest = {key: value for key, value in level.items() if key != word}
                folded = _conjunction(rest, real[0])
                level = _or_null(folded) if len(branches) > len(real) else folded
            elif branches:
                possible = {kind for branch in branches for kind in types_of(branch)}
                level = _conjunction(level, {"type": sorted(possible)})
        return level


def references(schema: Any) -> frozenset[str]:
    """Return the references that `Reader.level` folds into one level of this schema."""
    _check(schema)
    if isinstance(schema, bool):
        return frozenset()
    folded = [schema, *schema.get("allOf", ())]
    for word in ("anyOf", "oneOf"):
        real = [branch for branch in schema.get(word, ()) if isinstance(branch, bool) or not _is_null(_plain(branch))]
        folded += real if len(real) == 1 else []
    return frozenset().union(*map(own_reference, folded))


def reworded(schema: Schema) -> Schema:
    """Return the keywords of one level in the words of 2020-12, but for `nullable`; children stay raw."""
    words = {key: value for key, value in schema.items() if key not in {"const", "nullable"}}
    if "type" in schema and not isinstance(schema["type"], list):
        words["type"] = [schema["type"]]
    if "const" in schema:
        words["enum"] = [schema["const"]]
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        # The 3.0 pair `minimum: 0, exclusiveMinimum: true` is one number since.
        if isinstance(words.get(exclusive), bool) and words.pop(exclusive) and bound in words:
            words[exclusive] = words.pop(bound)
    return words


def numeric_formats(schema: Any) -> list[str]:
    """Return the formats of numbers in a translated schema, sorted: `covers` and `excludes` overlook them."""
    if isinstance(schema, list):
        return sorted(name for item in schema for name in numeric_formats(item))
    if not isinstance(schema, dict):
        return []
    own = [str(schema["format"])] if "format" in schema and "string" not in types_of(schema) else []
    return sorted([*own, *numeric_formats(list(schema.values()))])


def covers(outer: Schema, inner: Schema) -> bool:
    """Tell whether it is proven that `outer` admits every value `inner` does."""
    return outer == inner or _containment(outer, inner) == "yes"


def excludes(outer: Schema, inner: Schema) -> bool:
    """Tell whether it is proven that `inner` admits a value `outer` does not."""
    return _containment(outer, inner) == "no"


def types_of(level: Schema) -> list[str]:
    """Return the sorted types that one level of a schema allows; all of them where it does not say."""
    types = set(level.get("type", TYPES))
    if "enum" in level:
        valued = {_type_of(value) for value in level["enum"]}
        types = {kind for kind in valued if kind in types or (kind == "integer" and "number" in types)}
    return sorted(types)


def _containment(outer: Schema, inner: Schema) -> str:
    try:
        first, second = (
            jsonschema_rs.canonicalize(schema, draft=jsonschema_rs.Draft202012, validate_formats=True)
            for schema in (outer, inner)
        )
    except (ValueError, jsonschema_rs.ValidationError):  # for example an invalid pattern
        return "unknown"
    return str(first.covers(second))


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _is_null(level: Schema) -> bool:
    return level.get("type") == ["null"] or level.get("enum") == [None]


def _or_null(level: Schema) -> Schema:
    """Admit null as well: upstream writes `nullable` beside an `enum` that does not list it, and means it."""
    widened = dict(level)
    if "type" in level:
        widened["type"] = [*(kind for kind in level["type"] if kind != "null"), "null"]
    if "enum" in level:
        widened["enum"] = [*(value for value in level["enum"] if value is not None), None]
    return widened


def _check(schema: Any) -> None:
    """Refuse what only looks like a schema.

    Raises:
        UnreadableDocumentError: It is none, or one of its keywords holds what that keyword never can.
    """
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise UnreadableDocumentError(f"not a schema: {schema!r}")
    for key in (_SCHEMA_LISTS | _SCHEMA_MAPS | {"enum", "required"}) & schema.keys():
        if not isinstance(schema[key], dict if key in _SCHEMA_MAPS else list):
            raise UnreadableDocumentError(f"malformed schema: {key!r} is {schema[key]!r}")
    types = schema.get("type", [])
    if not all(isinstance(kind, str) for kind in (types if isinstance(types, list) else [types])):
        raise UnreadableDocumentError(f"malformed schema: 'type' is {types!r}")


def _plain(schema: Schema) -> Schema:
    """Return the keywords of one level in the words of 2020-12, without what refers to other schemas as a whole."""
    _check(schema)
    return {key: value for key, value in reworded(schema).items() if key not in {"$ref", "allOf"}}


def _with_children(level: Schema, translate: Callable[[Any], Schema]) -> Schema:
    def one(child: Any) -> Any:
        return child if isinstance(child, bool) else translate(child)

    translated = dict(level)
    for key, value in level.items():
        if key in _ONE_SCHEMA:
            translated[key] = one(value)
        elif key in _SCHEMA_LISTS:
            translated[key] = [one(child) for child in value]
        elif key in _SCHEMA_MAPS:
            translated[key] = {name: one(child) for name, child in value.items()}
    return translated


def _closed(level: Schema) -> Schema:
    if level.get("properties") and not isinstance(level.get("additionalProperties"), dict):
        return {**level, "additionalProperties": False}
    return level


def _conjunction(first: Schema, second: Schema) -> Schema:
    """Return one level that asserts what two do; of two annotations the first wins."""
    merged = dict(first)
    for key, value in second.items():
        if key not in merged or merged[key] == value:
            merged[key] = value
        elif key == "type":
            merged[key] = _common_types(merged[key], value)
        elif key == "enum":
            merged[key] = [item for item in merged[key] if item in value]
        elif key == "required":
            merged[key] = list(dict.fromkeys([*merged[key], *value]))
        elif key == "properties":
            merged[key] = _joint_properties(merged[key], value)
        elif key in _LOWER_BOUNDS:
            merged[key] = max(merged[key], value)
        elif key in _UPPER_BOUNDS:
            merged[key] = min(merged[key], value)
        elif key in ASSERTIONS:
            merged["allOf"] = [*merged.get("allOf", ()), {key: value}]
    return merged


def _common_types(first: list[str], second: list[str]) -> list[str]:
    common = [kind for kind in first if kind in second]
    if "integer" not in common and "integer" in {*first, *second} and "number" in {*first, *second}:
        common.append("integer")
    return common


def _joint_properties(first: Schema, second: Schema) -> Schema:
    joint = {**first, **second}
    for name in first.keys() & second.keys():
        if first[name] != second[name]:
            joint[name] = {"allOf": [first[name], second[name]]}
    return joint
