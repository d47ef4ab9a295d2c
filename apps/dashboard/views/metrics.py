"""`/metrics`: the figures of the desk for a monitoring system that knows the token."""

import hmac
import ipaddress

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from apps.dashboard.metrics import registry


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The text format. 404 where no token is set (but to this machine itself, locally), 403 without the right one."""
    if settings.METRICS_TOKEN:
        if not _knows_the_token(request):
            raise PermissionDenied("The token of /metrics is missing or wrong.")
    elif not _is_at_home(request):
        raise Http404
    return HttpResponse(generate_latest(registry(timezone.now())), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _knows_the_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode())


def _is_at_home(request: HttpRequest) -> bool:
    """A person's own machine, asked by itself and not for somebody behind it."""
    if settings.ENVIRONMENT != "local" or "X-Forwarded-For" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
