"""Who may look at policy, and who may change it."""

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

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
