"""Whom an identity of the organisation's OpenID Connect server stands for: somebody who is here already, or nobody."""

from collections.abc import Collection
from datetime import datetime

from allauth.socialaccount.models import SocialAccount
from django.db import transaction

from apps.accounts.models import User
from apps.accounts.services import people
from apps.common.errors import Forbidden


def _unknown() -> Forbidden:
    return Forbidden(
        "IDENTITY_UNKNOWN",
        "Nobody here is signed in with this identity.",
        fix="An administrator adds people, with the e-mail address that your organisation has verified.",
    )


@transaction.atomic
def account_of(*, provider: str, subject: str, verified: Collection[str], now: datetime) -> SocialAccount:
    """The link of this subject to a person; made at the first sign-in, to the active person of a verified address.

    From then on the subject counts and the address does not: an address that the organisation gives to somebody else
    opens nothing. Raises Forbidden IDENTITY_UNKNOWN; who is inactive, linked to another subject or found by an address
    that is not verified is not told apart from nobody.
    """
    known = SocialAccount.objects.select_related("user").filter(provider=provider, uid=subject).first()
    if known is not None:
        if not known.user.is_active:
            raise _unknown()
        return known
    for address in verified:
        person = User.objects.select_for_update().filter(email__iexact=address, is_active=True).first()
        if person is not None and not SocialAccount.objects.filter(user=person, provider=provider).exists():
            made = SocialAccount.objects.create(user=person, provider=provider, uid=subject, extra_data={})
            people.record_identity(person=person, provider=provider, subject=subject, now=now)
            return made
    raise _unknown()
