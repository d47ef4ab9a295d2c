"""What the pages of the memory share."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.contrib.admin import ModelAdmin, RelatedFieldListFilter, SimpleListFilter
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.accounts.selectors import desks_shown_to, page_desks_of
from apps.common import words
from apps.common.admin import ReadOnlyAdmin
from apps.common.decimals import decimal_text
from apps.lessons.types import MistakeTag

if TYPE_CHECKING:
    from apps.accounts.models import User

M = TypeVar("M", bound=models.Model)
NOT_KNOWN = "not known"


class DeskLedgerAdmin(ReadOnlyAdmin[M]):
    """Rows of the desks a person sits at; a superuser sees every desk's. `desk_path` leads from the row to its desk."""

    desk_path = "desk"

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        rows = super().get_queryset(request)
        user = cast("User", request.user)
        return rows if user.is_superuser else rows.filter(**{f"{self.desk_path}__in": page_desks_of(user)})


class OwnDesksFilter(RelatedFieldListFilter):
    """The desks whose rows a person sees: where the desk stands in another table, which of them have rows here is more
    than an index can say."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: "ModelAdmin[Any]") -> list[Any]:
        desks = desks_shown_to(cast("User", request.user)).order_by("name")
        return [(str(desk.pk), str(desk)) for desk in desks]


class MistakeFilter(SimpleListFilter):
    """Cases with a mistake. A case has each of them once, so that no row is found twice: to be sure of that, Django
    would compare whole rows, and read all of them."""

    title = "mistake"
    parameter_name = "tag"
    case_path = ""

    def lookups(self, request: HttpRequest, model_admin: "ModelAdmin[Any]") -> list[tuple[str, str]]:
        return [(tag.value, tag.value) for tag in MistakeTag]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{f"{self.case_path}tags__tag": self.value()}) if self.value() else queryset


class CaseMistakeFilter(MistakeFilter):
    """Lessons of cases with a mistake."""

    case_path = "case__"


def link(model: str, pk: object, text: str) -> SafeString:
    """The way to a row; `model` like `lessons_case`."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{model}_change", args=[pk]), text)


def exact(value: object) -> str:
    """A decimal with every digit it has, without the zeros it has not."""
    return decimal_text(value) if isinstance(value, Decimal) else NOT_KNOWN


def multiple(value: Decimal | None) -> str:
    """A multiple of the planned risk: `−1.27 R`."""
    return NOT_KNOWN if value is None else f"{words.signed(value, places=2)} R"


def held(opened_at: datetime | None, closed_at: datetime) -> str:
    """For how long a trade was open."""
    return NOT_KNOWN if opened_at is None else words.span(words.seconds_between(opened_at, closed_at))
