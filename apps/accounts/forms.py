"""Forms of the admin pages of this app."""

from datetime import timedelta
from typing import ClassVar

from django import forms
from django.contrib.auth.forms import AdminUserCreationForm

from apps.accounts.models import User
from apps.accounts.services.api_keys import KEY_LIFETIME_MAX, NAME_LENGTH_MAX
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

    @property
    def lifetime(self) -> timedelta:
        """How long the key lives, from the cleaned form."""
        return timedelta(days=self.cleaned_data["days"])
