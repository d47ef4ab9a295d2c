"""What every answer carries, behind every door; nobody is led to another site; what comes in is bounded."""

from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.urls import reverse

from tests.factories.accounts import PASSWORD, UserFactory
from tests.permissions.conftest import Setting
from tests.permissions.doors import doors
from tests.permissions.test_doors import ELSEWHERE, path_of

pytestmark = pytest.mark.django_db

EVIL = "https://evil.example/x"


def addresses(setting: Setting) -> list[str]:
    found = [path_of(setting, door) for route, door in doors().items() if route not in ELSEWHERE]
    return [*found, "/nothing/here", "/api/v1/nothing", "/admin/nothing/"]


def answers(setting: Setting, more: str = "", *, letters: str = "NS", **kwargs: Any) -> list[tuple[str, Any]]:
    found = []
    for letter in letters:
        for path in addresses(setting):
            client = Client(raise_request_exception=False)
            client.cookies.update(setting.cookies.get(letter, {}))
            found.append((f"{letter} {path}", client.get(path + more, **kwargs)))
    return found


def test_every_answer_has_the_headers(setting: Setting) -> None:
    wanted = {
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    wrong = []
    for name, answer in answers(setting):
        policy = answer.get("Content-Security-Policy", "")
        needed = {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'"}
        is_whole = needed <= set(policy.split("; ")) and "unsafe" not in policy
        if not is_whole or any(answer.get(header) != value for header, value in wanted.items()):
            wrong.append((name, answer.status_code, dict(answer.headers)))
    assert wrong == []


def test_over_tls_every_answer_says_so_for_a_year(setting: Setting) -> None:
    tls = {"SECURE_SSL_REDIRECT": True, "SECURE_HSTS_SECONDS": 31_536_000, "SECURE_HSTS_INCLUDE_SUBDOMAINS": True}
    with override_settings(**tls):
        for name, answer in answers(setting, letters="N", secure=True):
            assert answer.get("Strict-Transport-Security") == "max-age=31536000; includeSubDomains", name
        for name, answer in answers(setting, letters="N"):
            assert answer.status_code == 301 and answer["Location"].startswith("https://testserver/"), name


def test_nobody_is_led_to_another_site(setting: Setting) -> None:
    names = ("next", "redirect_to", "return_to", "url", "continue")
    more = "?" + "&".join(f"{name}={quote(EVIL)}" for name in names)
    for name, answer in answers(setting, more):
        host = urlsplit(answer.get("Location", "")).netloc
        assert host in ("", "testserver"), (name, answer["Location"])
    person = UserFactory(username="walker")
    for target in (EVIL, "//evil.example", "/\\evil.example", "https:evil.example", "javascript:alert(1)"):
        client = Client()
        answer: Any = client.post(
            reverse("account_login") + f"?next={quote(target)}",
            {"login": person.username, "password": PASSWORD, "next": target},
        )
        assert "evil" not in answer.get("Location", "") and "javascript" not in answer.get("Location", "")


def test_a_host_that_is_not_ours_is_refused_at_every_door(setting: Setting) -> None:
    # Signs of life are for probes that know no name.
    served = {
        name
        for name, answer in answers(setting, letters="N", headers={"Host": "evil.example"})
        if answer.status_code != 400
    }
    assert served <= {"N /healthz", "N /readyz", "N /metrics", "N /api/v1/schema"}, served


def test_cookies_are_not_for_scripts(setting: Setting) -> None:
    client = Client()
    person = UserFactory(username="taster")
    client.get(reverse("account_login"))
    client.post(reverse("account_login"), {"login": person.username, "password": PASSWORD})
    assert {settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME} <= set(client.cookies)
    for cookie in client.cookies.values():
        assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/", cookie.key


def test_what_comes_in_is_bounded(setting: Setting) -> None:
    client = Client(raise_request_exception=False)
    page = reverse("account_login")
    assert client.post(page, {"login": "x", "password": "y"}).status_code == 200
    assert client.post(page, {"login": "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)}).status_code == 400
    assert client.post(page, {f"field{number}": "" for number in range(1_001)}).status_code == 400
    for size in (1, 5_000_000):
        upload = SimpleUploadedFile("x.bin", b"x" * size)
        assert client.post(page, {"login": "x", "password": "y", "file": upload}).status_code == 400
    assert client.post(
        "/api/v1/trades/proposals", b"{" + b" " * 70_000, content_type="application/json"
    ).status_code in (401, 413)
