"""Connections: set up, checked and ended by operators. What was read from venues is read only."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils import timezone

from apps.accounts.services.people import actor_of
from apps.audit.types import Actor
from apps.common.admin import ModelAdmin, ReadOnlyAdmin
from apps.common.errors import AikaError, Denied
from apps.common.lists import SeenRelatedFilter
from apps.common.words import ago, count, moment, seconds_between, span
from apps.connectors.forms import ConnectionForm
from apps.connectors.models import BalanceRecord, Connection, ConnectionGrant, ConnectorCheck, Instrument
from apps.connectors.services import checkup, connections, streams
from apps.connectors.types import Venue

if TYPE_CHECKING:
    from apps.accounts.models import User

MANAGE = "accounts.manage_connections"
READ = "accounts.view_ledger"


def _person(request: HttpRequest) -> "User":
    if not request.user.is_authenticated:
        raise PermissionDenied
    return request.user


def _actor(request: HttpRequest) -> Actor:
    return actor_of(_person(request))


def _channel_health(connection: Connection) -> streams.StreamHealth | None:
    return streams.health_of(streams.user_stream_name(connection.pk))


class _MayRead:
    """Pages for whoever may manage connections or read the ledger."""

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm(MANAGE) or request.user.has_perm(READ)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


@admin.register(Connection)
class ConnectionAdmin(_MayRead, ModelAdmin):
    """Venue, environment and address are fixed with the first save; ended is ended."""

    filled_by = "`Add` makes one, of paper or of live money; that can never be changed afterwards."

    form = ConnectionForm
    actions = None
    list_display = (
        "name",
        "environment_in_words",
        "desk",
        "venue",
        "trading",
        "key_fingerprint",
        "standing",
        "verified_at",
    )
    list_select_related = ("desk", "authorisation__person")
    list_filter = ("environment", "is_active")
    search_fields = ("name", "slug")
    fieldsets = (
        ("What it is", {"fields": ("slug", "name", "desk", "venue", "trading", "environment", "api_base")}),
        ("Its key", {"fields": ("key_name", "new_secret", "key_fingerprint", "key_permissions")}),
        ("How it stands", {"fields": ("standing", "created_at", "verified_at", "fees", "fees_as_of")}),
        ("What the venue tells of its orders", {"fields": ("channel", "channel_heard", "channel_losses")}),
    )

    @admin.display(description="environment", ordering="environment")
    def environment_in_words(self, obj: Connection) -> str:
        return obj.environment_words

    @admin.display(description="trading")
    def trading(self, obj: Connection) -> str:
        if obj._state.adding:
            return "; ".join(f"{venue.shown}: {venue.trading_words}" for venue in Venue)
        return "supported" if obj.places_orders else obj.trading_words

    @admin.display(description="fingerprint of the private key")
    def key_fingerprint(self, obj: Connection) -> str:
        if obj.authorisation is not None:
            return f"none: it stands on {obj.authorisation}, authorised by {obj.authorisation.person.shown_name}"
        return obj.secret_fingerprint or "no key"

    @admin.display(description="what the venue says it may")
    def key_permissions(self, obj: Connection) -> str:
        checked = connections.permissions_read(obj)
        if checked is None:
            return "not asked yet: check the key"
        may = ", ".join(word for word, is_so in (("view", checked.can_view), ("trade", checked.can_trade)) if is_so)
        return f"{may or 'nothing'}; {'it may transfer' if checked.can_transfer else 'it may not transfer'}"

    @admin.display(description="standing")
    def standing(self, obj: Connection) -> str:
        if obj.deactivated_at is not None:
            return f"ended: {obj.deactivated_reason}"
        if not obj.is_active:
            return "waits for its key to be checked"
        return "places orders" if obj.places_orders else "is read; places no orders"

    @admin.display(description="fees (taker, maker)")
    def fees(self, obj: Connection) -> str:
        return "not read yet" if obj.fee_taker is None else f"{obj.fee_taker:f}, {obj.fee_maker:f}"

    @admin.display(description="user channel")
    def channel(self, obj: Connection) -> str:
        if not obj.places_orders:
            return "Not followed: there are no orders of Aika's to tell about."
        if not obj.tells_orders:
            return "Not followed: it stands on OAuth, and no bearer is taken there. Orders are asked about instead."
        health, now = _channel_health(obj), timezone.now()
        if health is None:
            return "Nobody follows it: orders are asked about every few seconds."
        if health.live_since is None or not health.is_live(now):
            return "Not live: orders are asked about every few seconds."
        for_s = int(seconds_between(health.live_since, now))
        return f"Live since {moment(health.live_since, now)}, for {span(for_s)}."

    @admin.display(description="last heard")
    def channel_heard(self, obj: Connection) -> str:
        health, now = _channel_health(obj), timezone.now()
        if health is None or health.heard_at is None:
            return "never"
        return f"{ago(health.heard_at, now)}, by {health.holder}"

    @admin.display(description="losses")
    def channel_losses(self, obj: Connection) -> str:
        health, now = _channel_health(obj), timezone.now()
        if health is None or health.last_loss_at is None:
            return "none"
        times = "once" if health.losses == 1 else f"{count(health.losses)} times"
        gaps = f" ({count(health.gaps)} by a gap)" if health.gaps else ""
        return f"Lost {times}{gaps}, last {ago(health.last_loss_at, now)}: {health.last_loss}."

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(MANAGE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(MANAGE)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        shown = (
            *(
                "trading",
                "key_fingerprint",
                "key_permissions",
                "standing",
                "created_at",
                "verified_at",
                "fees",
                "fees_as_of",
            ),
            *("channel", "channel_heard", "channel_losses"),
        )
        fixed = ("slug", "name", "desk", "venue", "environment", "api_base")
        return (*shown, *fixed) if obj else shown

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            shown = ("key_name", "key_fingerprint", "key_permissions")
            return (self.fieldsets[0], ("Its key", {"fields": shown}), *self.fieldsets[2:])
        if obj is not None and obj.authorisation_id is not None:
            return (self.fieldsets[0], ("Its key", {"fields": ("key_fingerprint",)}), *self.fieldsets[2:])
        if obj is None:
            return (self.fieldsets[0], ("Its key", {"fields": ("key_name", "new_secret", "confirmation")}))
        return self.fieldsets

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                "<uuid:pk>/verify/", self.admin_site.admin_view(self.verify_view), name="connectors_connection_verify"
            ),
            path(
                "<uuid:pk>/deactivate/",
                self.admin_site.admin_view(self.deactivate_view),
                name="connectors_connection_deactivate",
            ),
        ]
        return [*own, *super().get_urls()]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {**(extra_context or {}), "connection_verbs": request.user.has_perm(MANAGE)}
        try:
            # The stock view writes the admin's own log in the same transaction as the service's rows.
            with transaction.atomic():
                return super().changeform_view(request, object_id, form_url, context)
        except Denied as error:
            self._ask_for_second_person(request, error)
        except AikaError as error:
            self.message_user(request, f"{error.message} {error.fix}".strip(), messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: Connection, form: Any, change: bool) -> None:
        secret = form.cleaned_data.get("new_secret", "")
        if change:
            if secret:
                self._replace_secret(request, obj, form.cleaned_data["key_name"], secret)
            return
        draft = connections.Draft(
            **{name: form.cleaned_data[name] for name in ("slug", "name", "desk", "environment", "api_base", "venue")},
            key_name=form.cleaned_data["key_name"],
            secret=secret,
        )
        request.asked = lambda: connections.request_live(  # type: ignore[attr-defined]  # for `_ask_for_second_person`
            draft=draft, requester=_person(request), now=timezone.now()
        )
        made = connections.create(draft=draft, actor=_actor(request), now=timezone.now())
        obj.pk = made.pk
        obj.refresh_from_db()

    def _replace_secret(self, request: HttpRequest, obj: Connection, key_name: str, secret: str) -> None:
        stored = Connection.objects.get(pk=obj.pk)
        request.asked = lambda: connections.request_replace_secret(  # type: ignore[attr-defined]  # as in save_model
            connection=stored, key_name=key_name, secret=secret, requester=_person(request), now=timezone.now()
        )
        connections.replace_secret(
            connection=stored, key_name=key_name, secret=secret, actor=_actor(request), now=timezone.now()
        )

    def _ask_for_second_person(self, request: HttpRequest, error: Denied) -> None:
        ask = getattr(request, "asked", None)
        if error.code != "SECOND_PERSON_REQUIRED" or ask is None:
            self.message_user(request, f"{error.message} {error.fix}".strip(), messages.ERROR)
            return
        try:
            ask()
        except AikaError as refused:
            self.message_user(request, f"{refused.message} {refused.fix}".strip(), messages.ERROR)
            return
        text = "A second person has been asked. Once they have seconded it, enter exactly the same again."
        self.message_user(request, text, messages.WARNING)

    def verify_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """POST: ask the venue what the key may do."""
        connection = self._posted(request, pk)
        if isinstance(connection, HttpResponse):
            return connection
        try:
            connections.verify(connection=connection, actor=_actor(request), now=timezone.now())
        except AikaError as error:
            self.message_user(request, f"{error.message} {error.fix}".strip(), messages.ERROR)
        else:
            may = "may view and trade, and may not transfer" if connection.places_orders else "may view"
            text = f"{connection.name}: the key {may}. {connection.name} {self.standing(connection)}."
            self.message_user(request, text, messages.SUCCESS)
        return HttpResponseRedirect(self._page(pk))

    def deactivate_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """POST: end the connection, with a reason."""
        connection = self._posted(request, pk)
        if isinstance(connection, HttpResponse):
            return connection
        reason = request.POST.get("reason", "").strip()
        if not reason:
            self.message_user(request, "Say why the connection ends.", messages.ERROR)
            return HttpResponseRedirect(self._page(pk))
        connections.deactivate(connection=connection, reason=reason, actor=_actor(request), now=timezone.now())
        self.message_user(request, f"{connection.name} is ended: no order leaves over it.", messages.SUCCESS)
        return HttpResponseRedirect(self._page(pk))

    def _posted(self, request: HttpRequest, pk: UUID) -> "Connection | HttpResponse":
        if not request.user.has_perm(MANAGE):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return get_object_or_404(Connection, pk=pk)

    def _page(self, pk: UUID) -> str:
        return reverse("admin:connectors_connection_change", args=[pk])


@admin.register(Instrument)
class InstrumentAdmin(_MayRead, ReadOnlyAdmin):
    filled_by = "A connection's check reads what its venue trades."
    list_display = (
        *("code", "connection", "tradable", "price_increment", "quantity_increment"),
        *("min_notional", "limit_only", "post_only", "cancel_only", "fetched_at"),
    )
    list_select_related = ("connection",)
    list_filter = (("connection", SeenRelatedFilter), "tradable")
    search_fields = ("^code",)
    search_help_text = "The beginning of a code, such as BTC."


@admin.register(BalanceRecord)
class BalanceAdmin(_MayRead, ReadOnlyAdmin):
    filled_by = "A connection's check, and every comparison with its venue, reads what is held there."
    list_display = ("currency", "connection", "available", "held", "as_of")
    list_select_related = ("connection",)
    list_filter = (("connection", SeenRelatedFilter),)
    search_fields = ("=currency",)


@admin.register(ConnectionGrant)
class ConnectionGrantAdmin(_MayRead, ReadOnlyAdmin):
    filled_by = "A grant lets an API key use a connection; give it on the key's page."
    list_display = ("api_key", "connection", "granted_at")
    list_select_related = ("api_key", "connection")


@admin.register(ConnectorCheck)
class ConnectorCheckAdmin(_MayRead, ReadOnlyAdmin):
    filled_by = "`Test` on a connection's page and `manage.py connector_check` leave one each."
    list_display = ("connection", "ran_at", "to_look_at")
    list_select_related = ("connection",)
    fields = ("connection", "ran_at", "to_look_at", "answers")

    @admin.display(description="to look at")
    def to_look_at(self, obj: ConnectorCheck) -> str:
        return " ".join(checkup.warnings_of(obj)) or "nothing"
