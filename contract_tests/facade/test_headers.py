"""Headers are parsed by their standards and in linear time, and a file name never includes a folder."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from venice_billing import AsyncVeniceBilling, UsageCsv, VeniceBilling
from venice_billing._headers import file_name, link_to
from venice_billing.errors import error_for

if TYPE_CHECKING:
    from contract_tests.support.flavours import Flavour

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('</a>; rel="successor-version"', "/a"),
        ("</a>; rel=successor-version", "/a"),
        ("</a>;REL = Successor-Version", "/a"),
        ('</a>; rel="alternate successor-version"', "/a"),
        ('</a>; rel="successor-version alternate"; type="x"', "/a"),
        ('</a>; title="one, two; rel=other"; rel="successor-version"', "/a"),
        ('</a>; rel=other; title="x\\"; rel=successor-version"', None),
        ('</b>; rel="help", </a>; rel="successor-version"', "/a"),
        ('</b>; title=", <c>; rel=successor-version", </a>; rel="successor-version"', "/a"),
        ("</a,b;c>; rel=successor-version", "/a,b;c"),
        ("</a>; rel=successor-version, </b>; rel=successor-version", "/a"),
        ("</a>; rel=help; rel=successor-version", None),
        ("</a>; rel=successor-versions", None),
        ("</a>; rev=successor-version", None),
        ("/a; rel=successor-version", None),
        ("</a; rel=successor-version", None),
        ('</a>; rel="successor-version', "/a"),
        (', ,</a>; rel="successor-version",', "/a"),
        ("", None),
    ],
)
def test_a_link_is_found_by_its_relation(header: str, target: str | None) -> None:
    assert link_to(header, "successor-version") == target


HOSTILE = ["<", ">", '"', "\\", '"\\', ",", ";", "<>;", "a=b;", '";', "<a>;rel=x,", ";rel=", " ", '<"', '\\"']


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_long_header_is_read_in_linear_time(piece: str) -> None:
    """Quadratic time would take many minutes."""
    header = piece * (200_000 // len(piece))
    started = time.monotonic()
    for text in (header, f"<{header}", f'<a>; x="{header}'):
        error = error_for(410, {"link": text}, b"")
        assert getattr(error, "successor", None) is None
        file_name(f"attachment; {text}")
        file_name(f"attachment; filename*=UTF-8''{text}")
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("attachment; filename=usage.csv", "usage.csv"),
        ('attachment; filename="usage 10.csv"', "usage 10.csv"),
        ('attachment; filename="a\\"b.csv"', 'a"b.csv'),
        ("attachment; filename=usage-2026-10-01T00:00:00Z.csv", "usage-2026-10-01T00:00:00Z.csv"),
        ("attachment; filename=a,b.csv", "a,b.csv"),
        ("attachment; FileName=a.csv; size=3", "a.csv"),
        ("attachment; filename=plain.csv; filename*=UTF-8''%e2%82%ac.csv", "€.csv"),
        ("attachment; filename*=iso-8859-1'en'%A3.csv; filename=plain.csv", "£.csv"),
        ("attachment; filename*=utf-7''+AC8-; filename=plain.csv", "plain.csv"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment; filename=/etc/passwd", "passwd"),
        ('attachment; filename="C:\\\\Users\\\\x.csv"', "x.csv"),
        ("attachment; filename=C:x.csv", "x.csv"),
        ("attachment; filename*=UTF-8''..%2F..%2Fx.csv", "x.csv"),
        ("attachment; filename*=UTF-8''..%5Cx.csv", "x.csv"),
        ("attachment; filename*=UTF-8''a%00b.csv", "ab.csv"),
        ("attachment; filename*=UTF-8''a%0A%E2%80%AEb.csv", "ab.csv"),
        ("attachment; filename*=UTF-8''%20x.csv%20", "x.csv"),
        ("attachment; filename=..", None),
        ('attachment; filename="."', None),
        ('attachment; filename=" .. "', None),
        ('attachment; filename="a/"', None),
        ('attachment; filename="/"', None),
        ("attachment; filename*=UTF-8''%00", None),
        ("attachment; filename*=UTF-8''.%00.", None),
        ("attachment; filename=", None),
        ("attachment", None),
        ("", None),
    ],
)
def test_file_name_is_reduced_to_a_bare_name(header: str, name: str | None) -> None:
    assert file_name(header) == name


def test_a_long_file_name_is_cut_before_its_suffix() -> None:
    assert file_name(f"attachment; filename={'x' * 5000}.csv") == "x" * 251 + ".csv"
    assert file_name(f"attachment; filename={'x' * 5000}") == "x" * 255
    assert file_name(f"attachment; filename=x.{'y' * 3000}") == "x." + "y" * 253
    assert file_name(f"attachment; filename*=UTF-8''{'%e2%82%ac' * 200}.csv") == "€" * 83 + ".csv"


@given(st.text() | st.text("/\\.:\0 \ud800\u202ea\"'%;=*"))
@example("../.. /")
@example("C:.. ")
def test_no_suggested_name_leaves_its_folder(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    for header in (f'attachment; filename="{quoted}"', f"attachment; filename={text}", text):
        name = file_name(header)
        if name is not None:
            assert name
            assert not set("/\\\0\n\r") & set(name)
            assert name not in {".", ".."}
            assert name == name.strip()
            assert len(name.encode()) <= 255


async def test_csv_page_filename_has_no_folder(flavour: Flavour) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        headers = {"content-type": "text/csv", "content-disposition": 'attachment; filename="../../.bashrc"'}
        return httpx.Response(200, headers=headers, content=b"timestamp,amount,currency\n")

    page: UsageCsv
    transport = httpx.MockTransport(answer)
    if flavour.name == "sync":
        client = VeniceBilling("good-key", http_client=httpx.Client(transport=transport))
        page = client.get_usage_history(format="csv")
    else:
        asynchronous = AsyncVeniceBilling("good-key", http_client=httpx.AsyncClient(transport=transport))
        page = await asynchronous.get_usage_history(format="csv")
    assert page.filename == ".bashrc"
