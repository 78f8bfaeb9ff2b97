"""The ledger as a dataset: what has changed is written again, and nothing else; a kill leaves every file whole."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from contract_tests.ledger.account import load
from contract_tests.ledger.killed_exports import export_and_kill
from contract_tests.ledger.odd_entries import AWKWARD, FIELDS
from contract_tests.support.flavours import NOW
from venice_billing import ExportError, InvalidParameterError, UsageEntry, _exact
from venice_billing.ledger import Ledger, _folders
from venice_billing.testing import FakeVenice

AUGUST, SEPTEMBER = datetime(2026, 8, 3, tzinfo=UTC), datetime(2026, 9, 3, tzinfo=UTC)


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(
        [
            {
                "timestamp": moment,
                "sku": f"m{number}-llm-input-mtoken",
                "amount": Decimal("-0.25"),
                "currency": currency,
            }
            for number, (moment, currency) in enumerate(
                [(AUGUST, "USD"), (AUGUST, "DIEM"), (SEPTEMBER, "USD"), (SEPTEMBER, "USD"), (NOW, "USD")]
            )
        ],
        now=NOW,
    )


@pytest.fixture
def filled(ledger: Ledger, fake: FakeVenice) -> Ledger:
    sync(ledger, fake)
    return ledger


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dataset"


def sync(ledger: Ledger, fake: FakeVenice) -> None:
    with fake.client() as client:
        ledger.sync(client, full=True)


def entry(amount: str = "-0.5", at: str = "2026-10-01T10:00:00Z", currency: str = "USD", **fields: Any) -> UsageEntry:
    return UsageEntry.from_dict({**FIELDS, "amount": Decimal(amount), "timestamp": at, "currency": currency, **fields})


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def paths(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet"))


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What a file that was written again would change: its place on the disk, and its time."""
    found = {name: (folder / name).stat() for name in paths(folder)}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}


def read(folder: Path, columns: str, rest: str = "") -> list[tuple[Any, ...]]:
    with duckdb.connect() as other:
        pattern = f"{folder}/**/*.parquet"
        query = f"SELECT {columns} FROM read_parquet($pattern, hive_partitioning = true) {rest}"
        return other.execute(query, {"pattern": pattern}).fetchall()


def sums(folder: Path) -> dict[tuple[str, str], tuple[Decimal, int]]:
    """Add up the texts of a dataset, of each month and currency."""
    found: dict[tuple[str, str], tuple[Decimal, int]] = {}
    for month, currency, amount in read(folder, "month, currency, amount_text"):
        total, count = found.get((month, currency), (Decimal(0), 0))
        found[month, currency] = (_exact.add(total, Decimal(amount)), count + 1)
    return found


def ledger_sums(ledger: Ledger) -> dict[tuple[str, str], tuple[Decimal, int]]:
    return {(row.month or "", row.currency): (row.net, row.count) for row in ledger.spend("month")}


# ---------------------------------------------------------------- what is in it


def test_dataset_has_a_file_for_each_month_and_currency(filled: Ledger, folder: Path) -> None:
    result = filled.export(folder, "dataset")
    expected = [
        "month=2026-08/currency=DIEM/entries.parquet",
        "month=2026-08/currency=USD/entries.parquet",
        "month=2026-09/currency=USD/entries.parquet",
        "month=2026-11/currency=USD/entries.parquet",
    ]
    assert paths(folder) == expected
    assert files(folder) == expected
    assert result.written == tuple(folder / name for name in expected)
    assert (result.path, result.rows, result.removed) == (folder, 5, ())
    assert result.size == sum((folder / name).stat().st_size for name in expected)


def test_dataset_has_every_row_and_column_of_the_view(tmp_path: Path, ledger: Ledger, folder: Path) -> None:
    fake = FakeVenice(500, now=NOW)
    sync(ledger, fake)
    ledger.export(folder, "dataset")
    ledger.export(tmp_path / "all.parquet")
    names = [name for name in ledger.relation().columns if name != "timestamp"]
    columns = ", ".join(["epoch_us(timestamp)", *names])
    with duckdb.connect() as other:
        expected = other.execute(f"SELECT {columns} FROM read_parquet('{tmp_path / 'all.parquet'}')").fetchall()
    assert Counter(read(folder, columns)) == Counter(expected)
    assert sums(folder) == ledger_sums(ledger)
    assert read(folder, "count(*)", "WHERE strftime(timestamp AT TIME ZONE 'UTC', '%Y-%m') <> month") == [(0,)]


@pytest.mark.parametrize("amount", AWKWARD)
def test_sums_of_numbers_that_fit_no_decimal(ledger: Ledger, folder: Path, amount: str) -> None:
    load(ledger, [entry(amount), entry("-0.25"), entry(amount)])
    ledger.export(folder, "dataset")
    assert sums(folder) == ledger_sums(ledger)
    assert all(found is None or found == Decimal(text) for found, text in read(folder, "amount, amount_text"))


CURRENCIES = [
    "x/y", "../..", "a=b", "100%", "%41", "ż", "usd", "a b", "a.", ".", "\\", "\n", "'", '"', "*?[", "{}", "a:b",
    "null", "2026-10-01", "1e5", "007", "__X__", "€ € €",
]  # fmt: skip


def test_any_currency_is_read_back_equal(ledger: Ledger, folder: Path) -> None:
    load(ledger, [entry(currency=currency) for currency in [*CURRENCIES, "USD"]])
    ledger.export(folder, "dataset")
    assert sorted(currency for (currency,) in read(folder, "currency")) == sorted([*CURRENCIES, "USD"])
    assert len(paths(folder)) == len(CURRENCIES) + 1
    assert ledger.export(folder, "dataset").written == ()


def test_currency_named_as_engines_name_an_empty_one_has_a_file_of_its_own(ledger: Ledger, folder: Path) -> None:
    load(ledger, [entry(currency=currency) for currency in ("", "__HIVE_DEFAULT_PARTITION__")])
    done = ledger.export(folder, "dataset")
    assert (done.rows, len(done.written)) == (2, 2)


def test_currency_too_long_for_a_folder_is_named_and_nothing_is_written(ledger: Ledger, folder: Path) -> None:
    load(ledger, [entry(currency=currency) for currency in ("USD", "$" * 100)])
    with pytest.raises(ExportError, match=r"currency '\$\$\$.*309 bytes.*as parquet"):
        ledger.export(folder, "dataset")
    assert not folder.exists()


def test_currencies_that_differ_in_case_alone_have_files_of_their_own_on_every_file_system(
    ledger: Ledger, folder: Path
) -> None:
    load(ledger, [entry(currency=currency) for currency in ("USD", "usd", "Usd")])
    ledger.export(folder, "dataset")
    assert len({path.casefold() for path in paths(folder)}) == 3


def test_row_at_the_border_of_months_is_in_the_month_of_utc(ledger: Ledger, folder: Path) -> None:
    load(
        ledger,
        [
            entry(at="2026-09-30T23:59:59.999999Z"),
            entry(at="2026-10-01T00:00:00Z"),
            entry(at="2026-10-01T01:00:00+02:00"),
            entry(at="0001-01-01T00:00:00.000001Z"),
            entry(at="9999-12-31T23:59:59.999999Z"),
        ],
    )
    ledger.export(folder, "dataset")
    found = dict(read(folder, "month, count(*)", "GROUP BY month"))
    assert found == {"0001-01": 1, "2026-09": 2, "2026-10": 1, "9999-12": 1}


def test_time_zone_of_the_machine_changes_nothing(filled: Ledger, folder: Path, tmp_path: Path) -> None:
    filled.export(folder, "dataset")
    path = filled.path
    filled.close()
    script = (
        "import sys; from venice_billing.ledger import Ledger\n"
        "print(len(Ledger(sys.argv[1]).export(sys.argv[2], 'dataset').written))\n"
        "Ledger(sys.argv[1]).export(sys.argv[3], 'dataset')"
    )
    command = [sys.executable, "-c", script, str(path), str(folder), str(tmp_path / "other")]
    done = subprocess.run(
        command, env={**os.environ, "TZ": "Pacific/Kiritimati"}, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "0\n"
    assert {name: (folder / name).read_bytes() for name in paths(folder)} == {
        name: (tmp_path / "other" / name).read_bytes() for name in paths(tmp_path / "other")
    }


def test_empty_ledger_makes_an_empty_dataset(ledger: Ledger, fake: FakeVenice, folder: Path) -> None:
    assert ledger.export(folder, "dataset").rows == 0
    assert (folder.is_dir(), paths(folder)) == (True, [])
    sync(ledger, fake)
    assert len(ledger.export(folder, "dataset").written) == 4


# ---------------------------------------------------------------- what is written again


def test_nothing_is_written_where_nothing_changed(filled: Ledger, fake: FakeVenice, folder: Path) -> None:
    filled.export(folder, "dataset")
    before = stamps(folder)
    sync(filled, fake)
    result = filled.export(str(folder) + os.sep, "dataset")
    assert (result.written, result.removed, result.rows) == ((), (), 5)
    assert stamps(folder) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda fake: fake.book({"sku": "late", "timestamp": AUGUST, "currency": "USD"}), "month=2026-08/currency=USD"),
        (lambda fake: fake.book({"sku": "new", "currency": "USD"}), "month=2026-11/currency=USD"),
        (lambda fake: fake.book({"sku": "new", "currency": "DIEM"}), "month=2026-11/currency=DIEM"),
    ],
)
def test_late_and_new_rows_change_their_files_alone(
    filled: Ledger, fake: FakeVenice, folder: Path, change: Any, expected: str
) -> None:
    filled.export(folder, "dataset")
    before = stamps(folder)
    change(fake)
    sync(filled, fake)
    result = filled.export(folder, "dataset")
    name = f"{expected}/entries.parquet"
    assert result.written == (folder / name,)
    after = stamps(folder)
    assert {other: after[other] for other in before if other != name} == {
        other: before[other] for other in before if other != name
    }
    assert after[name] != before.get(name)
    assert sums(folder) == ledger_sums(filled)


FIELD_CHANGES: list[dict[str, Any]] = [
    {"amount": Decimal("-0.50")},  # the digits alone
    {"amount": Decimal("-0.6")},
    {"notes": "other"},
    {"apiKeyId": "key"},
    {"units": Decimal("3.0")},
    {"timestamp": "2026-10-01T10:00:00.000001Z"},
    {"sku": "other"},
    {"more": 1},
    {"inferenceDetails": {"requestId": "r", "promptTokens": 1, "completionTokens": None, "inferenceExecutionTime": 1}},
]


@pytest.mark.parametrize("change", FIELD_CHANGES, ids=lambda change: next(iter(change)))
def test_change_of_any_field_is_seen(tmp_path: Path, folder: Path, change: dict[str, Any]) -> None:
    before, after = entry(), UsageEntry.from_dict({**entry().to_dict(), **change})
    for number, (rows, written) in enumerate([([before], 1), ([before], 0), ([after], 1)]):
        with Ledger(tmp_path / f"{number}.duckdb") as ledger:
            load(ledger, rows)
            assert len(ledger.export(folder, "dataset").written) == written


@pytest.mark.parametrize("counts", [(1, 3), (2, 4), (1, 2), (4, 2), (3, 1)])
def test_number_of_identical_rows_is_seen(tmp_path: Path, folder: Path, counts: tuple[int, int]) -> None:
    for count in counts:
        with Ledger(tmp_path / f"{count}.duckdb") as ledger:
            load(ledger, [entry()] * count)
            assert len(ledger.export(folder, "dataset").written) == 1
            assert sums(folder) == ledger_sums(ledger)


def test_month_and_currency_that_vanished_are_removed(tmp_path: Path, filled: Ledger, folder: Path) -> None:
    filled.export(folder, "dataset")
    kept = "month=2026-09/currency=USD/entries.parquet"
    with Ledger(tmp_path / "other.duckdb") as other:
        load(other, [one for one in filled.entries() if one.timestamp == SEPTEMBER])
        before = stamps(folder)[kept]
        result = other.export(folder, "dataset")
    assert (result.written, len(result.removed)) == ((), 3)
    assert stamps(folder) == {kept: before}
    assert [path.name for path in folder.iterdir()] == ["month=2026-09"]


@pytest.mark.parametrize("damage", ["removed", "cut", "emptied"])
def test_damaged_file_is_written_again(filled: Ledger, folder: Path, damage: str) -> None:
    filled.export(folder, "dataset")
    whole = {name: (folder / name).read_bytes() for name in paths(folder)}
    name = paths(folder)[1]
    if damage == "removed":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(whole[name][:-10] if damage == "cut" else b"")
    assert filled.export(folder, "dataset").written == (folder / name,)
    assert {name: (folder / name).read_bytes() for name in paths(folder)} == whole


def test_dataset_of_a_range_is_that_range(filled: Ledger, folder: Path) -> None:
    result = filled.export(folder, "dataset", start="2026-08-15", end="2026-10-01")
    assert (result.rows, paths(folder)) == (2, ["month=2026-09/currency=USD/entries.parquet"])
    before = stamps(folder)
    others: list[dict[str, Any]] = [{}, {"start": "2026-08-15"}, {"start": "2026-08-14", "end": "2026-10-01"}]
    for other in others:
        with pytest.raises(ExportError, match="another range of time"):
            filled.export(folder, "dataset", **other)
    assert filled.export(folder, "dataset", start="2026-08-15", end="2026-10-01").written == ()
    assert stamps(folder) == before


# ---------------------------------------------------------------- whose folder it is


@pytest.mark.parametrize(
    "foreign",
    [
        "notes.txt",
        "data.parquet",
        "month=2026-10/data.parquet",
        "month=2026-10/currency=USD/data_0.parquet",
        "month=2026-10/currency=USD/more/entries.parquet",
        "month=10/currency=USD/entries.parquet",
        "year=2026/entries.parquet",
    ],
)
def test_folder_with_other_files_is_refused_and_left_alone(filled: Ledger, folder: Path, foreign: str) -> None:
    filled.export(folder, "dataset")
    (folder / foreign).parent.mkdir(parents=True, exist_ok=True)
    (folder / foreign).write_bytes(b"mine")
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    with pytest.raises(ExportError, match="is of no dataset of a ledger"):
        filled.export(folder, "dataset")
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before
    assert sorted(path.name for path in folder.parent.iterdir() if path.name.startswith(".")) == []


def test_parquet_file_of_another_program_in_our_layout_is_refused(filled: Ledger, folder: Path) -> None:
    place = folder / "month=2026-10" / "currency=USD"
    place.mkdir(parents=True)
    with duckdb.connect() as other:
        other.execute(f"COPY (SELECT 1 AS one) TO '{place / 'entries.parquet'}' (FORMAT parquet)")
    with pytest.raises(ExportError, match="is of no dataset"):
        filled.export(folder, "dataset")


def test_hidden_files_which_engines_pass_over_stay(filled: Ledger, folder: Path) -> None:
    folder.mkdir()
    for name in (".DS_Store", "_SUCCESS"):
        (folder / name).write_bytes(b"")
    filled.export(folder, "dataset")
    assert len(filled.export(folder, "dataset").written) == 0
    assert {".DS_Store", "_SUCCESS"} <= set(files(folder))


def test_link_and_file_are_refused(filled: Ledger, tmp_path: Path, folder: Path) -> None:
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "file").write_bytes(b"mine")
    for name, match in (("link", "not a symbolic link"), ("file", "not a file"), ("none/data", "exists")):
        with pytest.raises(InvalidParameterError, match=match):
            filled.export(tmp_path / name, "dataset")
    assert ((tmp_path / "file").read_bytes(), files(folder)) == (b"mine", [])
    filled.export(folder, "dataset")
    shutil.move(folder / "month=2026-08", tmp_path / "elsewhere")
    (folder / "month=2026-08").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportError, match="is of no dataset"):
        filled.export(folder, "dataset")


@pytest.mark.skipif(os.name == "nt", reason="needs the modes of Unix")
def test_all_files_and_folders_are_private(filled: Ledger, folder: Path) -> None:
    os.umask(previous := os.umask(0))
    filled.export(folder, "dataset")
    assert os.umask(previous) == previous
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {0o700, 0o600}


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be locked there")
def test_two_exports_to_one_dataset_do_not_mix(filled: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish, held, go = _folders.Staged.publish, threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> None:
        held.set()
        assert go.wait(60)
        publish(*arguments)

    monkeypatch.setattr(_folders.Staged, "publish", slowly)
    first = threading.Thread(target=filled.export, args=(folder, "dataset"))
    first.start()
    try:
        assert held.wait(60)
        with pytest.raises(ExportError, match="another export is writing this dataset"):
            filled.export(folder, "dataset")
    finally:
        go.set()
        first.join(60)
    assert sums(folder) == ledger_sums(filled)


def test_dataset_on_a_mount_is_staged_inside(filled: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    filled.export(folder, "dataset")
    assert sums(folder) == ledger_sums(filled)
    assert {path.name[:6] for path in folder.iterdir()} == {"month="}


# ---------------------------------------------------------------- kills


@pytest.mark.skipif(os.name == "nt", reason="needs the signals of Unix")
def test_kill_of_a_first_export_leaves_no_dataset_or_all_of_it(filled: Ledger, tmp_path: Path, folder: Path) -> None:
    whole = ledger_sums(filled)
    filled.close()
    kills = 0
    while export_and_kill(filled.path, folder, kills):
        kills += 1
        if folder.exists():
            assert sums(folder) == whole
            shutil.rmtree(folder)
        if kills > 100:
            pytest.fail("the export does not end")
    assert kills > 5
    assert sums(folder) == whole
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.skipif(os.name == "nt", reason="needs the signals of Unix")
def test_kill_at_any_moment_leaves_each_file_old_or_new_and_the_next_export_does_the_rest(
    filled: Ledger, tmp_path: Path, folder: Path
) -> None:
    """Between the two exports one file changes, one comes, one goes, and one stays as it is."""
    path = filled.path
    with filled:
        filled.export(folder, "dataset")
        old, entries = ledger_sums(filled), list(filled.entries())
    old_folder = tmp_path / "old"
    folder.rename(old_folder)
    path.unlink()
    with Ledger(path) as ledger:
        kept = [one for one in entries if one.currency != "DIEM"]
        load(ledger, [*kept, entry(at="2026-09-05T00:00:00Z"), entry(currency="NEW")])
        new = ledger_sums(ledger)
    stays = ("2026-08", "USD")
    assert old[stays] == new[stays]
    kills, mixed = 0, 0
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old_folder, folder)
        if not export_and_kill(path, folder, kills):
            break
        kills += 1
        found = sums(folder)
        for part in {*old, *new}:
            assert found.get(part) in (old.get(part), new.get(part))
        mixed += found not in (old, new)
        with Ledger(path) as ledger:
            ledger.export(folder, "dataset")
        assert sums(folder) == new
        assert not [item.name for item in tmp_path.iterdir() if item.name.startswith(".")]
        if kills > 100:
            pytest.fail("the export does not end")
    assert kills > 5
    assert mixed, "no kill came between two renames"
    assert sums(folder) == new
