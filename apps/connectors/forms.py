"""The forms of this app. A secret goes in and never comes out."""

from datetime import timedelta
from typing import Any

from django import forms

from apps.accounts.services.api_keys import KEY_LIFETIME_MAX, OVERLAP_MAX
from apps.common.errors import AikaError
from apps.connectors.models import Connection
from apps.connectors.services.venue import check_address, check_key
from apps.connectors.types import Environment

CONFIRMATION = "trade real money on"


def _refuse(form: "forms.ModelForm[Any]", error: AikaError, field: str) -> None:
    form.add_error(field if field in form.fields else None, f"{error.message} {error.fix}".strip())


def _confirmation(when: str = "") -> forms.CharField:
    return forms.CharField(
        label="real money",
        required=False,
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=f'{when}"{CONFIRMATION}" and its short name, typed, such as '
        f'"{CONFIRMATION} main-live". A second person confirms it as well.',
    )


def _refuse_unconfirmed(form: "forms.ModelForm[Any]", cleaned: dict[str, Any]) -> None:
    """Real money is meant by who types so: not chosen by a slip in a list, nor by the account that was authorised."""
    wanted = f"{CONFIRMATION} {cleaned.get('slug', '')}"
    if " ".join(cleaned.get("confirmation", "").split()) != wanted:
        form.add_error("confirmation", f'This connection trades real money. Type "{wanted}" if it is meant to.')


class SecretArea(forms.Textarea):
    """A text area that shows nothing back, also when the page is shown again after an error."""

    def format_value(self, value: Any) -> str:
        return ""


class ConnectionForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """Adding asks for everything; afterwards the name of the key and its secret can be replaced, both together."""

    new_secret = forms.CharField(
        label="private key",
        required=False,
        # Not a password input: it would drop the line ends of a PEM block.
        widget=SecretArea(attrs={"rows": 6, "autocomplete": "off", "spellcheck": "false"}),
        help_text="As the venue gave it. It is stored encrypted and never shown again.",
    )
    confirmation = _confirmation("For a live connection only: ")

    class Meta:
        model = Connection
        fields = ("slug", "name", "desk", "venue", "environment", "api_base", "key_name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            del self.fields["confirmation"]
        else:
            self.fields["new_secret"].required = True
            self.fields["key_name"].required = True

    @property
    def _venue(self) -> str:
        """The venue chosen; of a connection that is there already, its own."""
        return str(self.cleaned_data.get("venue") or self.instance.venue)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        secret, key_name = cleaned.get("new_secret"), cleaned.get("key_name", "")
        if secret:
            try:
                check_key(venue=self._venue, key_name=key_name, secret=secret)
            except AikaError as error:
                _refuse(self, error, "new_secret")
        elif "key_name" in self.changed_data and not self.instance._state.adding:
            self.add_error("new_secret", "Another key name needs its private key.")
        if cleaned.get("environment") and cleaned.get("api_base"):
            try:
                check_address(venue=self._venue, environment=cleaned["environment"], api_base=cleaned["api_base"])
            except AikaError as error:
                _refuse(self, error, "api_base")
        if "confirmation" in self.fields and cleaned.get("environment") not in (None, Environment.PAPER.value):
            _refuse_unconfirmed(self, cleaned)
        return cleaned


class RotateKeyForm(forms.Form):
    """How long both keys work, and how long the new one lives. The rest is the old key's."""

    overlap_hours = forms.IntegerField(
        label="Old key works on (hours)",
        min_value=0,
        max_value=OVERLAP_MAX // timedelta(hours=1),
        initial=24,
        help_text="0 ends it at once.",
    )
    days = forms.IntegerField(
        label="New key valid for (days)", min_value=1, max_value=KEY_LIFETIME_MAX.days, initial=90
    )

    @property
    def overlap(self) -> timedelta:
        """How long both work, from the cleaned form."""
        return timedelta(hours=self.cleaned_data["overlap_hours"])

    @property
    def lifetime(self) -> timedelta:
        """How long the new key lives, from the cleaned form."""
        return timedelta(days=self.cleaned_data["days"])


class OAuthConnectionForm(forms.ModelForm):  # type: ignore[type-arg]  # as ConnectionForm
    """A connection over an authorisation: venue, address and environment are the authorisation's."""

    confirmation = _confirmation()

    class Meta:
        model = Connection
        fields = ("slug", "name", "desk")

    def __init__(self, *args: Any, environment: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if environment == Environment.PAPER.value:
            del self.fields["confirmation"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "confirmation" in self.fields:
            _refuse_unconfirmed(self, cleaned)
        return cleaned
