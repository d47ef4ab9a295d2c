"""What every answer carries, behind every door; nobody is led to another site; what comes in is bounded."""

from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.conf import settings
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.urls import reverse

from apps.accounts.permissions import PersonOnly
from apps.common import uploads
from apps.common.api.views import ApiView
from apps.lessons.models import KnowledgeDocument
from tests.factories.accounts import PASSWORD, UserFactory
from tests.factories.soft_key import SoftKey
from tests.factories.tampering import undone
from tests.permissions.doors import doors
from tests.permissions.setting import Setting
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


def is_kept_nowhere(answer: Any) -> bool:
    said = {word.strip() for word in answer.get("Cache-Control", "").split(",")}
    return (
        "no-store" in said
        and "public" not in said
        and not any(word.startswith("max-age=") for word in said - {"max-age=0"})
    )


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


@pytest.mark.slow
def test_no_answer_to_somebody_signed_in_is_kept(setting: Setting) -> None:
    """Whatever it is: a page, a document of the API, a file, a way elsewhere, a refusal."""
    found = answers(setting, letters="STO")
    assert {200, 302, 403, 404} <= {answer.status_code for _, answer in found}
    kept = [(name, answer.get("Cache-Control")) for name, answer in found if not is_kept_nowhere(answer)]
    assert kept == []
    bare = [name for name in settings.MIDDLEWARE if not name.endswith(".NoStoreMiddleware")]
    with override_settings(MIDDLEWARE=bare):
        left = [name for name, answer in answers(setting, letters="T") if not is_kept_nowhere(answer)]
    assert any("/accounts/password/change/" in name for name in left), "views alone leave some out"


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


# As production sets them: tests/architecture/test_settings.py.
OVER_TLS = {
    **{"SESSION_COOKIE_SECURE": True, "CSRF_COOKIE_SECURE": True},
    **{"SESSION_COOKIE_NAME": "__Host-aika-session", "CSRF_COOKIE_NAME": "__Host-aika-csrf"},
}


def cookies_set() -> dict[str, Any]:
    """Every cookie that was ever set, also those that were taken away again, by name: in, something done, out."""
    client, person, found = Client(), UserFactory(username="binder"), {}
    steps: list[tuple[str, dict[str, str] | None]] = [
        (reverse("account_login"), None),
        (reverse("account_login"), {"login": person.username, "password": "not it"}),
        (reverse("account_login"), {"login": person.username, "password": PASSWORD}),
        (reverse("account_sessions_end"), {}),
        (reverse("account_reauthenticate"), {"password": PASSWORD}),
        (reverse("account_sessions"), None),
        (reverse("account_logout"), {}),
        (reverse("account_login"), None),
    ]
    for path, form in steps:
        answer: Any = client.get(path, secure=True) if form is None else client.post(path, form, secure=True)
        found |= {name: dict(morsel) for name, morsel in answer.cookies.items()}
    return found


def unbound(cookies: dict[str, Any]) -> list[str]:
    """Those that a neighbour could plant, or that could travel in the clear."""
    return [
        name
        for name, how in cookies.items()
        if not (name.startswith("__Host-") and how["secure"] and how["path"] == "/" and not how["domain"])
    ]


@override_settings(**OVER_TLS)
def test_over_tls_every_cookie_that_is_set_is_bound_to_this_host(db: None) -> None:
    cookies = cookies_set()
    kinds = {name.rpartition("-")[0] if "known" in name else name for name in cookies}
    assert kinds == {"__Host-aika-session", "__Host-aika-csrf", "__Host-aika-messages", "__Host-aika-known"}
    assert unbound(cookies) == []


@override_settings(**OVER_TLS, MESSAGE_STORAGE="django.contrib.messages.storage.fallback.FallbackStorage")
def test_a_cookie_that_is_not_bound_would_be_found(db: None) -> None:
    assert unbound(cookies_set()) == ["messages"]


def test_what_comes_in_is_bounded_before_anybody_has_signed_in() -> None:
    client = Client(raise_request_exception=False)
    page = reverse("account_login")
    assert client.post(page, {"login": "x", "password": "y"}).status_code == 200
    assert client.post(page, {"login": "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)}).status_code == 400
    assert client.post(page, {f"field{number}": "" for number in range(1_001)}).status_code == 400
    for size in (1, 5_000_000):
        upload = SimpleUploadedFile("x.bin", b"x" * size)
        assert client.post(page, {"login": "x", "password": "y", "file": upload}).status_code == 400


def test_a_body_is_taken_up_to_the_bound_of_its_door(setting: Setting) -> None:
    """By whoever may send it: a program with its key, where keys come in, else an approver."""
    SoftKey().belongs_to(setting.persons["A"])
    tried = 0
    for route, door in doors().items():
        view = getattr(door.pattern.callback, "view_class", None)
        if view is None or not issubclass(view, ApiView) or "POST" not in view.access:
            continue
        letter, path = "A" if view.access["POST"] is PersonOnly else "K", path_of(setting, door)
        for more, is_taken in ((0, True), (1, False)):
            raw = b"{" + b" " * (view.body_bytes_max - 2 + more) + b"}"
            with undone():
                answer = setting.send(letter, "POST", path, raw)
            assert (answer.status_code == 413) is not is_taken, (route, answer.status_code)
            assert answer.status_code not in (401, 403), (route, answer.content)
            assert is_taken or answer.json()["code"] == "BODY_TOO_LARGE", route
        tried += 1
    assert tried >= 16


def browser_with_a_token(setting: Setting, letter: str) -> Client:
    """Its forms are read as a browser's are: for the CSRF token, before any view is asked."""
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    client.cookies.update(setting.cookies[letter])
    client.cookies[settings.CSRF_COOKIE_NAME] = "c" * 32
    return client


@pytest.mark.slow
def test_a_file_is_taken_by_no_page_but_those_that_say_so(setting: Setting) -> None:
    """A superuser signed in, who may open every page: the form is read, and the file in it is refused unread."""
    takes = {reverse("admin:lessons_knowledgedocument_add")}
    stock = {reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add") for model in admin.site._registry}
    pages = {path_of(setting, door) for route, door in doors().items() if route not in ELSEWHERE}
    for path in sorted({page for page in pages if not page.startswith("/api/")} | stock - takes):
        client = browser_with_a_token(setting, "S")
        form = {"csrfmiddlewaretoken": "d" * 32}
        with undone():
            assert client.post(path, form).status_code in (403, 405), path  # read, and the token is not the cookie's
            answer = client.post(path, form | {"file": SimpleUploadedFile("x.md", b"# x")})
        assert answer.status_code in (400, 405), (path, answer.status_code)


@pytest.mark.slow
def test_documents_are_taken_up_to_their_bound_from_who_may_hand_them_over(setting: Setting) -> None:
    page, desk = reverse("admin:lessons_knowledgedocument_add"), str(setting.paper.desk.pk)

    def hand_over(letter: str, *files: SimpleUploadedFile) -> Any:
        return setting.send(letter, "POST", page, {"desk": desk, "documents": list(files)})

    def many(count: int) -> list[SimpleUploadedFile]:
        return [SimpleUploadedFile(f"{n}.md", f"# Stops {n}\nAlways one.".encode()) for n in range(count)]

    known = KnowledgeDocument.objects.count()
    for letter in ("T", "A", "U", "Y"):
        assert hand_over(letter, *many(1)).status_code == 403
    for size in (uploads.BYTES_MAX + 1, uploads.BYTES_MAX + settings.DATA_UPLOAD_MAX_MEMORY_SIZE):
        assert hand_over("O", SimpleUploadedFile("large.bin", b"x" * size)).status_code == 400
    assert hand_over("O", *many(uploads.FILES_MAX + 1)).status_code == 400
    assert KnowledgeDocument.objects.count() == known
    at_the_bound = hand_over("O", SimpleUploadedFile("large.bin", b"x" * uploads.BYTES_MAX))
    assert at_the_bound.status_code == 200 and "large.bin" in at_the_bound.content.decode()
    assert KnowledgeDocument.objects.count() == known, "read whole, and of no kind that is taken"
    assert hand_over("O", *many(uploads.FILES_MAX)).status_code == 200
    assert KnowledgeDocument.objects.count() == known + uploads.FILES_MAX
