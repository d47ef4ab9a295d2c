"""The permission matrix: a new door without a row fails, and so does a door that opens to somebody else.

`matrix.txt` has a line for each method and address (GET, POST, and any other that is answered there), and says who
gets in: anything but 401, 403, 404, 405 and the way to the sign-in page. Every POST comes with a complete body
(`bodies`), so that nobody is refused for its form who would have been let in; and for whom the row names, it does what
it is for.
"""

from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings
from django.urls import reverse

from tests.permissions.bodies import BODIES, LESSON, body_for, query_for
from tests.permissions.doors import METHODS, OTHER_METHODS, Door, doors
from tests.permissions.setting import LETTERS, Said, Setting

pytestmark = pytest.mark.django_db

MATRIX = Path(__file__).with_name("matrix.txt")
REFUSED = {401, 403, 404, 405}
# Not asked here, with the reason.
ELSEWHERE = {
    "admin/(?P<url>.*)$": "leads nowhere: what is not found",
    "api/": "leads nowhere: what is not found",
    "hooks/<slug:name>": "opened by the secret of the hook and by nothing else: tests/hooks",
}
# A body that was refused for its form: nothing is known of whom it would have let in.
UNREAD = {400, 411, 413, 415, 422}
# Forms about oneself: nobody else's row is named, and who sends one incomplete may send it again.
OWN_ACCOUNT = "accounts/"
# Names of addresses that answer a POST as they answer a GET.
CHANGES_NOTHING = {"login", "logout", "password_change", "password_change_done", "app_list", "trades_unknown"}
# What is not done although the caller got in, and what they are told.
NOT_AT_DESK = "There is no such lesson at your desks."
SAID = {
    **{(f"{LESSON}{verb}/", "S"): NOT_AT_DESK for verb in ("review", "dispute", "retire", "reinstate")},
    **{(f"{LESSON}{verb}/", "S"): NOT_AT_DESK for verb in ("supersede", "merge", "confirm", "wake")},
    **{("admin/connectors/authorisation/<uuid:pk>/disconnect/", who): "is disconnected here." for who in "OoS"},
    **{("admin/connectors/authorisation/<uuid:pk>/connection/", who): "authorised by somebody else" for who in "oS"},
    **{("api/v1/trades/proposals/batch", who): "CONNECTION_UNKNOWN" for who in "tS"},
}


def rows() -> dict[tuple[str, str], str]:
    """(method, route) -> letters of who gets in, as written down."""
    found = {}
    for line in MATRIX.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            method, letters, route = line.split(" ", 2)
            found[method, "" if route == "/" else route] = letters
    return found


def measured(setting: Setting, door: Door, method: str) -> str:
    path = path_of(setting, door)
    answers = {letter: asked(setting, door, letter, method, path) for letter in LETTERS}
    if broken := "".join(letter for letter, answer in answers.items() if answer.status >= 500):
        return f"broken for {broken}"
    if door.route.startswith("api/") or (method == "POST" and not door.route.startswith(OWN_ACCOUNT)):
        unread = "".join(letter for letter, answer in answers.items() if answer.status in UNREAD)
        if unread:
            return f"not read from {unread}: complete what is sent in bodies.py"
    return "".join(letter for letter, answer in answers.items() if _is_in(answer)) or "-"


def asked(setting: Setting, door: Door, letter: str, method: str, path: str) -> Said:
    if method == "GET":
        return setting.ask(letter, method, path + query_for(setting, door.route))
    return setting.ask(letter, method, path, lambda: body_for(setting, door.route, letter))


def path_of(setting: Setting, door: Door) -> str:
    if door.route.startswith(("admin/^", "accounts/^")):
        named = {"app_list": ("admin:app_list", {"app_label": "trades"})}
        name, kwargs = named.get(door.pattern.name, (door.pattern.name, {"uidb36": "1", "key": "a-b"}))
        return reverse(name, kwargs=kwargs)
    return door.path(setting.values(door.route))


def _is_in(said: Said) -> bool:
    doors_in = (reverse("account_login"), reverse("admin:login"))
    to_sign_in = said.status == 302 and said.location.startswith(doors_in)
    return said.status not in REFUSED and not to_sign_in


def _is_done(said: Said, route: str) -> bool:
    """A page leads on without a word of warning, or shows a secret once; a program hears that it is done."""
    if said.warned:
        return False
    if route.startswith("api/"):
        return 200 <= said.status < 300
    return said.status in (302, 303) or (said.status == 200 and "shown once" in said.text) or "publicKey" in said.text


def answered(setting: Setting, methods: tuple[str, ...] = OTHER_METHODS) -> set[tuple[str, str]]:
    """The methods beyond `METHODS` that a door does not simply refuse, whatever it says to somebody who may do all."""
    return {
        (method, route)
        for route, door in doors().items()
        for method in (methods if route not in ELSEWHERE else ())
        if setting.ask("K" if route.startswith("api/") else "S", method, path_of(setting, door)).status != 405
    }


def test_every_door_has_a_row_and_every_row_a_door(setting: Setting) -> None:
    """For GET and POST, and for every other method that it answers."""
    wanted = {(method, route) for route in doors() if route not in ELSEWHERE for method in METHODS}
    wanted |= answered(setting)
    missing, stale = sorted(wanted - set(rows())), sorted(set(rows()) - wanted)
    assert not missing, f"add to {MATRIX.name} who may get in, such as `GET TAROU route`: {missing}"
    assert not stale, f"{MATRIX.name} has rows without a door: {stale}"


def test_a_door_that_deletes_on_delete_would_be_missing_a_row(setting: Setting) -> None:
    """As Django's own views do, where nobody refuses the method before them."""
    middleware = [one for one in settings.MIDDLEWARE if one != "apps.common.methods.MethodsMiddleware"]
    with override_settings(MIDDLEWARE=middleware):
        found = answered(setting, ("DELETE",))
    assert ("DELETE", "accounts/2fa/keys/<int:pk>/remove/") in found - set(rows())


@pytest.mark.slow
def test_each_door_opens_to_exactly_whom_its_row_names(prepared: Setting) -> None:
    written, found = rows(), {}
    for route, door in doors().items():
        for method in METHODS if route not in ELSEWHERE else ():
            found[method, route] = measured(prepared, door, method)
    wrong = [
        f"{method} {route}: opens to {letters}, and {MATRIX.name} says {written.get((method, route))}"
        for (method, route), letters in found.items()
        if written.get((method, route)) != letters
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_a_seat_without_a_role_shows_nothing_of_what_the_desk_does(setting: Setting) -> None:
    """Whoever lost their roles may still sit there. The same pages name it to an auditor."""
    names = [setting.waiting.label, setting.approved.label, setting.paper.connection.name, "BTC"]
    known, read, told = doors(), [], 0
    for (method, route), letters in rows().items():
        if method != "GET" or "Y" not in letters or "N" in letters:
            continue
        path = path_of(setting, known[route]) + ("?q=btc-usd" if route == "admin/search/" else "")
        shown = setting.ask("Y", "GET", path).text
        read += [f"{route}: {name}" for name in names if name in shown]
        told += any(name in setting.ask("U", "GET", path).text for name in names)
    assert read == [] and told >= 3


@pytest.mark.slow
def test_for_whom_a_row_names_a_complete_body_does_what_the_door_is_for(prepared: Setting) -> None:
    known, wrong, tried = doors(), [], set()
    for (method, route), letters in rows().items():
        if method != "POST" or letters == "-" or route.startswith(OWN_ACCOUNT):
            continue
        if known[route].pattern.name in CHANGES_NOTHING:
            continue
        for letter in letters:
            said = asked(prepared, known[route], letter, method, path_of(prepared, known[route]))
            wanted = SAID.get((route, letter), "")
            told = " ".join((*said.warned, said.text))
            if not (wanted in told if wanted else _is_done(said, route)):
                wrong.append(
                    f"{route} by {letter}: {said.status} {said.warned} {'' if said.warned else said.text[:300]}"
                )
            tried.add((route, letter))
    assert not wrong, "\n".join(wrong)
    assert set(SAID) <= tried and set(BODIES) <= {route for route, _ in tried}
