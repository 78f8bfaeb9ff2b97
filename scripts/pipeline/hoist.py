"""Give every inline object and enum of a document a component of its own, named by a table and a rule."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Any

from contract.document import SCHEMA_PREFIX, operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.document import Document

# The four operations we know, by path: upstream has not always given them these ids.
_OPERATION_IDS = {
    "/billing/balance": "getBillingBalance",
    "/billing/usage": "getBillingUsage",
    "/billing/usage-analytics": "getBillingUsageAnalytics",
    "/billing/usage-history": "getBillingUsageHistory",
}

# Where a schema stands -> its name. Anything not listed is named after where it stands.
_NAMES = {
    "getBillingBalance 200": "Balance",
    "getBillingUsage 200": "UsagePage",
    "getBillingUsageAnalytics 200": "UsageAnalytics",
    "getBillingUsageHistory 200": "UsageHistoryPage",
    "getBillingUsage ?currency": "LegacyCurrency",
    "getBillingUsage ?sortOrder": "SortOrder",
    "getBillingUsageHistory ?currency": "HistoryCurrency",
    "Balance.balances": "Balances",
    "Balance.consumptionCurrency": "Currency",
    "UsageEntry.currency": "Currency",
    "UsageEntry.inferenceDetails": "InferenceDetails",
    "UsagePage.data[]": "UsageEntry",
    "UsagePage.pagination": "Pagination",
    "UsageHistoryPage.data[]": "UsageEntry",
    "UsageAnalytics.byDate[]": "DailyUsage",
    "UsageAnalytics.byKey[]": "ApiKeyUsage",
    "UsageAnalytics.byModel[]": "ModelUsage",
    "UsageAnalytics.byKeyDaily[]": "DailySeriesPoint",
    "UsageAnalytics.byKeyDailyUsd[]": "DailySeriesPoint",
    "UsageAnalytics.byModelDaily[]": "DailySeriesPoint",
    "UsageAnalytics.byModelDailyUsd[]": "DailySeriesPoint",
    "ModelUsage.breakdown[]": "ModelUsageBreakdown",
}

# One open enum for every currency a response may carry: its values are the union of what is documented.
_UNITED_ENUMS = frozenset({"Currency"})

_NULL = {"enum": [None]}  # in OpenAPI 3.0, only a `type` keeps null out
_ALTERNATIVES = ("allOf", "anyOf", "oneOf")
_RETIRED = "getBillingUsage"
_VERSION_PREFIX = re.compile(r"^/api/v\d+")


def hoist_schemas(document: Document) -> Document:
    """Return the document with its inline objects and enums moved into `components.schemas`.

    Two different schemas never share a name: the later one, the retired operation's, is called
    `Legacy…`, any other after the place where it stands.
    """
    return _Hoister(document).hoisted()


class _Hoister:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._schemas: dict[str, Any] = {}
        self._named = dict(document["components"]["schemas"])
        self._operation_id = ""
        self._is_3_0 = str(document["openapi"]).startswith("3.0")

    def hoisted(self) -> Document:
        for name in sorted(self._named):
            self._schemas[name] = self._children_hoisted(self._named[name], name)
        paths: dict[str, Any] = {path: {} for path in self._document["paths"]}
        # The retired operation last: where both ledgers describe the same thing, the living one names it.
        for path, method, operation in sorted(operations(self._document), key=_retired_last):
            paths[path][method] = self._operation(path, method, operation)
        components = {**self._document["components"], "schemas": self._schemas}
        return {**self._document, "paths": paths, "components": components}

    def _operation(self, path: str, method: str, operation: Document) -> Document:
        operation_id = self._operation_id = _operation_id(path, method, operation)
        hoisted = {**operation, "operationId": operation_id}
        hoisted["parameters"] = [self._parameter(one, operation_id) for one in operation["parameters"]]
        if "requestBody" in operation:
            hoisted["requestBody"] = self._with_content(operation["requestBody"], f"{operation_id} body")
        hoisted["responses"] = {
            str(status): self._with_content(response, f"{operation_id} {status}")
            for status, response in operation.get("responses", {}).items()
        }
        return hoisted

    def _parameter(self, parameter: Document, operation_id: str) -> Document:
        if "schema" not in parameter:
            return parameter
        return {**parameter, "schema": self._schema(parameter["schema"], f"{operation_id} ?{parameter['name']}")}

    def _with_content(self, holder: Document, place: str) -> Document:
        if "content" not in holder:
            return holder
        content = {
            media: {**item, "schema": self._schema(item["schema"], place)} if "schema" in item else item
            for media, item in holder["content"].items()
        }
        return {**holder, "content": content}

    def _schema(self, schema: Any, place: str) -> Any:
        """Return what stands at `place` now: a reference where the schema deserved a name."""
        if not isinstance(schema, dict) or "$ref" in schema:
            return schema
        if _is_null(schema) and self._is_3_0:
            return dict(_NULL)
        if not _deserves_name(schema) or _reference_or_null(schema):
            return self._in_one_form(self._children_hoisted(schema, place))
        nullable = schema.get("nullable") is True
        bare = _without_null(schema) if nullable else schema
        reference = {"$ref": SCHEMA_PREFIX + self._register(bare, place)}
        return _or_null(reference, schema.get("type", "object")) if nullable else reference

    def _in_one_form(self, schema: Any) -> Any:
        """Return a schema whose inside is done, in our form where it says "this component or null"."""
        reference = _reference_or_null(schema) if isinstance(schema, dict) else None
        if reference is None or not self._is_3_0:
            return schema
        name = str(reference["$ref"]).removeprefix(SCHEMA_PREFIX)
        component = self._schemas.get(name) or self._named.get(name) or {}
        return _or_null(reference, component.get("type"))

    def _register(self, schema: Document, place: str) -> str:
        for name in self._candidate_names(place):
            taken = self._schemas.get(name, self._named.get(name))
            hoisted = self._children_hoisted(schema, name)
            if taken is not None and name in _UNITED_ENUMS:
                hoisted = _united(taken, hoisted)
            elif taken is not None and taken != hoisted:
                continue
            self._schemas[name] = hoisted
            return name
        raise AssertionError("the candidate names are endless")  # pragma: no cover

    def _candidate_names(self, place: str) -> Iterator[str]:
        name = _NAMES.get(place) or _name_after(place)
        retired = self._operation_id == _RETIRED
        yield name
        yield ("Legacy" if retired else _name_after(self._operation_id)) + name
        yield from (f"{name}{number}" for number in count(2))

    def _children_hoisted(self, schema: Any, place: str) -> Any:
        if not isinstance(schema, dict):
            return schema
        hoisted = dict(schema)
        if isinstance(schema.get("properties"), dict):
            hoisted["properties"] = {
                key: self._schema(value, f"{place}.{key}") for key, value in schema["properties"].items()
            }
        if "items" in schema:
            hoisted["items"] = self._schema(schema["items"], f"{place}[]")
        if isinstance(schema.get("additionalProperties"), dict):
            hoisted["additionalProperties"] = self._schema(schema["additionalProperties"], f"{place}.value")
        for word in _ALTERNATIVES:
            if word in schema:
                hoisted[word] = [self._schema(one, f"{place}.{word}{i}") for i, one in enumerate(schema[word], 1)]
        return hoisted


def _retired_last(found: tuple[str, str, Document]) -> tuple[bool, str, str]:
    path, method, operation = found
    return _operation_id(path, method, operation) == _RETIRED, path, method


def _operation_id(path: str, method: str, operation: Document) -> str:
    """Return our id of a known operation, upstream's of another, or one made of method and path."""
    known = _OPERATION_IDS.get(_VERSION_PREFIX.sub("", path)) if method == "get" else None
    own = str(operation.get("operationId") or f"{method} {path}")
    return known or _camel(own)


def _deserves_name(schema: Document) -> bool:
    return schema.get("type") == "object" or "properties" in schema or "enum" in schema


def _or_null(reference: Document, kind: Any) -> Document:
    """Return "this component or null" in the one form that the tools we tried all read as just that.

    Strict readers of OpenAPI 3.0 want null among the alternatives: beside a lone reference, in `allOf` too, `nullable`
    does not admit it. Generators of types want `nullable` itself. Validators on Ajv (Prism 5, for one) want a `type`
    beside `nullable`, and refuse `nullable` beside an `enum` that holds null. Only one type fits beside it.
    """
    either = {"anyOf": [reference, dict(_NULL)]}
    return {"type": kind, "nullable": True, **either} if isinstance(kind, str) else either


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("enum") == _NULL["enum"]


def _reference_or_null(schema: Document) -> Document | None:
    """Return the reference in a schema that says "this component or null", in whichever of the usual forms."""
    for word in _ALTERNATIVES:
        branches = schema.get(word)
        if isinstance(branches, list) and schema.keys() <= {word, "nullable", "type"}:
            real = [branch for branch in branches if not _is_null(branch)]
            admits_null = schema.get("nullable") is True or (word != "allOf" and len(real) < len(branches))
            if admits_null and len(real) == 1 and isinstance(real[0], dict) and "$ref" in real[0]:
                return real[0]
    return None


def _without_null(schema: Document) -> Document:
    bare = {key: value for key, value in schema.items() if key != "nullable"}
    if "enum" in bare:
        bare["enum"] = [value for value in bare["enum"] if value is not None]
    return bare


def _united(first: Document, second: Document) -> Document:
    values = [*first.get("enum", ()), *(value for value in second.get("enum", ()) if value not in first["enum"])]
    return {**first, "enum": values}


def _name_after(place: str) -> str:
    """Return a component name made of a place: `getThing 200` -> `ThingResponse`, `Thing.part[]` -> `ThingPartItem`."""
    operation_id, _, inside = place.partition(" ")
    base = operation_id.removeprefix("get") or operation_id
    if inside.startswith("2"):
        inside = "response"
    elif inside[:1].isdigit() or inside == "default":
        inside = f"error {inside}"
    words = re.findall(r"[A-Za-z0-9]+", f"{base} {inside}".replace("[]", " item"))
    return "".join(f"{word[0].upper()}{word[1:]}" for word in words)


def _camel(text: str) -> str:
    first, *rest = re.findall(r"[A-Za-z0-9]+", text) or ["operation"]
    return f"{first[0].lower()}{first[1:]}" + "".join(f"{word[0].upper()}{word[1:]}" for word in rest)
