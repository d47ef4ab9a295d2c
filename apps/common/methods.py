"""The methods that any page of ours takes."""

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase

from apps.common.api.pages import API_PREFIX
from apps.common.before_view import BeforeView

TAKEN: Final = ("GET", "HEAD", "OPTIONS", "POST")


class MethodsMiddleware(BeforeView):
    """Refuses what no page takes before a view sees it. Under /api/ each view says so itself, in its form.

    Views of others answer more than their pages ask: Django's `DeleteView` deletes on DELETE, past `form_valid`, and
    its forms take PUT for POST.
    """

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """None where the view may answer."""
        if request.method in TAKEN or request.path_info.startswith(API_PREFIX):
            return None
        return HttpResponseNotAllowed(TAKEN)
