"""The notebook runs on an account, as it does while the site is built on the made-up one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient

if TYPE_CHECKING:
    from venice_billing.testing import FakeVenice

OCTOBER_IN_BERLIN = {"start": "2026-09-30T22:00:00Z", "end": "2026-10-31T23:00:00Z"}


def test_notebook_reads_the_account_of_the_key(served: FakeVenice) -> None:
    notebook = nbformat.read(Path(__file__).with_name("notebook.ipynb"), as_version=4)
    NotebookClient(notebook, timeout=120).execute()
    outputs = [output["data"]["text/plain"] for cell in notebook.cells for output in cell.get("outputs", ())]
    assert outputs[0].startswith("<VeniceBilling of http://127.0.0.1:")
    assert outputs[1] == str(len(served.rows(**OCTOBER_IN_BERLIN)))
    assert outputs[2].startswith("SpendTable by currency; time zone Europe/Berlin; ")
