"""What the ledgers of trading share."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common import words
from apps.common.admin import ReadOnlyAdmin
from apps.common.decimals import decimal_text
from apps.connectors.selectors import page_connections_of

if TYPE_CHECKING:
    from apps.accounts.models import User

M = TypeVar("M", bound=models.Model)


class TradeLedgerAdmin(ReadOnlyAdmin[M]):
    """Rows of the desks a person sits at; a superuser sees every desk's. `connection_path` leads from the row to the
    connection, and through it to the desk."""

    connection_path = "connection"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("accounts.view_ledger")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        rows = super().get_queryset(request)
        user = cast("User", request.user)
        return rows if user.is_superuser else self.seen_by(user, rows)

    def seen_by(self, person: "User", rows: QuerySet[M]) -> QuerySet[M]:
        """Those of the person's desks."""
        return rows.filter(**{f"{self.connection_path}__in": page_connections_of(person)})


def link(model: str, pk: object, text: str) -> SafeString:
    """The way to the row of another ledger; `model` like `trades_order`."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{model}_change", args=[pk]), text)


def story_link(proposal_id: object, text: str) -> SafeString:
    """The way to the whole story."""
    return format_html('<a href="{}">{}</a>', reverse("decide:story", args=[proposal_id]), text)


def exact(value: object) -> str:
    """A decimal with every digit it has, without the zeros it has not."""
    return decimal_text(value) if isinstance(value, Decimal) else "\u2013"


def wire_bytes(raw: object) -> SafeString:
    """Stored bytes as text, for comparing; what steers text unseen is shown."""
    text = bytes(raw).decode("utf-8", errors="backslashreplace") if isinstance(raw, bytes | memoryview) else ""
    shown = "".join(words.bare_code(letter) if words.is_hidden(letter) else letter for letter in text)
    return format_html('<pre class="wire" tabindex="0">{}</pre>', shown)
