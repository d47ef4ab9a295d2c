"""What a caller of the API may do. Put these into `permission_classes`."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.accounts import selectors
from apps.accounts.authentication import principal_of
from apps.accounts.models import ApiKey, User
from apps.accounts.types import Scope
from apps.common.errors import Forbidden


class _ScopePermission(BasePermission):
    scope: Scope

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True, or the reason why not. Raises `Unauthenticated`, `Forbidden` SCOPE_MISSING or NOT_PERMITTED."""
        principal, person = principal_of(request), request.user
        if isinstance(request.auth, ApiKey) and self.scope.value not in request.auth.scopes:
            raise Forbidden(
                "SCOPE_MISSING",
                f"This API key does not have the scope {self.scope.value}.",
                fix="Use a key that has it, or ask an operator for one.",
            )
        # Asked for keys too: who loses a role loses it in every program at once.
        if not isinstance(person, User) or not selectors.may_use_scope(person, self.scope):
            raise Forbidden("NOT_PERMITTED", f"No role of {principal.name} allows this.")
        return True


def HasScope(scope: str) -> type[BasePermission]:
    """Keys need this scope, and the person (a key's owner too) a role that allows it now.

    Raises ValueError at import for a scope that does not exist.
    """
    return type(f"HasScope_{scope}", (_ScopePermission,), {"scope": Scope(scope)})


def KeyScopeOrPerson(scope: str) -> type[BasePermission]:
    """Keys need this scope, and an owner who may use it now. People come in: the act itself asks what they may do.

    Raises ValueError at import for a scope that does not exist.
    """
    return type(f"KeyScopeOrPerson_{scope}", (_KeyScopeOrPerson,), {"scope": Scope(scope)})


class _KeyScopeOrPerson(_ScopePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        """True for a person. For a key as `HasScope`; raises `Unauthenticated` for nobody."""
        return principal_of(request).is_person or super().has_permission(request, view)


class PersonOnly(BasePermission):
    """A signed-in person; a key never gets here, whatever its scopes."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True for a person. Raises `Unauthenticated` for nobody, `Forbidden` PERSON_REQUIRED for a key."""
        if not principal_of(request).is_person:
            raise Forbidden(
                "PERSON_REQUIRED", "Only a signed-in person may do this.", fix="Sign in; an API key never can."
            )
        return True
