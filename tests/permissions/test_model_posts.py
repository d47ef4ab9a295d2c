"""Django's stock pages asked by POST, with the body their own form would send: what opens on GET only is not enough."""

import re
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from django.db import connection
from django.test import override_settings
from django.urls import reverse

from tests.factories.everything import a_row_of_each
from tests.permissions.bodies import PASSWORD
from tests.permissions.doors import models
from tests.permissions.setting import Said, Setting
from tests.permissions.test_doors import REFUSED
from tests.permissions.test_models import MODELS, PEOPLE, Row, seen

pytestmark = pytest.mark.django_db


class _Form(HTMLParser):
    """What a browser would send for the forms of a page that are posted to the page itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Any] = {}
        self._inside = False
        self._select: tuple[str, bool] | None = None
        self._text: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        if tag == "form":
            self._inside = "action" not in has and has.get("method", "").lower() == "post"
        if not self._inside:
            return
        name, value = has.get("name") or "", has.get("value") or ""
        if tag == "input" and name and "disabled" not in has:
            kind = has.get("type", "text")
            if kind in ("checkbox", "radio"):
                if "checked" in has:
                    self.found.setdefault(name, value or "on")
            elif kind not in ("submit", "button", "file"):
                self.found[name] = value
        elif tag == "select" and name:
            self._select = (name, "multiple" in has)
            if "multiple" in has:
                self.found[name] = []
        elif tag == "option" and self._select is not None:
            self._option(value, "selected" in has)
        elif tag == "textarea" and name:
            self._text, self.found[name] = name, ""

    def _option(self, value: str, chosen: bool) -> None:
        assert self._select is not None
        name, many = self._select
        if many and chosen:
            self.found[name].append(value)
        elif not many and (chosen or name not in self.found):
            self.found[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._text = None

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self.found[self._text] += data


def fields_of(page: str) -> dict[str, Any]:
    """The values of the page's own form, as a browser would send them: without a text area's first line end."""
    form = _Form()
    form.feed(page)
    return {
        name: value.removeprefix("\n") if isinstance(value, str) else value
        for name, value in form.found.items()
        if name != "csrfmiddlewaretoken"
    }


def _connection(setting: Setting) -> dict[str, Any]:
    venue = setting.paper.simulator
    return {
        **{"slug": "second", "name": "Second", "environment": "paper", "desk": str(setting.paper.desk.pk)},
        **{"api_base": venue.url, "key_name": venue.key_name, "new_secret": venue.secret},
    }


TYPED: Final[dict[str, Callable[[Setting], dict[str, Any]]]] = {
    "trades.hook": lambda setting: {
        "name": "made-by-form",
        "owner": str(setting.paper.trader.pk),
        "connection": setting.paper.connection.slug,
    },
    "policies.policyset": lambda setting: {"slug": "second", "name": "Second", "desk": str(setting.paper.desk.pk)},
    "lessons.knowledgedocument": lambda setting: {
        "desk": str(setting.paper.desk.pk),
        "title": "Stops",
        "text": "Always set one before the order leaves.",
    },
    "lessons.knowledgesource": lambda setting: {"path": "shelf", "desk": str(setting.paper.desk.pk)},
    "connectors.connection": _connection,
    "accounts.apikey": lambda setting: {
        "owner": str(setting.paper.trader.pk),
        "name": "made by form",
        "scopes": ["read"],
        "days": "30",
    },
    "accounts.desk": lambda setting: {"slug": "third", "name": "Third", "reporting_currency": "USD"},
    "accounts.user": lambda setting: {
        "username": "newcomer",
        "email": "newcomer@example.com",
        "display_name": "New Comer",
        "password1": PASSWORD,
        "password2": PASSWORD,
    },
    "account.emailaddress": lambda setting: {"user": str(setting.paper.risk.pk), "email": "another@example.com"},
    "django_celery_beat.intervalschedule": lambda setting: {"every": "7", "period": "minutes"},
    "django_celery_beat.crontabschedule": lambda setting: {"minute": "7"},
}


# Where not any row will do.
ROWS: Final[dict[str, Callable[[Setting], object]]] = {
    "policies.policyversion": lambda setting: setting.objects["policyversion/"]["pk"],  # a draft
}


class Asked(NamedTuple):
    """One POST to a stock page, by somebody, and whether their row lets them."""

    name: str
    verb: str
    letter: str
    may: bool
    path: str
    body: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.name} {self.verb} by {self.letter}"


# When one's own browser was last seen is noted once a minute, whatever is asked.
NOTED: Final = {"accounts_browsersession"}
WRITING: Final = re.compile(r'\s*(?:INSERT|UPDATE|DELETE|REPLACE)\b[^"]*"(\w+)"')


class Writes:
    """The tables that statements write to, whether or not they are rolled back afterwards."""

    def __init__(self) -> None:
        self.tables: set[str] = set()

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if (found := WRITING.match(sql)) is not None:
            self.tables |= {found[1]} - NOTED
        return execute(sql, params, many, context)


@pytest.fixture
def walked(setting: Setting, tmp_path: Path) -> Iterator[Setting]:
    """A row of every model, and the folders that are watched or will be."""
    for folder in ("books", "shelf"):
        (tmp_path / folder).mkdir()
    with override_settings(KNOWLEDGE_ROOT=str(tmp_path)):
        a_row_of_each(setting.paper)
        yield setting


def askers(row: Row, verb: str) -> dict[str, bool]:
    """Letter -> whether they may: one role that may and who may do everything; every role that may not, a stranger,
    who is no staff, nobody, and, where rows are a desk's own, who may do the same at another desk."""
    allowed = getattr(row, verb)
    found = {letter: False for letter in PEOPLE + "VN" if letter not in allowed}
    found |= dict.fromkeys(allowed[:1] + allowed[-1:], True)
    if row.desk:
        found |= {letter.lower(): False for letter in allowed[:1] if letter != "S"}
    return found


def questions(setting: Setting, name: str, page: Any) -> Iterator[Asked]:
    """Every POST that is made to the stock pages of this model; the body is the form's, as the page gives it."""
    row, stock = MODELS[name], f"admin:{name.replace('.', '_')}"
    reader = next((letter for letter in row.view if letter != "S"), "S")
    mine = {ROWS[name](setting)} if name in ROWS else seen(setting, page, reader)
    one = page.model._default_manager.filter(pk__in=mine).first()
    assert one is not None, f"no row of {name} that {reader} sees"
    for verb, args in (("add", []), ("change", [one.pk]), ("delete", [one.pk]), ("history", [one.pk])):
        path = reverse(f"{stock}_{verb}", args=args)
        may = askers(row, "view" if verb == "history" else verb)
        filler = next((letter for letter, is_let in may.items() if is_let), reader)
        body = {"post": "yes"} if verb in ("delete", "history") else fields_of(setting.ask(filler, "GET", path).text)
        if verb == "add" and row.add:
            body |= TYPED[name](setting)
        for letter, is_let in may.items():
            yield Asked(name, verb, letter, is_let, path, body)


def holes(setting: Setting, names: Iterable[str]) -> list[str]:
    """Where a POST opens to somebody whom the row does not name, or writes for them; and where it does not do for
    whom the row names what it is for."""
    wrong = []
    for name in names:
        for asked in questions(setting, name, models()[name]):
            writes = Writes()
            with connection.execute_wrapper(writes):
                said = setting.ask(asked.letter, "POST", asked.path, lambda asked=asked: asked.body)  # type: ignore[misc]
            if fault := _fault(asked, said, writes.tables):
                wrong.append(f"{asked}: {fault}: {said.status} {said.location} {said.warned} {errors_of(said.text)}")
    return wrong


def _fault(asked: Asked, said: Said, written: set[str]) -> str:
    """What is wrong with this answer; nothing where it is as the row says."""
    if asked.may:
        is_done = _is_in(said) and not said.warned and (asked.verb == "history" or bool(written))
        return "" if is_done else f"is not done, writes {sorted(written)}"
    if written:
        return f"is refused, and writes {sorted(written)}"
    # The form of a new row opens to who may make one at a desk of theirs: what names another desk is refused in it.
    is_form_of_theirs = asked.verb == "add" and asked.letter.upper() in MODELS[asked.name].add
    return "gets in" if _is_in(said) and not is_form_of_theirs else ""


def _is_in(said: Said) -> bool:
    """Not so: a refusal, the way to the sign-in page, and the way back where there is no such row for them."""
    is_away = said.location == reverse("admin:index") and bool(said.warned)
    to_sign_in = said.location.startswith((reverse("account_login"), reverse("admin:login")))
    return said.status not in REFUSED and not is_away and not to_sign_in


def errors_of(text: str) -> list[str]:
    """What a form says is wrong with it."""
    return re.findall(r'<ul class="errorlist[^>]*>(.*?)</ul>', text, re.DOTALL)


@pytest.mark.slow
def test_a_post_to_the_pages_of_each_model_does_what_its_row_says(walked: Setting) -> None:
    wrong = holes(walked, models())
    assert not wrong, "\n".join(wrong)


LEAKS = {
    "has_change_permission": ("trades.order", "change"),
    "has_add_permission": ("accounts.desk", "add"),
    "has_delete_permission": ("quotes.candlebackfill", "delete"),
}


@pytest.mark.parametrize("permission", sorted(LEAKS))
def test_a_page_that_asks_for_its_permission_on_get_only_is_found(
    walked: Setting, permission: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: whoever may look may do it, as long as they POST."""
    name, verb = LEAKS[permission]
    page = models()[name]
    kept = getattr(page, permission)

    def on_get_only(request: Any, *args: Any) -> bool:
        return kept(request, *args) if request.method == "GET" else page.has_view_permission(request)

    assert holes(walked, [name]) == []
    monkeypatch.setattr(page, permission, on_get_only)
    found = holes(walked, [name])
    assert found and all(f"{name} {verb} by " in hole for hole in found)


def test_a_page_that_writes_before_it_refuses_is_found(walked: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    page = models()["quotes.candlebackfill"]

    def refuses_too_late(request: Any, *args: Any) -> bool:
        if request.method == "POST":
            page.model.objects.update(calls=9)
        return False

    assert holes(walked, ["quotes.candlebackfill"]) == []
    monkeypatch.setattr(page, "has_change_permission", refuses_too_late)
    found = "\n".join(holes(walked, ["quotes.candlebackfill"]))
    assert "quotes.candlebackfill change by T: is refused, and writes ['quotes_candlebackfill']" in found
