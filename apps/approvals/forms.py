"""What a vote carries from the page. Nothing of it is trusted: the services compare all of it."""

from django import forms

from apps.accounts.types import Proof
from apps.approvals.types import Seen

COMMENT_CHARS_MAX = 2_000
TOKEN_CHARS_MAX = 1_000
ASSERTION_CHARS_MAX = 8_000


class VoteForm(forms.Form):
    """The hidden fields name what stood on the page; the comment, and what is different this time, are
    the person's own."""

    digest = forms.CharField(max_length=64, required=False)
    signed_quote = forms.CharField(max_length=TOKEN_CHARS_MAX, required=False)
    policy_version = forms.CharField(max_length=80, required=False)
    tier = forms.CharField(max_length=200, required=False)
    code = forms.CharField(max_length=16, required=False)
    assertion = forms.CharField(max_length=ASSERTION_CHARS_MAX, required=False)
    comment = forms.CharField(max_length=COMMENT_CHARS_MAX, required=False, strip=True)
    difference = forms.CharField(max_length=COMMENT_CHARS_MAX, required=False, strip=True)

    def proof(self) -> Proof:
        """The second factor that came with it, if any."""
        return Proof(code=self.cleaned_data["code"], assertion=self.cleaned_data["assertion"])

    def seen(self) -> Seen:
        """What the page showed, as it was sent back."""
        return Seen(
            digest=self.cleaned_data["digest"],
            signed_quote=self.cleaned_data["signed_quote"],
            policy_version=self.cleaned_data["policy_version"],
            tier=self.cleaned_data["tier"],
        )
