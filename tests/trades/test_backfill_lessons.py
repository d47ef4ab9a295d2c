"""manage.py backfill_lessons: old outcomes and past trades of a file become cases, each once; bad lines are named."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.connectors.types import Side
from apps.lessons.models import Case, Lesson
from apps.lessons.services import cases
from apps.trades.models import Outcome
from apps.trades.rules.past_trades import COLUMNS
from tests.factories.accounts import DeskFactory
from tests.factories.desk import PaperDesk
from tests.factories.tampering import tamper
from tests.trades.test_fills_corrections import free, trade

__all__ = ["free"]

pytestmark = pytest.mark.django_db

HEAD = "id,instrument,side,quantity,entry_price,exit_price,closed_at,opened_at,pnl,planned_stop,thesis,tags"
GOOD = [
    "t1,ETH-USD,buy,2,2000,1950,2026-01-02T10:00:00Z,2026-01-02T09:00:00Z,-100,1960,It must bounce.,no_stop;mine",
    't2,ES,SELL,1,5000,4950,2026-01-03T10:00:00Z,,50,,"Rates, mostly",',
]


def run(**options: Any) -> tuple[int, dict[str, Any]]:
    """The exit code, and what the command says."""
    out = StringIO()
    try:
        call_command("backfill_lessons", json=True, stdout=out, stderr=StringIO(), **options)
    except SystemExit as ended:
        return int(str(ended.code)), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def written(tmp_path: Path, *lines: str, head: str = HEAD) -> Path:
    path = tmp_path / "trades.csv"
    path.write_text("\n".join((head, *lines)) + "\n", encoding="utf-8", errors="surrogateescape")
    return path


def test_old_outcomes_become_cases_and_again_changes_nothing(free: PaperDesk) -> None:
    trade(free, Side.BUY, "0.02", "64000")
    for price in ("66000", "60000"):
        trade(free, Side.SELL, "0.01", price)
    Lesson.objects.all().delete()
    for case in Case.objects.all():
        tamper_away(case)
    for outcome in Outcome.objects.all():
        tamper(outcome, remembered_at=None)
    assert run(dry_run=True)[1]["remembered"] == 0
    assert not Case.objects.exists()

    assert run() == (0, said(read=2, remembered=2))
    kept = list(Case.objects.order_by("pk").values())
    assert (len(kept), Lesson.objects.count()) == (2, 1)
    assert run(resume=True) == (0, said())
    assert run() == (0, said(read=2, remembered=2))
    assert list(Case.objects.order_by("pk").values()) == kept


def tamper_away(case: Case) -> None:
    case.tags.all().delete()
    case.violations.all().delete()
    case.delete()


def said(**figures: Any) -> dict[str, Any]:
    base = {"read": 0, "remembered": 0, "known": 0, "problems": [], "problem_count": 0, "dry_run": False}
    return base | figures


def test_past_trades_of_a_file_become_cases_of_the_desk(tmp_path: Path) -> None:
    desk = DeskFactory(slug="past")
    path = written(tmp_path, *GOOD)
    assert run(csv=path, desk="past") == (0, said(read=2, remembered=2))
    lost, won = Case.objects.order_by("closed_at")
    assert (lost.source, lost.desk_id, lost.result, lost.pnl) == ("IMPORTED", desk.pk, "LOST", -100)
    assert (lost.thesis, lost.planned_stop, lost.r_multiple) == ("It must bounce.", 1960, -100 / (40 * 2))
    assert lost.tags.get(tag="no_stop").source == "REPORTED"
    assert (won.side, won.result, won.thesis) == ("SELL", "WON", "Rates, mostly")
    assert Lesson.objects.get().case == lost
    assert run(csv=path, desk="past") == (0, said(read=2, remembered=2))
    assert run(csv=path, desk="past", resume=True) == (0, said(read=2, known=2))
    assert Case.objects.count() == 2


# A bad line, and how its problem begins.
BAD = [
    ("t3,ETH-USD,BUY,2,2000,1950,2026-01-02T10:00:00Z,,-50,,,", "PNL_DOES_NOT_FOLLOW"),
    ("t4,ETH-USD,BUY,x,2000,1950,2026-01-02T10:00:00Z,,,,,", "DECIMAL_MALFORMED"),
    ("t5,ETH-USD,LONG,2,2000,1950,2026-01-02T10:00:00Z,,,,,", "CHOICE_UNKNOWN"),
    ("t6,ETH-USD,BUY,2,2000,1950,yesterday,,,,,", "INSTANT_MALFORMED"),
    ("t7,ETH-USD,BUY,2,2000,,2026-01-02T10:00:00Z,,,,,", "FIELD_MISSING"),
    ("t8,ETH-USD,BUY", "CSV_LINE_BROKEN"),
    ("t9,ETH-USD,BUY,2,2000,1950,2026-01-02T10:00:00Z,,,,a,b,c", "CSV_LINE_BROKEN"),
    ('t10,"ETH"-USD,BUY,2,2000,1950,2026-01-02T10:00:00Z,,,,,', "CSV_LINE_BROKEN"),
    ("t11,ETH-USD,BUY,2,2000,1950,2026-01-02T10:00:00Z,,,,caf\udce9,", "CSV_LINE_BROKEN"),
    ("t1,ETH-USD,BUY,2,2000,1950,2026-01-02T10:00:00Z,,,,,", "ID_TWICE"),
    ("t12,ETH-USD,BUY,2,2000,1950,2099-01-02T10:00:00Z,,,,,", "CLOSED_IN_FUTURE"),
    ("t13,ETH-USD,BUY,2,2000,1950,2026-01-02T10:00:00Z,,,,a\x00b,", "TEXT_WITH_NUL"),
]


def test_every_bad_line_is_named_and_every_good_one_taken(tmp_path: Path) -> None:
    DeskFactory(slug="past")
    path = written(tmp_path, GOOD[0], *(line for line, _ in BAD), GOOD[1])
    code, told = run(csv=path, desk="past")
    assert (code, told["read"], told["remembered"], told["problem_count"]) == (2, len(BAD) + 2, 2, len(BAD))
    found = [(one["where"], one["problem"].partition(":")[0]) for one in told["problems"]]
    assert found == [(f"line {number}", problem) for number, (_, problem) in enumerate(BAD, start=3)]


def test_a_quote_that_is_never_closed_names_all_the_lines_it_swallows(tmp_path: Path) -> None:
    DeskFactory(slug="past")
    path = written(tmp_path, GOOD[0], 't3,"ETH-USD,BUY', GOOD[0].replace("t1", "t4"))
    code, told = run(csv=path, desk="past")
    assert (code, told["remembered"]) == (2, 1)
    assert told["problems"][0]["where"].startswith("lines 3 to ")


@pytest.mark.parametrize("head", ["", "id,instrument", HEAD + ",mood", HEAD + ",id"])
def test_a_file_without_its_columns_is_refused_whole(tmp_path: Path, head: str) -> None:
    DeskFactory(slug="past")
    with pytest.raises(CommandError, match="CSV_COLUMNS") as refused:
        call_command("backfill_lessons", csv=written(tmp_path, *GOOD, head=head), desk="past")
    assert refused.value.returncode == 2


def test_a_file_or_desk_that_is_not_there_is_said(tmp_path: Path) -> None:
    for options in ({"csv": tmp_path / "none.csv"}, {"desk": "past"}, {"csv": tmp_path / "none.csv", "desk": "no"}):
        with pytest.raises(CommandError):
            call_command("backfill_lessons", **options)


def test_stopped_in_the_middle_it_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DeskFactory(slug="past")
    path = written(tmp_path, *(GOOD[0].replace("t1", f"t{number}") for number in range(10)))
    real = cases.remember

    def stops(**given: Any) -> Any:
        if Case.objects.count() == 4:
            raise KeyboardInterrupt
        return real(**given)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(cases, "remember", stops)
        call_command("backfill_lessons", csv=path, desk="past", stderr=StringIO())
    assert ended.value.code == 130
    assert run(csv=path, desk="past", resume=True) == (0, said(read=10, remembered=6, known=4))
    assert Case.objects.count() == 10


def test_the_columns_are_documented() -> None:
    text = Path("docs/outcomes.md").read_text(encoding="utf-8")
    assert [name for name in COLUMNS if f"`{name}`" not in text] == []
