"""The form of a hook. Its secret goes out once, on a page of its own, and is in no form."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet

from apps.accounts.selectors import active_people
from apps.accounts.services.api_keys import KEY_LIFETIME_MAX
from apps.common.api.bodies import parse_json
from apps.common.decimals import parse_decimal
from apps.common.errors import Invalid
from apps.connectors.types import OrderType, Side, TimeInForce
from apps.trades.rules import hooks as rules
from apps.trades.services.hooks import Content
from apps.trades.types import HookMode

CHOICES = {"side": Side, "order_type": OrderType, "time_in_force": TimeInForce}
EXAMPLE_TEMPLATE = """{
  "instrument": "{{ ticker | map:symbols }}",
  "side": "{{ action | upper }}",
  "order_type": "LIMIT",
  "time_in_force": "GTC",
  "quantity": "{{ size }}",
  "limit_price": "{{ price }}",
  "rationale": "{{ alert }}",
  "maps": {"symbols": {"BTCUSD": "BTC-USD"}}
}"""
EXAMPLE_BODY = """{"ticker": "BTCUSD", "action": "buy", "size": "0.01", "price": "60000", "alert": "Crossed above"}"""
MODES = (
    (HookMode.SIGNED.value, "Signed: the sender signs time and body (HMAC-SHA256)"),
    (HookMode.BODY_SECRET.value, "Secret in the body: weaker. Who sees one body can send others"),
)


class _Json(forms.CharField):
    """JSON as a person types it; the value is what it says."""

    widget = forms.Textarea(attrs={"rows": 12, "spellcheck": "false", "class": "mono", "autocomplete": "off"})

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return json.loads(text) if text else None
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(f"This is no JSON: {error}.") from None


class HookForm(forms.Form):
    """What a hook is. `new` asks for its name and owner as well, which never change."""

    name = forms.SlugField(max_length=50, help_text="The last part of its address, /hooks/…: such as btc-alerts.")
    owner: Any = forms.ModelChoiceField(
        queryset=None,
        help_text="The person it acts for. They can never approve what it proposes.",
    )
    connection: Any = forms.ModelChoiceField(
        queryset=None,
        to_field_name="slug",
        help_text="The only one it may propose on. A body cannot choose another.",
    )
    mode = forms.ChoiceField(
        label="How a sender proves itself",
        choices=MODES,
        widget=forms.RadioSelect,
        initial=HookMode.SIGNED.value,
        help_text="A secret in the body is for senders that cannot sign, such as chart services. Use HTTPS only, and "
        "give it a template with sent_at where the sender can say when it sent.",
    )
    secret_path = forms.RegexField(
        label="Place of the secret",
        regex=r"^[A-Za-z0-9_-]{1,40}$",
        initial="secret",
        help_text="With a secret in the body: the field it stands in.",
    )
    template = _Json(
        initial=EXAMPLE_TEMPLATE,
        help_text="The fields of a proposal, each a constant or {{ path }} into the body. Transforms: upper, lower, "
        "trim, map:NAME. Decimals as texts. sent_at, where given, must be within five minutes.",
    )
    example = forms.CharField(
        label="Example of a body",
        required=False,
        max_length=8_000,
        initial=EXAMPLE_BODY,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "mono", "autocomplete": "off"}),
        help_text="What the template makes of it is shown before anything is saved. Leave the secret out of it.",
    )
    networks = forms.CharField(
        required=False,
        max_length=2_000,
        help_text="Networks the sender calls from, such as 203.0.113.0/24, with blanks between. Empty: from anywhere. "
        "With a secret in the body, name them where the sender publishes them.",
    )
    days = forms.IntegerField(label="Valid for (days)", min_value=1, max_value=KEY_LIFETIME_MAX.days, initial=90)

    only_new: ClassVar = ("name", "owner", "networks", "days")

    def __init__(self, *args: Any, new: bool, connections: QuerySet[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["connection"].queryset = connections.order_by("name")  # type: ignore[attr-defined]  # a choice of rows
        self.fields["owner"].queryset = active_people()  # type: ignore[attr-defined]  # as above
        if not new:
            for name in self.only_new:
                del self.fields[name]

    def clean_networks(self) -> list[str]:
        """The networks one by one."""
        return list(self.cleaned_data["networks"].replace(",", " ").split())

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "template" in cleaned and "template" not in self.errors:
            in_body = cleaned.get("mode") == HookMode.BODY_SECRET
            try:
                rules.read_template(cleaned["template"], secret_path=cleaned.get("secret_path", "") if in_body else "")
            except Invalid as error:
                where = f"{error.field}: " if error.field else ""
                self.add_error("template", f"{where}{error.message} {error.fix}")
        return cleaned

    @property
    def content(self) -> Content:
        """What was typed, where it is valid."""
        values = self.cleaned_data
        return Content(
            connection=values["connection"],
            mode=values["mode"],
            template=values["template"],
            secret_path=values["secret_path"],
            example=values["example"],
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """What a template makes of the example: fields with their values, or why it makes nothing of it."""

    rows: tuple[tuple[str, str], ...] = ()
    problem: str = ""


def preview(template: object, example: str) -> Preview:
    """What would be proposed if this body came now, as far as the template goes: policy is not asked."""
    if not example.strip():
        return Preview()
    try:
        payload = parse_json(example.encode("utf-8", errors="replace"), number=rules.Digits)
        filled = rules.fill(rules.read_template(template), payload)
        for name, choices in CHOICES.items():
            if filled[name] not in set(choices):
                words = f"{name} would be {str(filled[name])[:40]!r}, and is one of: {', '.join(choices)}."
                return Preview(problem=words)
        for name in rules.DECIMALS:
            if name in filled:
                parse_decimal(filled[name], field=name)
    except Invalid as error:
        return Preview(problem=f"{error.message} {error.fix}".strip())
    return Preview(rows=tuple((name, str(value)) for name, value in filled.items()))


class RotateForm(forms.Form):
    """How long the next secret lives."""

    days = forms.IntegerField(label="Valid for (days)", min_value=1, max_value=KEY_LIFETIME_MAX.days, initial=90)
