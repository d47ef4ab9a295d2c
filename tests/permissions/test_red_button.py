"""The red button: whoever may halt finds it on every page of the console, ready to be pressed."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse

from apps.accounts.services import people
from apps.policies.services import trading_state
from apps.policies.types import State
from tests.factories.tampering import undone
from tests.permissions.doors import doors, models
from tests.permissions.setting import Setting
from tests.permissions.test_doors import ELSEWHERE, path_of

pytestmark = pytest.mark.django_db

# With a token that only a session's own page has: what the button sends is taken.
BUTTON = re.compile(
    r'<form method="post" action="(?P<to>/admin/halt/|/halt/)">'
    r'<input type="hidden" name="csrfmiddlewaretoken" value="[^"]+">.*?<button [^>]*>.*?Halt trading',
    re.DOTALL,
)
# Whoever may open a page at all: one of the desk where they may, else who may open everything.
LETTERS = "AOS"


def console(setting: Setting) -> Iterator[str]:
    """Every page of the console: its own, and of each model the list, a row that is there, its history, and the form
    for a new one."""
    for route, door in doors().items():
        if route.startswith("admin/") and route not in ELSEWHERE:
            yield path_of(setting, door)
    for name, page in models().items():
        stock = f"admin:{name.replace('.', '_')}"
        rows = [str(row.pk) for row in page.model._default_manager.all()[:1]]
        for kind in ("changelist", "add", *(("change", "history") if rows else ())):
            try:
                yield reverse(f"{stock}_{kind}", args=rows if kind in ("change", "history") else ())
            except NoReverseMatch:
                continue


def page_of(setting: Setting, path: str) -> str | None:
    """What the first one sees who may halt and may open it; None where it is no page."""
    for letter in LETTERS:
        client = Client(raise_request_exception=False)
        client.cookies.update(setting.cookies[letter])
        with undone():
            answer: Any = client.get(path)
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            return str(answer.content.decode())
    return None


def test_it_is_on_every_page_of_the_console(setting: Setting) -> None:
    pages, without = 0, set()
    for path in sorted(set(console(setting))):
        text = page_of(setting, path)
        if text is not None:
            pages += 1
            if not BUTTON.search(text):
                without.add(path)
    assert without == set()
    assert pages > 100


def test_where_everything_is_halted_each_page_says_so_instead(setting: Setting) -> None:
    client = Client()
    client.cookies.update(setting.cookies["A"])
    actor, now = people.actor_of(setting.persons["A"]), setting.waiting.created_at
    trading_state.halt(connection_id=None, actor=actor, reason="Test.", now=now)
    for path in ("/admin/", "/admin/trades/order/", "/admin/watch/"):
        text = client.get(path).content.decode()
        assert not BUTTON.search(text)
        assert "Halted, see what is left" in text and State.HALTED.value in text
