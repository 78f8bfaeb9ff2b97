"""Without the extra `dlt`, the import of the source says the one line to type, and nothing else needs dlt."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORT = """
import sys
sys.modules[{missing!r}] = None
import venice_billing, venice_billing.ledger, venice_billing._warehouse
assert not any(name.partition(".")[0] in ("dlt", "pyarrow") for name in sys.modules if sys.modules[name])
try:
    import venice_billing.dlt_source
except ImportError as error:
    print(error, error.__cause__)
"""


@pytest.mark.parametrize("missing", ["dlt", "pyarrow"])
def test_import_without_the_extra_says_what_to_type(missing: str) -> None:
    if missing == "pyarrow":
        pytest.importorskip("dlt", reason="needs the extra `dlt`")
    command = [sys.executable, "-c", IMPORT.format(missing=missing)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "the dlt source needs dlt, and pyarrow for Parquet: pip install 'venice-billing[dlt]' None\n"
