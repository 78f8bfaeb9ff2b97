"""The live check against a served FakeVenice: what it calls drift, what it calls broken, and what it never shows."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from contract.judgement import named
from live import main
from venice_billing.testing import FakeVenice, Fault, SeenRequest, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HISTORY = "/api/v1/billing/usage-history"
SECRET = "Falcon"  # a name that an account holder chose, or a remark on a charge


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeVenice]:
    """Return an account served on loopback, which the environment names as the live API."""
    monkeypatch.chdir(tmp_path)
    fake = FakeVenice(400, extra_fields=["region"])
    monkeypatch.setenv("VENICE_API_KEY", fake.admin_key)
    with fake.serve() as server:
        monkeypatch.setenv("VENICE_BASE_URL", server.base_url)
        yield fake


def check() -> tuple[int, list[tuple[str, str, str]]]:
    """Run the check, and return its exit code and its findings: verdict, place, what."""
    code = main(["--pause", "0"])
    findings = json.loads(Path("drift.json").read_text())["findings"]
    return code, [(each["verdict"], each["location"], each["what"]) for each in findings]


def row(**fields: Any) -> dict[str, Any]:
    """Return a charge of an hour ago."""
    moment = datetime.now(UTC) - timedelta(hours=1)
    return {"timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "amount": Decimal("-0.10"), **fields}


def on(path: str, fault: Fault) -> Callable[[SeenRequest], Fault | None]:
    """Return faults that befall one path."""
    return lambda request: fault if request.path == path else None


def test_an_api_that_keeps_the_contract_has_no_findings(fake: FakeVenice, capsys: pytest.CaptureFixture[str]) -> None:
    assert check() == (0, [])
    assert "0 broken promises, 0 drifts" in capsys.readouterr().out


def test_it_only_reads_and_asks_little(fake: FakeVenice) -> None:
    check()
    assert 10 <= len(fake.requests) <= 24
    assert {request.method for request in fake.requests} == {"GET"}
    assert sum((request.status or 500) >= 400 for request in fake.requests) <= 5
    asked = {request.path for request in fake.requests}
    assert asked == {f"/api/v1/billing/{name}" for name in ("balance", "usage", "usage-analytics", "usage-history")}


def test_it_pauses_between_requests(fake: FakeVenice, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("live.time.sleep", pauses.append)
    main([])
    assert len(pauses) == len(fake.requests) - 1
    assert min(pauses) * 20 > 30


def test_an_unknown_field_is_drift(fake: FakeVenice) -> None:
    fake.book(row(region="eu"))
    assert check() == (0, [("drift", "responses.200.application/json.data[].region", "unknown field")])


def test_an_unknown_currency_is_drift(fake: FakeVenice) -> None:
    fake.book(row(currency="SEASHELLS"))
    assert check() == (0, [("drift", "responses.200.application/json.data[].currency", "unknown value SEASHELLS")])


def test_an_undocumented_status_is_drift_and_no_answer(fake: FakeVenice) -> None:
    fake.quirks.faults = on("/api/v1/billing/balance", faults.status(418))
    code, findings = check()
    assert code == 0
    assert findings == [
        ("drift", "responses.418", "undocumented status"),
        ("unanswered", "responses.418", "APIError"),
    ]


def test_a_number_beyond_its_bounds_is_drift(fake: FakeVenice) -> None:
    details = {"requestId": "r", "promptTokens": -1, "completionTokens": 1, "inferenceExecutionTime": 1}
    fake.book(row(inferenceDetails=details))
    place = "responses.200.application/json.data[].inferenceDetails.promptTokens"
    assert check() == (0, [("drift", place, "beyond 'minimum'")])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"notes": 7}, "notes"),
        ({"notes": None}, "notes"),
        ({"inferenceDetails": {"requestId": SECRET, "promptTokens": []}}, "inferenceDetails"),
    ],
)
def test_a_broken_promise_fails(fake: FakeVenice, fields: dict[str, Any], field: str) -> None:
    fake.book(row(**fields))
    code, findings = check()
    assert code == 1
    assert {verdict for verdict, _, _ in findings} == {"broken"}
    assert all(field in place for _, place, _ in findings)
    assert len(findings) >= 2  # by the schema, and by the client


def test_an_answer_in_another_media_type_is_broken(fake: FakeVenice) -> None:
    fake.quirks.faults = on(HISTORY, faults.body(b"<html>", content_type="text/html"))
    code, findings = check()
    assert code == 1
    assert ("broken", "responses.200", "media type text/html") in findings


def test_outage_breaks_no_promise_but_a_total_one_fails_the_check(
    fake: FakeVenice, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.quirks.faults = on(HISTORY, faults.status(503))
    code, findings = check()
    assert (code, {verdict for verdict, _, _ in findings}) == (0, {"unanswered"})
    fake.quirks.faults = lambda _: faults.status(503)
    assert check()[0] == 1
    assert "live: nothing answered 2xx\n" in capsys.readouterr().err


def test_refused_key_fails_although_the_retired_ledger_answers_as_documented(
    fake: FakeVenice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "wrong-key-of-nobody")
    code, findings = check()
    assert code == 1
    assert {(verdict, place) for verdict, place, _ in findings} == {("unanswered", "responses.401")}
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    operations = "getBillingBalance, getBillingUsageAnalytics, getBillingUsageHistory"
    assert line == (f"live: the key is refused (401): {operations} could not be checked; nothing answered 2xx")
    assert "2 answered as documented" in output.out
    assert "the key is refused" in json.loads(Path("drift.json").read_text())["obstacles"]


def test_key_that_is_no_admin_key_fails(
    fake: FakeVenice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENICE_API_KEY", fake.inference_key)
    assert check()[0] == 1
    assert capsys.readouterr().err == (
        "live: the key is no ADMIN key (401): getBillingBalance, getBillingUsageHistory could not be checked\n"
    )


def test_key_without_permission_for_one_operation_fails(fake: FakeVenice, capsys: pytest.CaptureFixture[str]) -> None:
    fake.quirks.faults = on("/api/v1/billing/balance", faults.status(403))
    assert check()[0] == 1
    assert capsys.readouterr().err == "live: the key is not permitted (403): getBillingBalance could not be checked\n"


@pytest.mark.parametrize("variable", ["VENICE_API_KEY", "VENICE_BASE_URL"])
def test_unusable_environment_is_told_in_one_line(
    fake: FakeVenice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    monkeypatch.setenv(variable, "not to be shown\n")
    assert main(["--pause", "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("live: ")
    assert variable.removeprefix("VENICE_").lower() in line.lower()
    assert not Path("drift.json").exists()
    assert fake.requests == []


def test_unreadable_contract_is_told_in_one_line(fake: FakeVenice, capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.yaml").write_text("[]")
    assert main(["--contract", "list.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "list.yaml" in line


KEYS = [
    *("an-ordinary-key-0123456789", "k" * 25 + "-very-long-" + "e" * 60, "with:$,+punctuation"),
    *("a1:b2", "c3", "7531902468"),  # so short, or a number: they may be data
]


@pytest.mark.parametrize(
    ("key", "where", "escaped"),
    [
        *((key, "name", False) for key in KEYS),
        *((key, "name", True) for key in KEYS[:3]),
        *((KEYS[0], where, False) for where in ("value", "header", "error")),
    ],
)
def test_echoed_key_is_in_no_line_and_no_file(
    fake: FakeVenice,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    where: Literal["name", "value", "header", "error"],
    escaped: bool,  # noqa: FBT001
) -> None:
    """A server that returns the key as a name of a field, say, is reported without it."""
    fake.admin_key = key
    fake.quirks.faults = lambda _: faults.echo_key(where, escaped=escaped)
    monkeypatch.setenv("VENICE_API_KEY", key)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    main(["--pause", "0"])
    files = "".join(path.read_text() for path in Path.cwd().iterdir())
    shown = "".join([*capsys.readouterr(), files])
    if where == "name":
        assert "unknown field" in shown
    words = set(re.findall(r"[\w-]+", shown))
    for text in (key, named(key)):
        if len(text) > 5:
            assert text[:20] not in shown
        assert text not in words


def test_echoed_key_as_media_type_is_not_shown(fake: FakeVenice, capsys: pytest.CaptureFixture[str]) -> None:
    fake.quirks.faults = on(HISTORY, faults.body(b"{}", content_type=f"text/{fake.admin_key}"))
    assert check()[0] == 1
    assert "media type text/" in Path("drift.json").read_text()
    assert fake.admin_key not in "".join([*capsys.readouterr(), Path("drift.json").read_text()])


def test_key_that_is_repeated_in_part_is_not_shown(
    fake: FakeVenice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The place and the rest of a name are shown, of the key at most seven characters in a row."""
    key = fake.admin_key = "sk_0123456789-abcdefghij:klmn"
    monkeypatch.setenv("VENICE_API_KEY", key)
    body = json.dumps({"canConsume": True, f"last_{key[8:]}": 1, f"{key[:20]}...": 2, f"key{key[:7]}": 3})
    fake.quirks.faults = on("/api/v1/billing/balance", faults.body(body.encode()))
    locations = {location.partition("/json.")[2] for verdict, location, _ in check()[1] if verdict == "drift"}
    assert locations == {"last_[key]", "[key]...", "keysk_0123"}
    shown = "".join([*capsys.readouterr(), Path("drift.json").read_text()])
    assert not any(key[start : start + 8] in shown for start in range(len(key) - 7))


@pytest.mark.parametrize("pause", ["-1", "nan", "inf", "soon"])
def test_impossible_pause_is_refused(pause: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--pause", pause])
    assert caught.value.code == 2
    assert "argument --pause" in capsys.readouterr().err


def test_findings_that_cannot_be_written_are_printed(
    fake: FakeVenice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--pause", "0", "--output", str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert "answered as documented" in output.out
    assert output.err == f"live: --output {tmp_path}: cannot be written: Is a directory\n"
    assert fake.requests


@pytest.mark.parametrize(
    "body",
    [b'{"canConsume":true,"\\ud800":1,"consumptionCurrency":"\\ud800"}', b"[" * 200_000, b"[" * 900 + b"]" * 900],
    ids=["lone surrogates", "never closed", "nested"],
)
def test_body_that_no_validator_reads_is_broken(fake: FakeVenice, body: bytes) -> None:
    fake.quirks.faults = on("/api/v1/billing/balance", faults.body(body))
    code, findings = check()
    assert code == 1
    assert ("broken", "responses.200.application/json", "no JSON") in findings


def test_nothing_of_the_account_is_shown(
    fake: FakeVenice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = Path("summary.md")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    tokens = {"promptTokens": SECRET, "completionTokens": 1, "inferenceExecutionTime": 1}
    fake.book(row(notes=SECRET, inferenceDetails={"requestId": SECRET, **tokens}))
    assert check()[0] == 1
    shown = "".join([*capsys.readouterr(), Path("drift.json").read_text(), summary.read_text()])
    assert "data[].inferenceDetails.promptTokens" in summary.read_text()
    assert SECRET not in shown
    assert fake.admin_key not in shown


def test_without_a_key_it_is_skipped(
    fake: FakeVenice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("VENICE_API_KEY")
    assert main([]) == 0
    assert "skipped" in capsys.readouterr().out
    assert fake.requests == []
