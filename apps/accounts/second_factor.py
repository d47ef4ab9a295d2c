"""How allauth's second factors behave here: secrets sealed at rest, and a code that was used once is used up."""

from typing import Any

import qrcode
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY, TOTP
from qrcode.image.svg import SvgPathFillImage

from apps.accounts.fields import opened, sealed
from apps.accounts.models import User
from apps.accounts.services import second_factors
from apps.common.encryption import open_text, seal_text

_BEING_SET_UP = "second factor being set up"


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth is not typed
    """Named by `MFA_ADAPTER`."""

    def encrypt(self, text: str) -> str:
        """The secret of an app, or the seed of recovery codes, for the row that will be saved with it."""
        return sealed(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Raises Misconfigured SECRET_UNREADABLE where no key opens it, SECRET_MOVED where it is of another row."""
        return opened(encrypted_text)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """The last one stays with whoever must have one."""
        return second_factors.may_go_without(authenticator)

    def get_totp_label(self, user: User) -> str:
        """What the person's app calls this account."""
        return user.username

    def build_totp_svg(self, url: str) -> str:
        """The picture to scan, on white also where the page is dark: cameras need the contrast."""
        image = qrcode.make(url, image_factory=SvgPathFillImage)
        text: str = image.to_string(encoding="unicode")
        return text


class ActivateCodesForm(ActivateTOTPForm):  # type: ignore[misc]  # as above
    """Named by `MFA_FORMS`. The secret waits in the session, sealed; the code that confirms it is used up by that."""

    secret: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        session = context.request.session
        if self.is_bound and second_factors.is_sealed(self.secret):
            self.secret = open_text(self.secret, purpose=_BEING_SET_UP)
        else:
            session[SECRET_SESSION_KEY] = seal_text(self.secret, purpose=_BEING_SET_UP)

    def clean_code(self) -> str:
        """The code, which works here once and nowhere again. Raises ValidationError."""
        code: str = super().clean_code()
        if not TOTP(Authenticator(user=self.user))._mark_code_used(code):
            raise SecondFactorAdapter().validation_error("incorrect_code")
        return code
