"""Hooks: set up by who may issue keys, and the calls they got, which everybody with the ledger reads."""

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from apps.accounts.services.people import actor_of
from apps.common.admin import act
from apps.common.errors import AikaError, Denied
from apps.common.lists import SeenRelatedFilter
from apps.connectors.selectors import active_connections, page_connections_of
from apps.trades.admin.base import TradeLedgerAdmin, link, story_link, wire_bytes
from apps.trades.forms import MODES, HookForm, RotateForm, preview
from apps.trades.models import Hook, HookCall
from apps.trades.rules.hooks import FIELDS, MAPS
from apps.trades.services import hooks
from apps.trades.types import HookMode

if TYPE_CHECKING:
    from apps.accounts.models import User

MANAGE: Final = "accounts.add_apikey"
CALLS_SHOWN: Final = 20


def _person(request: HttpRequest) -> "User":
    return cast("User", request.user)


@admin.register(Hook)
class HookAdmin(TradeLedgerAdmin[Hook]):
    """One page a hook: how it stands, what it makes of a body, and what it was last sent. Whoever sets it up sits at
    the desk of its connection."""

    filled_by = "`Add a hook` makes an address at which a charting service can propose."

    list_display = ("name", "state_in_words", "connection", "owner", "mode_in_words", "last_call", "key_expires")
    list_select_related = ("connection", "owner", "api_key")
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Hook]:
        newest = HookCall.objects.filter(hook=OuterRef("pk")).order_by("-called_at").values("called_at")[:1]
        return super().get_queryset(request).defer("secret").annotate(last_call_at=Subquery(newest))

    @admin.display(description="state")
    def state_in_words(self, hook: Hook) -> str:
        return state_of(hook, timezone.now())

    @admin.display(description="how a sender proves itself")
    def mode_in_words(self, hook: Hook) -> str:
        return "signed" if hook.mode == HookMode.SIGNED else "secret in the body"

    @admin.display(description="last call", empty_value="never")
    def last_call(self, hook: Any) -> datetime | None:
        found: datetime | None = hook.last_call_at
        return found

    @admin.display(description="valid until")
    def key_expires(self, hook: Hook) -> datetime:
        return hook.api_key.over_at

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MANAGE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MANAGE)

    def get_urls(self) -> list[URLPattern]:
        view, name = self.admin_site.admin_view, "trades_hook"
        own = [
            path("<uuid:pk>/enable/", view(self.enable_view), name=f"{name}_enable"),
            path("<uuid:pk>/disable/", view(self.disable_view), name=f"{name}_disable"),
            path("<uuid:pk>/rotate/", view(self.rotate_view), name=f"{name}_rotate"),
        ]
        return [*own, *super().get_urls()]

    @method_decorator(never_cache)
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """GET the form, POST to preview or to make it. The answer to the latter is the only page with the secret."""
        self._require(request)
        posted = request.POST if request.method == "POST" else None
        form = HookForm(posted, new=True, connections=_connections(request))
        if form.is_valid() and "_preview" not in request.POST and (page := self._made(request, form)) is not None:
            return page
        return self._page(request, "trades/hook_add.html", "New hook", form=form, shown=_preview(form))

    @sensitive_variables("secret")
    def _made(self, request: HttpRequest, form: HookForm) -> HttpResponse | None:
        now, values = timezone.now(), form.cleaned_data
        try:
            hook, secret = hooks.create(
                name=values["name"],
                owner=values["owner"],
                content=form.content,
                expires_at=now + timedelta(days=values["days"]),
                networks=values["networks"],
                actor=actor_of(_person(request)),
                now=now,
            )
        except AikaError as error:
            _say(form, error)
            return None
        return self._page(request, "trades/hook_secret.html", "The secret, shown once", hook=hook, secret=secret)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of a hook; POST previews another template, or saves it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        hook = self._hook(request, _uuid(object_id))
        may_manage = request.user.has_perm(MANAGE)
        if request.method == "POST":
            self._require(request)
        posted = request.POST if request.method == "POST" else None
        form = HookForm(posted, initial=_typed(hook), new=False, connections=_connections(request))
        if request.method == "POST" and "_preview" not in request.POST and form.is_valid():
            try:
                changed = hooks.change(
                    hook_id=hook.pk, content=form.content, actor=actor_of(_person(request)), now=timezone.now()
                )
            except AikaError as error:
                _say(form, error)
            else:
                off = "" if changed.enabled or not hook.enabled else " It is off until two people switch it on again."
                messages.info(request, f"{hook.name} is changed.{off}")
                return HttpResponseRedirect(self._url(hook.pk), status=303)
        return self._page(
            request,
            "trades/hook.html",
            hook.name,
            hook=hook,
            form=form,
            shown=_preview(form) if form.is_bound else preview(hook.template, hook.example),
            state=state_of(hook, timezone.now()),
            way=dict(MODES)[hook.mode],
            address=request.build_absolute_uri(hook.path),
            calls=HookCall.objects.filter(hook=hook).select_related("proposal")[:CALLS_SHOWN],
            counts=HookCall.objects.filter(hook=hook).values_list("outcome").annotate(Count("pk")).order_by("outcome"),
            may_manage=may_manage,
        )

    def enable_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """POST: switch it on; on a live connection that asks a second person, or uses their word."""
        self._require(request)
        self._hook(request, pk)

        def verb(now: datetime) -> str:
            person = _person(request)
            try:
                hook = hooks.enable(hook_id=pk, actor=actor_of(person), now=now)
            except Denied as error:
                if error.code != "SECOND_PERSON_REQUIRED":
                    raise
                hooks.request_enable(hook_id=pk, requester=person, now=now)
                return "A second person has been asked. Once they have seconded it, switch the hook on again."
            return f"{hook.name} is on: what proves to be its sender becomes proposals."

        return act(request, verb, back=self._url(pk))

    def disable_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """POST: switch it off at once."""
        self._require(request)
        self._hook(request, pk)

        def verb(now: datetime) -> str:
            hook = hooks.disable(hook_id=pk, actor=actor_of(_person(request)), now=now)
            return f"{hook.name} is off: its calls are refused. Proposals it made stay as they are."

        return act(request, verb, back=self._url(pk))

    @method_decorator(never_cache)
    @method_decorator(sensitive_variables("secret"))
    def rotate_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """GET says what stops working; POST makes another secret and shows it once."""
        self._require(request)
        hook = self._hook(request, pk)
        form = RotateForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            now = timezone.now()
            try:
                hook, secret = hooks.rotate(
                    hook_id=pk,
                    expires_at=now + timedelta(days=form.cleaned_data["days"]),
                    actor=actor_of(_person(request)),
                    now=now,
                )
            except AikaError as error:
                _say(form, error)
            else:
                title = "The secret, shown once"
                return self._page(request, "trades/hook_secret.html", title, hook=hook, secret=secret)
        return self._page(request, "trades/hook_rotate.html", "Another secret", hook=hook, form=form)

    def _hook(self, request: HttpRequest, pk: UUID) -> Hook:
        """The hook, for people of its desk. Raises Http404."""
        return get_object_or_404(self.get_queryset(request).select_related("owner", "connection", "api_key"), pk=pk)

    def _require(self, request: HttpRequest) -> None:
        if not request.user.has_perm(MANAGE):
            raise PermissionDenied

    def _url(self, pk: UUID) -> str:
        return reverse("admin:trades_hook_change", args=[pk])

    def _page(self, request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
        site = self.admin_site.each_context(request)
        return TemplateResponse(request, template, {**site, "title": title, "opts": self.opts, **context})


@admin.register(HookCall)
class HookCallAdmin(TradeLedgerAdmin[HookCall]):
    """Every call, and why it came to nothing where it did. One of a name that no hook has is of no desk: all see it."""

    filled_by = "Each call at a hook's address is kept here, the refused ones with the reason."
    connection_path = "hook__connection"
    list_display = ("called_at", "called", "outcome", "status", "code_and_others", "story", "address")
    list_display_links = ("called_at",)
    list_select_related = ("hook", "proposal")
    list_filter = ("outcome", ("hook", SeenRelatedFilter))
    search_fields = ("=code", "=body_digest", "=address")
    search_help_text = "A whole code, digest of a body, or address"
    ordering = ("-called_at",)
    sortable_by = ("called_at",)
    fields = (
        *("called_at", "called", "outcome", "status", "code", "reason", "others", "story"),
        *("address", "body_bytes", "body_digest", "payload_text"),
    )

    def seen_by(self, person: "User", rows: QuerySet[HookCall]) -> QuerySet[HookCall]:
        return rows.filter(Q(hook__connection__in=page_connections_of(person)) | Q(hook=None))

    @admin.display(description="hook")
    def called(self, call: HookCall) -> str | SafeString:
        return link("trades_hook", call.hook_id, call.hook.name) if call.hook else f"none has the name {call.name}"

    @admin.display(description="code")
    def code_and_others(self, call: HookCall) -> str:
        return f"{call.code}, and {call.counted} others before it" if call.counted else call.code

    @admin.display(description="refused before it and only counted")
    def others(self, call: HookCall) -> str:
        return str(call.counted) if call.counted else "none"

    @admin.display(description="proposal")
    def story(self, call: HookCall) -> str | SafeString:
        return story_link(call.proposal_id, call.proposal.label) if call.proposal else "none"

    @admin.display(description="what was sent (unverified, without the secret)")
    def payload_text(self, call: HookCall) -> str | SafeString:
        if not call.payload:
            return "not kept: nobody vouches for it"
        return wire_bytes(call.payload.encode())


def state_of(hook: Hook, now: datetime) -> str:
    """Whether calls come to anything, and if not, why."""
    if hook.api_key.revoked_at is not None:
        return "off: its key was revoked"
    if hook.api_key.over_at <= now:
        return "off: its key has expired"
    return "on" if hook.enabled else "off"


def _connections(request: HttpRequest) -> QuerySet[Any]:
    """Those a person may set a hook up on: of their own desks."""
    person = _person(request)
    return active_connections() if person.is_superuser else active_connections().filter(desk__members=person.pk)


def _typed(hook: Hook) -> dict[str, object]:

    return {
        "connection": hook.connection.slug,
        "mode": hook.mode,
        "secret_path": hook.secret_path,
        "template": json.dumps(_in_order(hook.template), indent=2, ensure_ascii=False),
        "example": hook.example,
    }


def _in_order(template: dict[str, Any]) -> dict[str, Any]:
    """The template as people write it: PostgreSQL keeps members in an order of its own."""
    return {name: template[name] for name in (*FIELDS, MAPS) if name in template}


def _preview(form: HookForm) -> Any:
    if form.is_bound and form.is_valid():
        return preview(form.cleaned_data["template"], form.cleaned_data["example"])
    return preview(None, "")


def _say(form: Any, error: AikaError) -> None:
    form.add_error(error.field if error.field in form.fields else None, f"{error.message} {error.fix}".strip())


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
