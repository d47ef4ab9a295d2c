"""The forms in which a code is entered: allauth's, for who has nothing that does not open. Named by `MFA_FORMS`."""

from allauth.mfa.base.forms import AuthenticateForm, BaseAuthenticateForm, ReauthenticateForm
from django.utils import timezone

from apps.accounts.services import factor_secrets


class _OfWhatOpens(BaseAuthenticateForm):  # type: ignore[misc]  # allauth is not typed
    def clean_code(self) -> str:
        """The code, used up. Raises ValidationError, and FactorUnreadable where nothing can be compared with it."""
        factor_secrets.require_open(person=self.user, now=timezone.now())
        code: str = super().clean_code()
        factor_secrets.settle(person=self.user, now=timezone.now())
        return code


class SignInByCodeForm(_OfWhatOpens, AuthenticateForm):  # type: ignore[misc]  # as above
    """The second step of signing in."""


class ReauthenticateByCodeForm(_OfWhatOpens, ReauthenticateForm):  # type: ignore[misc]  # as above
    """Shown again before factors are changed."""
