"""Answers to what never reaches a view: unknown addresses, unreadable requests, defects. Under /api/ in its form."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
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
    """Django's handler500. What broke has been logged by Django."""
    if request.path_info.startswith(API_PREFIX):
        return problems.respond(request, problems.broken())
    return defaults.server_error(request)
