"""The forms in which a security key answers: allauth's, and the key's counter goes up. Named by `MFA_FORMS`."""

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import AuthenticateWebAuthnForm, ReauthenticateWebAuthnForm
from django.utils import timezone
from fido2.webauthn import AuthenticationResponse

from apps.accounts.services import key_counters


class SignInByKeyForm(AuthenticateWebAuthnForm):  # type: ignore[misc]  # allauth is not typed
    """The second step of signing in."""

    def clean_credential(self) -> Authenticator:
        """The key that answered. Raises ValidationError, also for one that may be a copy."""
        said = self.cleaned_data["credential"]
        key = super().clean_credential()
        if not key_counters.goes_up(person=key.user, answer=AuthenticationResponse.from_dict(said), now=timezone.now()):
            raise get_adapter().validation_error("incorrect_code")
        return key


class ReauthenticateByKeyForm(SignInByKeyForm, ReauthenticateWebAuthnForm):  # type: ignore[misc]  # as above
    """Shown again before factors are changed."""

    reauthenticated = True
