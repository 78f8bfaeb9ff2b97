"""The version of openapi-python-client that our templates are for, and all of its internals that we rely on.

None of these is its public API. What a newer version has moved, `moved()` names; a test asserts that it is nothing.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

GENERATOR = "openapi-python-client"
VERSION = "0.29.1"

# Objects by their modules, and the attributes that `building` or a template of ours uses.
OBJECTS: dict[str, tuple[str, ...]] = {
    "openapi_python_client:Project": ("build", "env"),
    "openapi_python_client:TEMPLATE_FILTERS": (),
    "openapi_python_client.config:Config": ("from_sources", "post_hooks"),
    "openapi_python_client.config:ConfigFile": ("load_from_path",),
    "openapi_python_client.config:MetaType": ("NONE",),
    "openapi_python_client.parser:GeneratorData": ("endpoint_collections_by_tag", "enums", "from_dict", "models"),
    "openapi_python_client.parser.errors:GeneratorError": ("detail", "header"),
    "openapi_python_client.parser.openapi:EndpointCollection": ("endpoints",),
    "openapi_python_client.parser.openapi:Endpoint": (
        *("bodies", "description", "header_parameters", "method", "name", "path", "path_parameters"),
        *("query_parameters", "relative_imports", "responses", "summary"),
    ),
    "openapi_python_client.parser.bodies:Body": ("prop",),
    "openapi_python_client.parser.responses:Responses": ("default", "patterns"),
    "openapi_python_client.parser.responses:Response": ("data", "prop", "status_code"),
    "openapi_python_client.parser.responses:HTTPStatusPattern": ("pattern", "range"),
    "openapi_python_client.parser.properties:ModelProperty": (
        *("additional_properties", "class_info", "description", "lazy_imports", "optional_properties"),
        *("relative_imports", "required_properties", "self_import", "template"),
    ),
    "openapi_python_client.parser.properties.protocol:PropertyProtocol": (
        *("default", "description", "get_base_type_string", "get_type_string", "name", "python_name", "required"),
        "template",
    ),
    "openapi_python_client.parser.properties.protocol:Value": ("python_code",),
    "openapi_python_client.parser.properties.any:AnyProperty": (),
    "openapi_python_client.parser.properties.float:FloatProperty": ("_type_string",),
    "openapi_python_client.parser.properties.enum_property:EnumProperty": (
        *("class_info", "description", "value_type", "values"),
    ),
    "openapi_python_client.parser.properties.list_property:ListProperty": ("inner_property",),
    "openapi_python_client.parser.properties.union:UnionProperty": ("inner_properties",),
    "openapi_python_client.parser.properties.schemas:Class": ("module_name", "name"),
    "openapi_python_client.schema:Response": ("content",),
    "openapi_python_client.schema.untrusted_string:UntrustedString": ("get_untrusted_value",),
    "openapi_python_client.strings:RESERVED_WORDS": (),
    "openapi_python_client.strings:PythonCode": ("as_unembedded_code",),
    "openapi_python_client.strings:in_double_quote_literal": (),
    "openapi_python_client.strings:safe_for_docstring": (),
    "openapi_python_client.strings:snake_case": (),
}

# Templates of the generator: those that ours take the place of, and those that name what a property is.
TEMPLATES = (
    *("api_init.py.jinja", "client.py.jinja", "endpoint_init.py.jinja", "endpoint_module.py.jinja", "errors.py.jinja"),
    *("model.py.jinja", "models_init.py.jinja", "package_init.py.jinja", "str_enum.py.jinja", "types.py.jinja"),
    *(f"property_templates/{kind}_property.py.jinja" for kind in ("enum", "float", "list", "model", "union")),
)


class GenerationError(RuntimeError):
    """The contract holds what the generator cannot express, or the generator is not the one we know."""


def refuse_other_versions() -> None:
    """Check the version of the generator.

    Raises:
        GenerationError: It is not installed, or is another than the templates are for.
    """
    try:
        installed = importlib.metadata.version(GENERATOR)
    except importlib.metadata.PackageNotFoundError:
        installed = "none"
    if installed != VERSION:
        raise GenerationError(
            f"openapi/templates are for {GENERATOR} {VERSION}, and {installed} is installed: install {VERSION}, "
            "or fit the templates and scripts/pipeline/internals.py to the other"
        )


def moved() -> list[str]:
    """Return the names of all internals that the installed generator does not have where we look for them."""
    return [*(name for place, attributes in OBJECTS.items() for name in _missing(place, attributes)), *_templates()]


def _missing(place: str, attributes: tuple[str, ...]) -> Iterator[str]:
    module, _, name = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        yield place
        return
    yield from (f"{place}.{attribute}" for attribute in attributes if not _has(found, attribute))


def _has(kind: Any, attribute: str) -> bool:
    """Tell whether a class has an attribute, or gives one to its instances: as a field, or in `__init__`."""
    if hasattr(kind, attribute) or attribute in getattr(kind, "model_fields", ()):
        return True
    if any(attribute in vars(base).get("__annotations__", ()) for base in kind.__mro__):
        return True
    return attribute in getattr(getattr(kind.__init__, "__code__", None), "co_names", ())


def _templates() -> Iterator[str]:
    folder = importlib.resources.files("openapi_python_client") / "templates"
    yield from (f"templates/{name}" for name in TEMPLATES if not (folder / name).is_file())
