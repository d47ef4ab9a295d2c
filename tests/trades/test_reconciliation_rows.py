"""What is kept of a comparison with the venue cannot be changed afterwards, and what it means is read one way."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.trades.models import Difference, Inquiry, ReconciliationRun
from apps.trades.selectors.reconciliation import last_run, reconciled_since
from apps.trades.types import DifferenceKind, InquiryAnswer, InquiryKind, RunOutcome, RunTrigger
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db


def begun(paper: PaperDesk, **changes: Any) -> ReconciliationRun:
    now = timezone.now()
    values = {
        "connection": paper.connection,
        "trigger": RunTrigger.COMMAND,
        "asked_by": "test",
        "started_at": now,
        "since": now - timedelta(hours=1),
        "until": now,
    }
    return ReconciliationRun.objects.create(**(values | changes))


def ended(paper: PaperDesk, outcome: RunOutcome = RunOutcome.CLEAN, **changes: Any) -> ReconciliationRun:
    run = begun(paper, **changes)
    run.outcome, run.finished_at = outcome, timezone.now()
    run.save()
    return run


def difference(paper: PaperDesk, **changes: Any) -> Difference:
    values = {
        "connection": paper.connection,
        "kind": DifferenceKind.ORDER_FOREIGN,
        "subject": "v-1",
        "ours": "nothing",
        "theirs": "an order",
        "done": "kept",
        "found_at": timezone.now(),
    }
    return Difference.objects.create(**(values | changes))


def assert_refused(act: Any) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        act()


class TestRun:
    def test_it_ends_once(self, paper: PaperDesk) -> None:
        run = ended(paper)
        assert_refused(lambda: ReconciliationRun.objects.filter(pk=run.pk).update(reason="other"))
        assert_refused(lambda: ReconciliationRun.objects.filter(pk=run.pk).update(outcome=RunOutcome.INCOMPLETE))
        assert_refused(run.delete)

    def test_one_at_a_time(self, paper: PaperDesk) -> None:
        begun(paper)
        assert_refused(lambda: begun(paper))

    def test_where_it_began_does_not_move(self, paper: PaperDesk) -> None:
        run = begun(paper)
        assert_refused(lambda: ReconciliationRun.objects.filter(pk=run.pk).update(since=timezone.now()))
        ReconciliationRun.objects.filter(pk=run.pk).update(counts={"orders": 1})


class TestDifference:
    def test_it_is_settled_once_and_says_the_same_for_ever(self, paper: PaperDesk) -> None:
        row = difference(paper)
        rows = Difference.objects.filter(pk=row.pk)
        assert_refused(lambda: rows.update(theirs="something else"))
        rows.update(settled_at=timezone.now(), settled_by="Ann", settled_reason="A trade by hand.")
        assert_refused(lambda: rows.update(settled_reason="It was not."))
        assert_refused(row.delete)

    def test_the_same_thing_waits_once(self, paper: PaperDesk) -> None:
        row = difference(paper)
        assert_refused(lambda: difference(paper))
        Difference.objects.filter(pk=row.pk).update(settled_at=timezone.now(), settled_by="Ann")
        difference(paper)


def test_a_question_is_written_down_for_good(paper: PaperDesk) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    asked = Inquiry.objects.create(
        order=paper.order_of(proposal),
        kind=InquiryKind.SCAN,
        answer=InquiryAnswer.NOT_FOUND,
        fence=1,
        asked_at=timezone.now(),
    )
    assert_refused(lambda: Inquiry.objects.filter(pk=asked.pk).update(answer=InquiryAnswer.FOUND))
    assert_refused(asked.delete)


class TestLastRun:
    def test_none_yet(self, paper: PaperDesk) -> None:
        assert last_run(paper.connection.pk) is None
        begun(paper)
        assert last_run(paper.connection.pk) is None

    def test_clean_needs_everything_seen_and_nothing_open(self, paper: PaperDesk) -> None:
        ended(paper)
        found = last_run(paper.connection.pk)
        assert found is not None and found.clean
        row = difference(paper)
        found = last_run(paper.connection.pk)
        assert found is not None and not found.clean and found.open_differences == 1
        Difference.objects.filter(pk=row.pk).update(settled_at=timezone.now(), settled_by="Ann")
        found = last_run(paper.connection.pk)
        assert found is not None and found.clean

    @pytest.mark.parametrize("outcome", [RunOutcome.DIFFERENCES, RunOutcome.INCOMPLETE])
    def test_any_other_outcome_is_not_clean(self, paper: PaperDesk, outcome: RunOutcome) -> None:
        ended(paper)
        ended(paper, outcome)
        found = last_run(paper.connection.pk)
        assert found is not None and not found.clean

    def test_since_counts_from_the_beginning_of_a_complete_run(self, paper: PaperDesk) -> None:
        run = ended(paper)
        assert reconciled_since(paper.connection.pk, run.started_at)
        assert not reconciled_since(paper.connection.pk, run.started_at + timedelta(microseconds=1))
        later = ended(paper, RunOutcome.INCOMPLETE)
        assert not reconciled_since(paper.connection.pk, later.started_at)


def test_people_read_it_and_nobody_writes_it(paper: PaperDesk, client: Client) -> None:
    run = ended(paper, RunOutcome.DIFFERENCES)
    row = difference(paper, run=run)
    client.force_login(paper.approver)
    for name, pk in (("reconciliationrun", run.pk), ("difference", row.pk)):
        assert client.get(reverse(f"admin:trades_{name}_changelist")).status_code == 200
        assert client.get(reverse(f"admin:trades_{name}_change", args=[pk])).status_code == 200
        assert client.get(reverse(f"admin:trades_{name}_add")).status_code == 403
    assert client.get(reverse("admin:trades_inquiry_changelist")).status_code == 200
