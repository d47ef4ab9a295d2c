"""The form of one rule: parameters as JSON, checked by the code that judges."""

import json
from typing import TYPE_CHECKING, Any

from django import forms

from apps.policies.models import Rule
from apps.policies.rules import KINDS

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Rule]
else:  # Django's class is generic in its stubs only
    ModelForm = forms.ModelForm


def params_help() -> str:
    """What each kind takes, in one paragraph for below the field."""
    said = []
    for name, kind in KINDS.items():
        params = "; ".join(f"{param}: {meaning}" for param, meaning in kind.params.items()) or "none"
        said.append(f"{name}: {params}. Such as {json.dumps(kind.example)}")
    return "\n".join(said)


class RuleForm(ModelForm):
    """Numbers stand in quotes: a JSON number may have lost digits."""

    class Meta:
        model = Rule
        fields = ("key", "kind", "params", "connection", "instrument", "side", "proposer", "reason")
        widgets = {"params": forms.Textarea(attrs={"rows": 3, "cols": 48, "spellcheck": "false"})}

    def clean_params(self) -> Any:
        """An empty field means no parameters."""
        return self.cleaned_data.get("params") or {}
