"""Where one is signed in, and the way to end it there."""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.accounts.services import browser_sessions
from apps.accounts.services.people import actor_of
from apps.accounts.visitors import device_words
from apps.common import words

ROWS_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One session as its person reads it."""

    key_hash: str
    device: str
    address: str
    since: datetime
    seen: str
    is_this: bool


@never_cache
@require_GET
@login_required
def page(request: HttpRequest) -> HttpResponse:
    """Every session of this person, this one first."""
    now, own = timezone.now(), browser_sessions.hash_of(request.session.session_key or "")
    lines = [
        Line(
            key_hash=row.key_hash,
            device=device_words(row.device),
            address=row.address or "not known",
            since=row.created_at,
            seen=words.ago(row.last_seen_at, now),
            is_this=row.key_hash == own,
        )
        for row in browser_sessions.sessions_of(_person(request), now=now)[:ROWS_MAX]
    ]
    lines.sort(key=lambda line: not line.is_this)
    return render(request, "account/sessions.html", {"lines": lines, "has_others": len(lines) > 1})


@never_cache
@require_POST
@login_required
def end(request: HttpRequest) -> HttpResponse:
    """One session, named by `session`, or all others without it. Ending the own one is signing out."""
    person, now, wanted = _person(request), timezone.now(), request.POST.get("session", "")
    own = request.session.session_key or ""
    if wanted and wanted == browser_sessions.hash_of(own):
        logout(request)
        return HttpResponseRedirect(reverse("account_login"), status=303)
    if wanted:
        ended = browser_sessions.end(person, key_hash=wanted, actor=actor_of(person), now=now)
        text = "That device is signed out." if ended else "There is no such session any more."
    else:
        count = browser_sessions.end_all(person, why="all others ended", actor=actor_of(person), now=now, keep=own)
        text = f"Signed out on {words.count(count)} other {'device' if count == 1 else 'devices'}."
    messages.success(request, text)
    return HttpResponseRedirect(reverse("account_sessions"), status=303)


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)
