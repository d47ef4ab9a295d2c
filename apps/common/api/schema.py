"""The OpenAPI description: our tables as components, every refusal of every operation, and who may call."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from apps.common.api.bodies import Body, Field, Schema, Table
from apps.common.api.problems import PROBLEM_TYPE
from apps.common.api.queries import PAGE_SIZE, PAGE_SIZE_MAX
from apps.common.api.shapes import Problem, Shape

View = TypeVar("View", bound=Callable[..., Any])

# Any operation may answer these; the others are named by the operation.
ALWAYS: Final = (400, 401, 403, 429, 503)
WITH_BODY: Final = (413, 415)

IDEMPOTENCY_KEY: Final = "Idempotency-Key"


def key_header(*, required: bool) -> OpenApiParameter:
    """The parameter of a write that may be repeated."""
    return OpenApiParameter(
        IDEMPOTENCY_KEY,
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        OpenApiParameter.HEADER,
        required=required,
        description="A new one for every new write, the same one to repeat it: the stored answer comes back "
        "with `Idempotent-Replayed: true`.",
    )


def parameter(name: str, about: str, schema: Schema | None = None, *, required: bool = False) -> OpenApiParameter:
    """A query parameter."""
    return OpenApiParameter(
        name,
        schema or {"type": "string", "minLength": 1, "maxLength": 200},
        OpenApiParameter.QUERY,
        required=required,
        description=about,
    )


def id_in_path(name: str, about: str) -> OpenApiParameter:
    return OpenApiParameter(
        name, {"type": "string", "format": "uuid"}, OpenApiParameter.PATH, required=True, description=about
    )


def paged(*, default: int = PAGE_SIZE, most: int = PAGE_SIZE_MAX) -> tuple[OpenApiParameter, OpenApiParameter]:
    """The parameters of a list that comes in pages."""
    return (
        parameter("limit", "Items on a page.", {"type": "integer", "minimum": 1, "maximum": most, "default": default}),
        parameter("cursor", "`next_cursor` of the page before."),
    )


def documented(
    *,
    operation: str,
    summary: str,
    answers: Mapping[int, type[Shape]],
    body: type[Body] | Schema | None = None,
    problems: Sequence[int] = (),
    proofs: Sequence[Mapping[str, Sequence[str]]] | None = None,
    parameters: Sequence[OpenApiParameter] = (),
    tag: str,
) -> Callable[[View], View]:
    """Describe one method of a view. `problems` are the refusals of its own, besides those any operation has; `proofs`
    is how a caller shows who it is, where that is not by key or session."""
    codes = sorted({*ALWAYS, *problems, *(WITH_BODY if body is not None else ())})
    responses: dict[Any, Any] = {
        (status, "application/json"): OpenApiResponse(shape, HTTPStatus(status).phrase)
        for status, shape in answers.items()
    }
    responses |= {(code, PROBLEM_TYPE): OpenApiResponse(Problem, HTTPStatus(code).phrase) for code in codes}
    decorate: Callable[[View], View] = extend_schema(
        operation_id=operation,
        summary=summary,
        request={"application/json": body} if body is not None else None,
        responses=responses,
        parameters=list(parameters),
        tags=[tag],
        # Spectacular takes names or whole requirements here, and types the names alone.
        auth=cast(Any, [dict(proof) for proof in proofs]) if proofs is not None else None,
    )
    return decorate


class ApiSchema(AutoSchema):
    """Only what `documented` says: nothing is guessed from serializers, paginators or filters."""

    def get_description(self) -> str:  # type: ignore[override]  # spectacular's own signature, not DRF's
        """The docstring of the method: the class's is for programmers of Aika."""
        method = getattr(self.view, self.method.lower(), None)
        return " ".join((method.__doc__ or "").split()) if method else ""


class TableExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """A Body or a Shape as a component."""

    target_class = "apps.common.api.bodies.Table"
    match_subclasses = True

    def get_name(self, auto_schema: AutoSchema, direction: Any) -> str:
        return self._table().__name__

    def get_identity(self, auto_schema: AutoSchema, direction: Any) -> Any:
        return self._table()

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> Schema:
        table = self._table()

        def ref(other: type[Table]) -> Schema:
            component: Schema = auto_schema.resolve_serializer(cast(Any, other), direction).ref
            return component

        fields = {**_extended(table), **table.fields}
        properties = {}
        for name, field in fields.items():
            described = field.schema(ref)
            if field.nullable or (issubclass(table, Body) and not field.required):
                described["nullable"] = True
                if "enum" in described:
                    described["enum"] = [*described["enum"], None]
            if field.about:
                described["description"] = field.about
            properties[name] = described
        required = [name for name, field in fields.items() if _is_required(table, name, field.required)]
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if required:
            schema["required"] = required
        if table.__doc__:
            schema["description"] = " ".join(table.__doc__.split())
        return schema

    def _table(self) -> type[Table]:
        table: type[Table] = self.target if isinstance(self.target, type) else type(self.target)
        return table


def _extended(table: type[Table]) -> Mapping[str, Field]:
    base = getattr(table, "extends", "")
    return Table.by_name[base].fields if base else {}


def _is_required(table: type[Table], name: str, required: bool) -> bool:
    if issubclass(table, Body):
        return required
    return name not in getattr(table, "optional", frozenset())


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How a program shows who it is."""

    target_class = "apps.accounts.authentication.ApiKeyAuthentication"
    name = "api_key"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "aika_<prefix>_<secret>"}


class PersonScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How a browser shows who it is."""

    target_class = "apps.accounts.authentication.SessionPersonAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
