"""The signature counter of every security key: one that does not go up has been copied (WebAuthn Level 2, 6.1.1).

The last count is kept beside the credential, in allauth's row of it. Zero for ever is a key that does not count.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal.auth import get_authenticator_by_credential_id
from django.db import transaction
from fido2.webauthn import AuthenticationResponse

from apps.accounts.models import User
from apps.audit.services import alarms

COPIED: Final = "SECURITY_KEY_COPIED"
_KEPT: Final = "sign_count"


def goes_up(*, person: User, answer: AuthenticationResponse, now: datetime) -> bool:
    """Keep the count of an answer whose signature was verified. False, with an alarm, where it does not go up."""
    found = get_authenticator_by_credential_id(person, answer.raw_id)
    with transaction.atomic():
        key = Authenticator.objects.select_for_update().filter(pk=found.pk).first() if found else None
        if key is None:
            return False  # taken away meanwhile
        said, kept = answer.response.authenticator_data.counter, _kept(key)
        if (said or kept) and said <= kept:
            alarms.raise_alarm(
                code=COPIED,
                subject=_subject(key.pk),
                message=f"The key {key.wrap().name} of {person.shown_name} answered with the count {said}, "
                f"after {kept}. It was refused.",
                now=now,
            )
            return False
        key.data = {**key.data, _KEPT: said}
        key.save(update_fields=["data"])
        return True


def forget(key_ids: Iterable[int], now: datetime) -> None:
    """These keys are taken away: whether they were copied is over."""
    for key_id in key_ids:
        alarms.clear_alarm(code=COPIED, subject=_subject(key_id), now=now)


def _kept(key: Authenticator) -> int:
    """The last count; before the first answer, what the key said when it was added."""
    kept = key.data.get(_KEPT)
    return kept if isinstance(kept, int) else int(key.wrap().authenticator_data.counter)


def _subject(key_id: int) -> str:
    return f"security_key:{key_id}"
