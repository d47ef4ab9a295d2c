"""The verbs of a review, each a POST with the version that was seen."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from apps.common.admin import act
from apps.common.errors import Invalid
from apps.lessons.models import Lesson
from apps.lessons.selectors.reviewing import lesson_of_desk
from apps.lessons.services import reviews, taking_out
from apps.lessons.types import CaseVerdict, MistakeTag

if TYPE_CHECKING:
    from apps.accounts.models import User

TAG_FIELD: Final = "tag:"
WAITS: Final = "waits for another reviewer, and it counts until then."


def urls(wrap: Callable[..., Callable[..., HttpResponse]]) -> list[URLPattern]:
    """The verbs, each wrapped by the admin site."""
    verbs = {
        "review": review,
        "dispute": dispute,
        "retire": retire,
        "reinstate": reinstate,
        "supersede": supersede,
        "merge": merge,
        "confirm": confirm,
        "wake": wake,
    }
    return [
        path(f"<uuid:lesson_id>/{verb}/", wrap(view), name=f"lessons_lesson_{verb}") for verb, view in verbs.items()
    ]


def review(request: HttpRequest, lesson_id: UUID) -> HttpResponse:
    """POST: tags, cause, rule and verdict, as the form says."""

    def verb(now: datetime) -> str:
        said = {name: value for name, value in request.POST.items() if name.startswith(TAG_FIELD)}
        verdict = request.POST.get("verdict", "")
        lesson = reviews.review(
            lesson_id=lesson_id,
            reviewer=_person(request),
            version=_version(request),
            confirm_tags=[_tag(name) for name, value in said.items() if value == "confirm"],
            dispute_tags=[_tag(name) for name, value in said.items() if value == "dispute"],
            add_tags=[_tag(name) for name in request.POST.getlist("add")],
            cause=_text(request, "cause"),
            next_time=_text(request, "next_time"),
            verdict=_verdict(verdict) if verdict else None,
            note=_text(request, "note") or "",
            now=now,
        )
        done = "Reviewed. The next one who asks for something alike is told so."
        return done if lesson.taking_out is None else f"{done} What takes out of the evidence {WAITS}"

    return _act(request, lesson_id, verb)


def dispute(request: HttpRequest, lesson_id: UUID) -> HttpResponse:
    """POST: it is proposed that it is not so, and does not count."""
    return _closing(request, lesson_id, reviews.dispute, f"Proposed to dispute it: that {WAITS}")


def retire(request: HttpRequest, lesson_id: UUID) -> HttpResponse:
    """POST: it is proposed that it teaches nothing any more, and does not count."""
    return _closing(request, lesson_id, reviews.retire, f"Proposed to retire it: that {WAITS}")


def reinstate(request: HttpRequest, lesson_id: UUID) -> HttpResponse:
    """POST: it counts again."""
    return _closing(request, lesson_id, reviews.reinstate, "Reinstated. It counts again.")


def wake(request: HttpRequest, lesson_id: UUID) -> HttpResponse:
    """POST: a lesson that rests is shown again."""
    return _closing(request, lesson_id, reviews.wake, "Shown again. What was said of it before is forgotten.")


def supersede(request: HttpRequest, lesson_id: UUID) -> HttpResponse:
    """POST: it is proposed that another lesson says it better."""

    def verb(now: datetime) -> str:
        reviews.supersede(
            lesson_id=lesson_id,
            by_lesson_id=_other(request),
            reviewer=_person(request),
            version=_version(request),
            note=_text(request, "note") or "",
            now=now,
        )
        return f"Proposed that the other one says it better: that {WAITS}"

    return _act(request, lesson_id, verb)


def merge(request: HttpRequest, lesson_id: UUID) -> HttpResponse:
    """POST: it is proposed that another lesson stands for both."""

    def verb(now: datetime) -> str:
        reviews.merge(
            lesson_id=lesson_id,
            into_lesson_id=_other(request),
            reviewer=_person(request),
            version=_version(request),
            note=_text(request, "note") or "",
            now=now,
        )
        return f"Proposed to merge them: that {WAITS}"

    return _act(request, lesson_id, verb)


def confirm(request: HttpRequest, lesson_id: UUID) -> HttpResponse:
    """POST: what another reviewer proposed takes effect."""

    def verb(now: datetime) -> str:
        taking_out.confirm(lesson_id=lesson_id, reviewer=_person(request), version=_version(request), now=now)
        return "Confirmed by two: it holds from now on, and is kept."

    return _act(request, lesson_id, verb)


def _closing(request: HttpRequest, lesson_id: UUID, service: Callable[..., Lesson], done: str) -> HttpResponse:
    def verb(now: datetime) -> str:
        service(
            lesson_id=lesson_id,
            reviewer=_person(request),
            version=_version(request),
            note=_text(request, "note") or "",
            now=now,
        )
        return done

    return _act(request, lesson_id, verb)


def _act(request: HttpRequest, lesson_id: UUID, verb: Callable[[datetime], str]) -> HttpResponse:
    if not request.user.has_perm(reviews.REVIEW):
        raise PermissionDenied("Approvers and risk review lessons. Tell one of them.")
    if lesson_of_desk(lesson_id, _person(request)) is None:
        raise Http404("There is no such lesson at your desks.")
    return act(request, verb, back=reverse("admin:lessons_lesson_change", args=[lesson_id]))


def _person(request: HttpRequest) -> "User":
    return cast("User", request.user)


def _version(request: HttpRequest) -> int:
    try:
        return int(request.POST.get("version", ""))
    except ValueError as error:
        raise Invalid(
            "VERSION_MISSING", "The form does not say which version you saw.", fix="Open it again."
        ) from error


def _text(request: HttpRequest, name: str) -> str | None:
    text = request.POST.get(name)
    return None if text is None else text.replace("\r\n", "\n")


def _tag(name: str) -> MistakeTag:
    try:
        return MistakeTag(name.removeprefix(TAG_FIELD))
    except ValueError as error:
        raise Invalid("TAG_MALFORMED", "There is no such mistake on the list.", fix="Take one of the list.") from error


def _verdict(text: str) -> CaseVerdict:
    try:
        return CaseVerdict(text)
    except ValueError as error:
        raise Invalid("VERDICT_MALFORMED", "There is no such verdict.", fix="Take one of the list.") from error


def _other(request: HttpRequest) -> UUID:
    try:
        return UUID(request.POST.get("other", ""))
    except ValueError as error:
        raise Invalid("LESSON_MALFORMED", "No other lesson is named.", fix="Take one of the list.") from error
