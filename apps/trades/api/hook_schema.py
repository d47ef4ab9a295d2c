"""What the OpenAPI description says of `POST /hooks/{name}`: the door itself is no view of the REST framework."""

from collections.abc import Callable
from typing import Any, Final

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.common.api.schema import documented
from apps.trades.api import shapes
from apps.trades.api.hooks import HookView

HOOK_PATH: Final = "/hooks/{name}"
# Named in SPECTACULAR_SETTINGS beside the description of the header.
BY_SIGNATURE: Final = "hook_signature"
BY_SECRET_IN_BODY: Final[dict[str, list[str]]] = {}

Endpoint = tuple[str, str, str, Callable[..., Any]]


class DescribedHook(APIView):
    """`HookView` as the description needs it: a view of the framework, at no address, that hands on what it gets."""

    authentication_classes = ()

    @documented(
        operation="hooks_call",
        summary="Call a hook",
        tag="hooks",
        body={"type": "object", "additionalProperties": True, "description": "Whatever the sender sends."},
        answers={201: shapes.Proposal},
        problems=(409, 422),
        proofs=({BY_SIGNATURE: []}, BY_SECRET_IN_BODY),
        parameters=(
            OpenApiParameter(
                "name",
                {"type": "string", "pattern": "^[a-zA-Z0-9_-]+$"},
                OpenApiParameter.PATH,
                required=True,
                description="The hook's name, as its page says it.",
            ),
            OpenApiParameter(
                "Aika-Delivery",
                {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
                OpenApiParameter.HEADER,
                required=False,
                description="The sender's own name of a signed delivery: sent again under it, the first answer comes "
                "back with `Idempotent-Replayed: true`.",
            ),
        ),
    )
    def post(self, request: Request, name: str) -> HttpResponseBase:
        """The body becomes a proposal by the hook's template, and is judged as any: 201 also where policy denies it.
        Proved by a signature over time and body, or by the hook's secret in the body, as the hook is set up; no key and
        no session counts here. What cannot be made a proposal is 422 and creates nothing."""
        return HookView.as_view()(request._request, name=name)


def with_hooks(endpoints: list[Endpoint]) -> list[Endpoint]:
    """The endpoints of the description, with the one of hooks."""
    return [*endpoints, (HOOK_PATH, HOOK_PATH, "POST", DescribedHook.as_view())]
