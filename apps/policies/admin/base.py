"""Who may look at policy, who may change it, and how a verb of a page is carried out."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.utils import timezone

from apps.common.errors import AikaError, Forbidden

if TYPE_CHECKING:
    from apps.accounts.models import User

DRAFT = "accounts.activate_policy"
READ = "accounts.view_ledger"
HALT = "accounts.halt_trading"


class MayRead:
    """Pages for whoever may change policy or read the ledger; nothing is deleted."""

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm(DRAFT) or request.user.has_perm(READ)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


def person_of(request: HttpRequest) -> "User":
    """The signed-in person."""
    if not request.user.is_authenticated:
        raise PermissionDenied
    return request.user


def act(request: HttpRequest, verb: Callable[[datetime], str], *, back: str) -> HttpResponse:
    """Carry out a POST verb with the clock of now, say what happened, and go to `back`. Anything but POST is refused.

    `verb` returns what to say. One's lack of a right is 403; every other refusal is said on the page.
    """
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        messages.info(request, verb(timezone.now()))
    except Forbidden as error:
        raise PermissionDenied(error.message) from error
    except AikaError as error:
        messages.warning(request, f"{error.message} {error.fix}".strip())
    return HttpResponseRedirect(back, status=303)
