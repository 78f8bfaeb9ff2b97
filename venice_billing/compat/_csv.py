"""A range as CSV in memory, made by an export to a file that is removed."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from venice_billing._csv import closed_records, joined, newline_of, without_newline
from venice_billing._walk.matching import CurrencyColumn
from venice_billing.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venice_billing.compat._queries import Range


@contextmanager
def scratch_file() -> Iterator[Path]:
    """Return the path of a file that may be written, in a folder that is removed afterwards.

    Raises:
        ExportError: There is no folder for temporary files.
    """
    try:
        scratch = TemporaryDirectory()
    except OSError as error:
        raise ExportError(f"no temporary file can be made: {error}; TMPDIR names the folder for them") from None
    with scratch as folder:
        yield Path(folder, "usage.csv")


def content(file: Path, wanted: Range) -> bytes:
    """Return the exported file, without the records of other currencies than the wanted one."""
    if wanted.currency is None or not wanted.is_filtered_here:
        return file.read_bytes()
    with file.open("rb") as stream:
        first, *records = closed_records(stream)
    kept = CurrencyColumn(without_newline(first)).only(records, wanted.currency)
    return first + joined(kept, newline_of(first))
