"""Give a program a new key while the old one still works."""

from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from apps.accounts.selectors import key_by_id
from apps.accounts.services import people
from apps.common.errors import AikaError
from apps.connectors.forms import RotateKeyForm
from apps.connectors.services.key_rotation import rotate_key


@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_variables("secret")
def page(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """GET says what happens, POST does it. The answer to the POST is the only page that ever shows the new key."""
    if not request.user.is_authenticated or not request.user.has_perm("accounts.add_apikey"):
        raise PermissionDenied
    key = key_by_id(key_id)
    if key is None:
        raise Http404("There is no such key.")
    form = RotateKeyForm(request.POST if request.method == "POST" else None)
    context = {**admin.site.each_context(request), "opts": key._meta}
    if form.is_valid():
        now = timezone.now()
        try:
            made, secret = rotate_key(
                key_id=key_id,
                expires_at=now + form.lifetime,
                overlap=form.overlap,
                actor=people.actor_of(request.user),
                now=now,
            )
        except AikaError as error:
            form.add_error(error.field if error.field in form.fields else None, f"{error.message} {error.fix}".strip())
        else:
            shown = {"title": "The key, shown once", "key": made, "secret": secret}
            return TemplateResponse(request, "accounts/api_key_issued.html", {**context, **shown})
    shown = {"title": "Rotate this key", "key": key, "form": form}
    return TemplateResponse(request, "accounts/api_key_rotate.html", {**context, **shown})
