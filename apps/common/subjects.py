"""What a subject such as `order:6f1c…` names, and the way to that row's page in the console for who may look at it.

Alarms, audit events and decisions say what they are about as text: a kind and an id. One table knows where each kind
has its page.
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.db.models import CharField, Q, Value
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

MODELS: Final = {
    "alarm": "audit.Alarm",
    "api_key": "accounts.ApiKey",
    "authorisation": "connectors.Authorisation",
    "case": "lessons.Case",
    "connection": "connectors.Connection",
    "decision": "policies.Decision",
    "desk": "accounts.Desk",
    "difference": "trades.Difference",
    "fill": "trades.Fill",
    "hook": "trades.Hook",
    "hook_call": "trades.HookCall",
    "knowledge": "lessons.KnowledgeDocument",
    "knowledge_source": "lessons.KnowledgeSource",
    "latch": "policies.Latch",
    "lesson": "lessons.Lesson",
    "order": "trades.Order",
    "outcome": "trades.Outcome",
    "policy_set": "policies.PolicySet",
    "policy_version": "policies.PolicyVersion",
    "proposal": "trades.Proposal",
    "second_person": "accounts.SecondPersonRequest",
    "user": "accounts.User",
}
# What is looked for by id beside proposals and what hangs on those: an order's id leads to its story.
LOOKED_FOR: Final = ("api_key", "case", "decision", "fill", "hook_call", "lesson", "outcome", "user")
_PROPOSAL: Final = "proposal:"


@dataclass(frozen=True, slots=True)
class Named:
    """The row that a subject names: its kind and its id, a number only for alarms."""

    kind: str
    pk: str


def read(subject: str, *, stream: str = "") -> Named | None:
    """The row that a subject names; None where it is none of the table, as for `audit:log`.

    In the stream of a proposal a bare id is the proposal's own, or else an order's. What follows a blank says which
    part of the row it is about.
    """
    whole = subject.partition(" ")[0]
    kind, colon, pk = whole.partition(":")
    if not colon and stream.startswith(_PROPOSAL):
        kind, pk = "proposal" if stream == _PROPOSAL + whole else "order", whole
    if kind not in MODELS or not _is_id(kind, pk):
        return None
    return Named(kind, pk)


def _is_id(kind: str, pk: str) -> bool:
    if kind == "alarm":
        return pk.isascii() and pk.isdecimal() and len(pk) < 19
    try:
        UUID(pk)
    except ValueError:
        return False
    return True


def url_of(named: Named) -> str:
    """The page of the row, whoever may look at it."""
    return reverse(f"admin:{MODELS[named.kind].replace('.', '_').lower()}_change", args=[named.pk])


def may_open(request: HttpRequest, kind: str) -> bool:
    """Whether the pages of this kind are open to the person, of one desk or another. Asks for no row."""
    return _page_of(kind).has_view_permission(request)


def way_to(request: HttpRequest, subject: str, *, stream: str = "") -> str:
    """The page of the row that a subject names; empty where there is none, or where this person may not look at it.

    The page itself is asked, so that a row of another desk is no more linked than it is shown: one query at most.
    """
    named = read(subject, stream=stream)
    if named is None or not may_open(request, named.kind):
        return ""
    page = _page_of(named.kind)
    row = page.get_queryset(request).filter(pk=named.pk).first()
    return url_of(named) if row is not None and page.has_view_permission(request, row) else ""


def rows_by_id(
    request: HttpRequest, *, ids: tuple[UUID, UUID] | None, number: str = "", limit: int
) -> list[tuple[Named, str]]:
    """The rows whose id lies in the range, and the alarm of this number, each with the name of its kind; of what this
    person may look at, at most `limit`. One query: each page says of itself which rows it shows."""
    wanted: dict[str, Q] = {kind: Q(pk__range=ids) for kind in LOOKED_FOR} if ids is not None else {}
    if _is_id("alarm", number):
        wanted["alarm"] = Q(pk=number)
    parts = [
        _page_of(kind)
        .get_queryset(request)
        .filter(which)
        .order_by()
        .annotate(found_kind=Value(kind, CharField()), found_id=Cast("pk", CharField()))
        .values_list("found_kind", "found_id")
        for kind, which in wanted.items()
        if may_open(request, kind)
    ]
    if not parts:
        return []
    found = parts[0].union(*parts[1:], all=True)[:limit]
    return [(Named(kind, str(pk) if kind == "alarm" else str(UUID(pk))), _name_of(kind)) for kind, pk in sorted(found)]


def _name_of(kind: str) -> str:
    return str(_page_of(kind).opts.verbose_name)


def _page_of(kind: str) -> "admin.ModelAdmin[Any]":
    return admin.site.get_model_admin(apps.get_model(MODELS[kind]))


def linked(text: str, url: str) -> SafeString | str:
    """The text, and where there is a way to it, as a link."""
    return format_html('<a href="{}">{}</a>', url, text) if url else text
