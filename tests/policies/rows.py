"""Rows that policy needs of other apps, and versions activated as two people do it."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from apps.accounts.models import Desk, User
from apps.accounts.services import second_person
from apps.connectors.models import Connection, Instrument
from apps.policies.models import PolicySet, PolicyVersion
from apps.policies.services import versions
from apps.policies.types import RuleRow


def a_connection(desk: Desk, now: datetime, *, slug: str = "paper", codes: Sequence[str] = ("BTC-USD",)) -> Connection:
    """An active paper connection that lists these instruments."""
    made = Connection.objects.create(
        slug=slug,
        name=slug.title(),
        desk=desk,
        venue="coinbase",
        environment="paper",
        api_base="http://127.0.0.1:1",
        is_active=True,
        created_at=now,
    )
    for code in codes:
        base, quote = code.split("-")
        Instrument.objects.create(
            connection=made,
            code=code,
            base_currency=base,
            quote_currency=quote,
            price_increment=Decimal("0.01"),
            quantity_increment=Decimal("0.0001"),
            quote_increment=Decimal("0.01"),
            min_quantity=Decimal("0.0001"),
            max_quantity=Decimal(1000),
            min_notional=Decimal(1),
            max_notional=Decimal(1000000),
            tradable=True,
            cancel_only=False,
            limit_only=False,
            post_only=False,
            fetched_at=now,
        )
    return made


def activated(
    policy_set: PolicySet, rules: Sequence[RuleRow], author: User, second: User, now: datetime
) -> PolicyVersion:
    """A version of these rules: drafted and asked for by one person, seconded by another."""
    draft = versions.create_draft(policy_set_id=policy_set.pk, author=author, now=now, rules=rules)
    asked = versions.request_activation(version_id=draft.pk, requester=author, now=now)
    second_person.second(request_id=asked.pk, seconder=second, now=now)
    return versions.activate(version_id=draft.pk, person=author, now=now)
