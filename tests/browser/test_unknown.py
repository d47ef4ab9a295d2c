"""The pages of reconciliation as a tired person meets them: an unknown order, a difference, the comparisons."""

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from apps.trades.models import Difference, Order
from apps.trades.services import conclusions, differences
from apps.trades.services.reconciliation import runs
from apps.trades.types import OrderState, RunTrigger
from tests.browser.conftest import PHONE, WIDE, SignIn
from tests.browser.looks import barriers, sideways
from tests.factories.desk import PaperDesk
from tests.factories.unknown import resolve, unknown

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_an_order_that_nobody_knows_of(
    desk_live: PaperDesk, sign_in: SignIn, shots: Path | None, settings: Any
) -> None:
    proposal = unknown(desk_live, "late-arrival")
    settings.UNKNOWN_HORIZON_S = 0
    for _ in range(3):
        resolve(desk_live, proposal)
    order = desk_live.order_of(proposal)
    conclusions.ask_to_abandon(
        order_id=order.pk, requester=desk_live.risk, reason="It is not in the venue's app.", now=timezone.now()
    )
    runs.reconcile(
        connection_id=desk_live.connection.pk,
        trigger=RunTrigger.COMMAND,
        actor=differences.RECONCILIATION,
        clock=timezone.now,
    )
    row = differences.keep(
        connection_id=desk_live.connection.pk,
        kind=differences.DifferenceKind.BALANCE,
        subject="USD 99344.12",
        ours="100000 USD by the fills in the books.",
        theirs="99344.12 USD, 655.88 less.",
        done="The venue's figure counts from here on. What moved it is not known.",
        now=timezone.now(),
    )
    paths = {
        "unknown": f"/admin/trades/inquiry/order/{order.pk}/",
        "order": f"/admin/trades/order/{order.pk}/change/",
        "difference": f"/admin/trades/difference/{row.pk}/change/",
        "differences": "/admin/trades/difference/",
        "runs": "/admin/trades/reconciliationrun/",
    }
    for size, viewport in (("wide", WIDE), ("phone", PHONE)):
        page = sign_in(desk_live.approver, viewport=viewport)
        for name, path in paths.items():
            page.goto(path)
            assert sideways(page) <= 0, (name, size)
            assert barriers(page) == [], (name, size)
            if shots:
                page.screenshot(path=shots / f"{name}-{size}.png", full_page=True)
        assert page.troubles == []  # type: ignore[attr-defined]
    page.goto(paths["unknown"])
    page.get_by_role("button", name="Second it, and give it up now").click()
    page.get_by_text("Given up.").wait_for()
    assert Order.objects.get(pk=order.pk).state == OrderState.ABANDONED
    page.goto(paths["difference"])
    page.get_by_label("It was").fill("A withdrawal by the treasurer.")
    page.get_by_role("button", name="Settle it").click()
    page.get_by_text("Settled: A withdrawal").wait_for()
    assert Difference.objects.get(pk=row.pk).settled_at is not None
