"""The schema and its page. Neither holds a secret, and both are the same for everybody."""

from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularSwaggerSplitView

from apps.common.api.views import JSON_TYPE, to_json


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """GET /api/v1/schema: OpenAPI as JSON."""
    return HttpResponse(_schema_bytes(), content_type=JSON_TYPE)


@lru_cache(maxsize=1)
def _schema_bytes() -> bytes:
    """Made once per process: it depends on the code alone, and making it is slow enough to be a way to keep us busy."""
    generated: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return to_json(generated)


class DocsView(SpectacularSwaggerSplitView):
    """GET /api/v1/docs: the schema to read and try out, under the same content policy as every page."""

    url_name = "api-schema"
    template_name = "api/docs.html"
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
