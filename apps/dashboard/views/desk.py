"""The index, the bar's live numbers, and the three other kinds of work."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.approvals.selectors.waiting import all_waiting, waiting_lines
from apps.common import words
from apps.common.decimals import instant_text
from apps.dashboard import selectors
from apps.dashboard.work import groups, just_happened

if TYPE_CHECKING:
    from apps.accounts.models import User

NAMES = {"watch": "Watch", "set_up": "Set up", "look_back": "Look back"}


def _person(request: HttpRequest) -> "User":
    return cast("User", request.user)


@never_cache
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """What waits, then the way to everything else."""
    now, person = timezone.now(), _person(request)
    lines = waiting_lines(viewer=person, now=now)
    yours = sum(line.needs_you for line in lines)
    count, oldest_at = all_waiting(lines, viewer=person, now=now)
    context = {
        **admin.site.each_context(request),
        "work": "decide",
        "title": f"{count} to decide" if count else "Nothing waits",
        "lines": lines,
        "lead": _lead(count, yours),
        "waits": _waits(count, oldest_at, now),
        "first": min(lines, key=lambda line: line.expires_at, default=None),
        "groups": groups(request, now=now),
        "happened": just_happened(viewer=person, now=now),
        "now": now,
    }
    return render(request, "admin/index.html", context)


def _lead(waiting: int, yours: int) -> str:
    if not waiting:
        return "Nothing waits."
    proposals = "One proposal waits." if waiting == 1 else f"{words.count(waiting).capitalize()} proposals wait."
    if yours == waiting:
        return f"{proposals} {'It needs you.' if waiting == 1 else 'All need you.'}"
    if not yours:
        return f"{proposals} None needs you."
    return f"{proposals} {words.count(yours).capitalize()} need{'s' if yours == 1 else ''} you."


def _waits(count: int, oldest_at: datetime | None, now: datetime) -> str:
    """`3 wait, the oldest for 12 min 3 s`; nothing where nothing does."""
    if oldest_at is None:
        return ""
    age = words.span(int(max(words.seconds_between(oldest_at, now), Decimal(0))))
    return f"1 waits, for {age}" if count == 1 else f"{count} wait, the oldest for {age}"


@never_cache
@require_GET
def status(request: HttpRequest) -> JsonResponse:
    """What moves in the bar; read every few seconds while a page is looked at."""
    known = selectors.status(user=request.user, now=timezone.now())
    return JsonResponse(
        {
            "now": instant_text(known.now),
            "state": known.state,
            "state_words": known.state_words,
            "state_icon": known.state_icon,
            "feed": {"words": known.feed.words, "age": known.feed.age, "is_late": known.feed.is_late},
            "alarms": {"words": known.alarms.words, "age": known.alarms.age, "is_unseen": known.alarms.is_unseen},
            "waiting": known.waiting,
        }
    )


@never_cache
@require_GET
def watch(request: HttpRequest) -> HttpResponse:
    """What is under way."""
    return _work(request, "watch")


@never_cache
@require_GET
def set_up(request: HttpRequest) -> HttpResponse:
    """What governs it."""
    return _work(request, "set_up")


@never_cache
@require_GET
def look_back(request: HttpRequest) -> HttpResponse:
    """What it led to."""
    return _work(request, "look_back")


def _work(request: HttpRequest, key: str) -> HttpResponse:
    now = timezone.now()
    found = next(group for group in groups(request, now=now) if group.key == key)
    context = {
        **admin.site.each_context(request),
        "work": key,
        "title": NAMES[key],
        "group": found,
        "happened": just_happened(viewer=_person(request), now=now) if key != "set_up" else (),
    }
    return render(request, "admin/work.html", context)
