"""Forms of the admin pages of this app."""

from datetime import timedelta
from typing import ClassVar

from django import forms
from django.contrib.auth.forms import AdminUserCreationForm

from apps.accounts.models import User
from apps.accounts.services.api_keys import KEY_LIFETIME_MAX, NAME_LENGTH_MAX, RATE_MAX
from apps.accounts.types import Scope

SCOPE_WORDS = {
    Scope.PROPOSE: "propose: make, preview and withdraw proposals",
    Scope.READ: "read: proposals, orders, positions, quotes",
    Scope.REPORT: "report: outcomes of trades made elsewhere",
    Scope.HALT: "halt: stop trading (never resume it)",
}


class PersonCreationForm(AdminUserCreationForm):  # type: ignore[type-arg]  # generic in its stubs only
    """A new person, with the e-mail address that password resets go to."""

    class Meta:
        model = User
        fields: ClassVar = ("username", "email", "display_name")


class IssueKeyForm(forms.Form):
    """A new key. What is allowed is decided by `api_keys.issue`."""

    owner = forms.ModelChoiceField(
        queryset=User.objects.filter(is_active=True),
        help_text="The person the program acts for. They can never approve what it proposes.",
    )
    name = forms.CharField(max_length=NAME_LENGTH_MAX, help_text="The program that will hold the key.")
    scopes = forms.MultipleChoiceField(choices=list(SCOPE_WORDS.items()), widget=forms.CheckboxSelectMultiple)
    days = forms.IntegerField(label="Valid for (days)", min_value=1, max_value=KEY_LIFETIME_MAX.days, initial=90)
    networks = forms.CharField(
        required=False,
        max_length=2000,
        help_text="Networks the program calls from, such as 203.0.113.0/24, with blanks between. Empty: from anywhere.",
    )
    requests_per_minute = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=RATE_MAX,
        help_text="Reads, and writes, a minute. Empty: what the installation allows.",
    )

    def clean_networks(self) -> list[str]:
        """The networks one by one."""
        return list(self.cleaned_data["networks"].replace(",", " ").split())

    @property
    def lifetime(self) -> timedelta:
        """How long the key lives, from the cleaned form."""
        return timedelta(days=self.cleaned_data["days"])
