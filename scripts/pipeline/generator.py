"""Generate the Python package: the version of the generator is checked before anything of it is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.internals import GenerationError, refuse_other_versions

if TYPE_CHECKING:
    from pathlib import Path

    from contract.document import Document

__all__ = ["PACKAGE", "GenerationError", "generate_package"]

PACKAGE = "venice_billing_api"


def generate_package(contract: Document, openapi_folder: Path, target: Path) -> list[str]:
    """Write the package for `contract` into the folder `target`; return the generator's warnings, a line each.

    Raises:
        GenerationError: An operation cannot be expressed, or the generator is of another version than the
            templates; nothing of the result is to be used.
    """
    refuse_other_versions()
    from pipeline.building import build_package  # noqa: PLC0415 - another version may lack what it imports

    return build_package(contract, openapi_folder, target)
