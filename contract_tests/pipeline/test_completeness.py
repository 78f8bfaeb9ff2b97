"""A package is made whole or not at all: what the generator leaves out or gets wrong is refused in one line."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.regeneration import UPSTREAM, regenerate_from
from pipeline.documents import load_document

if TYPE_CHECKING:
    from pathlib import Path

    from contract.document import Document

TEXT = {"type": "string"}
POST = {
    "operationId": "topUp",
    "requestBody": {"content": {"multipart/form-data": {"schema": {"type": "object"}}}},
    "responses": {"200": {"description": "OK"}},
}


def with_properties(**properties: Any) -> Document:
    """Return the small document with further properties in each row of the history."""
    document = load_document(UPSTREAM)
    page = document["paths"]["/billing/usage-history"]["get"]["responses"]["200"]["content"]["application/json"]
    page["schema"]["properties"]["data"]["items"]["properties"] |= properties
    return document


def with_cursor_pattern(pattern: str) -> Document:
    """Return the small document with another pattern of the cursor."""
    document = load_document(UPSTREAM)
    parameters = document["paths"]["/billing/usage-history"]["get"]["parameters"]
    next(each for each in parameters if each["name"] == "cursor")["schema"]["pattern"] = pattern
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            with_properties(**dict.fromkeys(["fooBar", "foo_bar", "foo-bar", "FooBar", "foo bar"], TEXT)),
            "would all be called foobar",
        ),
        (with_properties(**{'a"b': TEXT}), "UsageEntry: it cannot read a property called 'a\"b'"),
        (with_properties(**{"😀": TEXT, "-": TEXT}), "cannot express the 200 of get_billing_usage"),
        (with_properties(kind={"type": "string", "enum": ["a-b", "a_b"]}), "Duplicate key A_B in enum"),
        (
            {**load_document(UPSTREAM), "paths": {"/billing/x": {"post": POST}}},
            "request body of top_up, multipart/form-data",
        ),
        (with_cursor_pattern("["), "schema/pattern is no regular expression that can be read: '['"),
        (with_cursor_pattern("^((a{1,100}){1,100}){1,100}$"), "is no regular expression that can be read"),
    ],
    ids=["equal names", "quote", "dropped answer", "equal enum names", "multipart", "pattern", "huge pattern"],
)
def test_contract_that_has_no_whole_package_is_refused_in_one_line(
    document: Document, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert regenerate_from(document, tmp_path) == 2
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert complaint.startswith("regenerate: ")
    assert message in complaint
    assert not (tmp_path / "made").exists()


def test_properties_may_have_any_name_that_the_models_use_themselves(tmp_path: Path) -> None:
    names = ["NO_NAMES", "additional_properties", "attrs", "cls", "explicit_nulls", "from_dict", "from_json", "self"]
    names += ["src_dict", "source_", "to_dict", "to_json", "written", "on", "1", "class", "None", "datetime"]
    assert regenerate_from(with_properties(**dict.fromkeys(names, TEXT)), tmp_path) == 0
    row = {name: f"value of {name}" for name in names}
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path / "made" / "generated")!r})
from venice_billing_api import samples
from venice_billing_api.models import UsageEntry
row = {row!r} | samples.REQUIRED["UsageEntry"]
entry = UsageEntry.from_dict(row)
assert entry.to_dict() == row, entry
assert entry.additional_properties == {{}}
"""
    subprocess.run([sys.executable, "-c", program], check=True)
