"""Answers to what never reaches a view: unknown addresses, unreadable requests, defects, a database that is away. Under
/api/ in its form."""

import sys
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views import defaults

from apps.common.api import problems

API_PREFIX: Final = "/api/"


def unknown_address(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    """The last route under /api/: everything that no other route took."""
    return problems.respond(request, problems.not_found())


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler400."""
    if request.path_info.startswith(API_PREFIX):
        return problems.respond(request, problems.problem_of(exception) or problems.bad_request())
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler403."""
    if request.path_info.startswith(API_PREFIX):
        return problems.respond(request, problems.problem_of(exception) or problems.bad_request())
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler404."""
    if request.path_info.startswith(API_PREFIX):
        return problems.respond(request, problems.not_found())
    return defaults.page_not_found(request, exception)


def broken(request: HttpRequest) -> HttpResponseBase:
    """Django's handler500, called while the exception is handled: 503 where database or cache are away, else a defect.
    What broke has been logged by Django."""
    away = problems.away(sys.exc_info()[1])
    if request.path_info.startswith(API_PREFIX):
        return problems.respond(request, away or problems.broken())
    if away is not None:
        return HttpResponse(render_to_string("503.html"), status=away.status, headers=dict(away.headers))
    return defaults.server_error(request)
