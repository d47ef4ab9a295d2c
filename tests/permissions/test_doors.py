"""The permission matrix: a new door without a row fails, and so does a door that opens to somebody else.

`matrix.txt` has a line for each method and address, and says who gets in: anything but 401, 403, 404, 405 and the way
to the sign-in page. What a verb then still refuses (the state, the second person, another desk's row) is tested beside
the verb.
"""

from pathlib import Path

import pytest
from django.urls import reverse

from tests.permissions.conftest import LETTERS, Setting
from tests.permissions.doors import METHODS, Door, doors

pytestmark = pytest.mark.django_db

MATRIX = Path(__file__).with_name("matrix.txt")
REFUSED = {401, 403, 404, 405}
# Not asked here, with the reason.
ELSEWHERE = {
    "admin/(?P<url>.*)$": "leads nowhere: what is not found",
    "api/": "leads nowhere: what is not found",
    "hooks/<slug:name>": "opened by the secret of the hook and by nothing else: tests/hooks",
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
    answers = {letter: setting.ask(letter, method, path) for letter in LETTERS}
    if broken := "".join(letter for letter, answer in answers.items() if answer.status_code >= 500):
        return f"broken for {broken}"
    return "".join(letter for letter, answer in answers.items() if _is_in(answer)) or "-"


def path_of(setting: Setting, door: Door) -> str:
    if door.route.startswith(("admin/^", "accounts/^")):
        named = {"app_list": ("admin:app_list", {"app_label": "trades"})}
        name, kwargs = named.get(door.pattern.name, (door.pattern.name, {"uidb36": "1", "key": "a-b"}))
        return reverse(name, kwargs=kwargs)
    return door.path(setting.values(door.route))


def _is_in(answer: object) -> bool:
    status = answer.status_code  # type: ignore[attr-defined]
    doors_in = (reverse("account_login"), reverse("admin:login"))
    to_sign_in = status == 302 and answer["Location"].startswith(doors_in)  # type: ignore[index]
    return status not in REFUSED and not to_sign_in


def test_every_door_has_a_row_and_every_row_a_door() -> None:
    wanted = {(method, route) for route in doors() if route not in ELSEWHERE for method in METHODS}
    missing, stale = sorted(wanted - set(rows())), sorted(set(rows()) - wanted)
    assert not missing, f"add to {MATRIX.name} who may get in, such as `GET TAROU route`: {missing}"
    assert not stale, f"{MATRIX.name} has rows without a door: {stale}"


@pytest.mark.slow
def test_each_door_opens_to_exactly_whom_its_row_names(setting: Setting) -> None:
    written, found = rows(), {}
    for route, door in doors().items():
        for method in METHODS if route not in ELSEWHERE else ():
            found[method, route] = measured(setting, door, method)
    wrong = [
        f"{method} {route}: opens to {letters}, and {MATRIX.name} says {written.get((method, route))}"
        for (method, route), letters in found.items()
        if written.get((method, route)) != letters
    ]
    assert not wrong, "\n".join(wrong)
