"""Two questions a machine asks: is the process alive (`/healthz`), and may it get traffic (`/readyz`)?"""

import time
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.dashboard.services.readiness import Part, Readiometer

readiometer = Readiometer()


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Alive: the process answers. Touches nothing else, or a database's bad minute would restart every process."""
    return JsonResponse({"alive": True})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Ready: 200 where what this process needs answers, else 503; each part with its state and age, and the feeds."""
    found = readiometer.read(now=timezone.now())
    looked_ago = time.monotonic() - found.found_at
    body = {
        "ready": found.ready,
        "state": found.state,
        "age_s": f"{looked_ago:.3f}",
        "parts": {part.name: _said(part, looked_ago) for part in found.parts},
        "feeds": found.feeds,
    }
    return JsonResponse(body, status=200 if found.ready else 503)


def _said(part: Part, looked_ago: float) -> dict[str, Any]:
    """Where the look itself was the sign of life, the age is the look's."""
    age = part.age_s if part.age_s is not None else looked_ago if part.is_needed else None
    return {
        "state": part.state,
        "needed": part.is_needed,
        "age_s": None if age is None else f"{age:.3f}",
        "trouble": part.trouble,
    }
