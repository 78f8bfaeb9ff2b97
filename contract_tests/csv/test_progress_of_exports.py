"""What an export of the API's CSV tells of its progress."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from venice_billing import InvalidParameterError
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path

    from contract_tests.support.flavours import Flavour
    from venice_billing import CsvProgress

pytestmark = pytest.mark.anyio


async def test_progress_is_told_after_each_page(flavour: Flavour, tmp_path: Path) -> None:
    fake = FakeVenice(250, days=30)
    told: list[CsvProgress] = []
    face = flavour.connect(fake)
    export = await face.call("export_usage_csv", tmp_path / "usage.csv", page_size=100, progress=told.append)
    assert [one.rows for one in told] == [100, 200, 250]
    assert (told[-1].size, told[-1].latest) == (
        export.size,
        datetime.fromisoformat(max(row["timestamp"] for row in fake.rows())),
    )


async def _nobody_awaits(_progress: CsvProgress) -> None:
    pass


@pytest.mark.parametrize("progress", [5, "print", _nobody_awaits])
async def test_what_is_no_function_is_refused_before_anything_is_sent(
    flavour: Flavour, tmp_path: Path, progress: object
) -> None:
    fake = FakeVenice(50, days=30)
    with pytest.raises(InvalidParameterError, match="progress must be a plain function"):
        await flavour.connect(fake).call("export_usage_csv", tmp_path / "usage.csv", progress=progress)
    assert (fake.requests, list(tmp_path.iterdir())) == ([], [])
